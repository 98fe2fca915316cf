"""Rotation of what jobs print, by macOS's newsyslog(8): rendered, and checked against newsyslog.conf(5) as macOS has it.

The jobs' own logs (``<home>/logs``) rotate themselves; these files hold tracebacks and errors, a few lines a month. launchd
keeps a job's file open, so after a rotation the job goes on in the old file until its next start: no compression, then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from appliance.daemon.launchd.errors import LOG_RULE_REFUSED
from appliance.daemon.launchd.jobs import Job
from appliance.daemon.launchd.layout import LOG_FOLDER, NEWSYSLOG_FILE, RenderedFile

KEEP: Final = 5
SIZE_KB: Final = 1024
MODE: Final = "640"
_FLAGS: Final = re.compile(r"[BCDGJNRUWZ]+|-")
_OWNER: Final = re.compile(r"[a-z_][a-z0-9_-]*:[a-z_][a-z0-9_-]*")
_FIELDS: Final = 7


def rotation(jobs: Sequence[Job]) -> RenderedFile:
    """The file for ``/etc/newsyslog.d``, one line for each job.

    Raises:
        ProntuarioError: ``launchd.newsyslog``.
    """
    lines = [
        "# Prontuário. Written by prontuario launchd render.",
        "# logfile owner:group mode count size(KB) when flags   (N: nobody needs a signal)",
        *(f"{job.log} {job.user}:{job.group} {MODE} {KEEP} {SIZE_KB} * N" for job in jobs),
    ]
    text = "\n".join(lines) + "\n"
    if faults := list(faults_of(text)):
        raise LOG_RULE_REFUSED(faults="; ".join(faults))
    return RenderedFile(NEWSYSLOG_FILE, text.encode())


def faults_of(text: str) -> Iterator[str]:
    """What is wrong, line by line: ``line 3: mode: …``."""
    seen = set()
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.partition("#")[0].split()
        if not fields:
            continue
        if len(fields) != _FIELDS:
            yield f"line {number}: {len(fields)} fields instead of {_FIELDS}"
            continue
        yield from (f"line {number}: {fault}" for fault in _wrong(fields))
        if fields[0] in seen:
            yield f"line {number}: {fields[0]} is rotated twice"
        seen.add(fields[0])


def _wrong(fields: Sequence[str]) -> Iterator[str]:
    path, owner, mode, count, size, when, flags = fields
    if not path.startswith(f"{LOG_FOLDER}/") or ".." in path:
        # newsyslog renames and makes files as root: never in a folder that somebody else may write.
        yield f"logfile: {path} does not lie in {LOG_FOLDER}"
    if not _OWNER.fullmatch(owner):
        yield f"owner: {owner}"
    if not re.fullmatch(r"[0-7]{3}", mode) or int(mode, 8) & 0o133:
        yield f"mode: {mode}"
    if not count.isdigit():
        yield f"count: {count}"
    if not size.isdigit() and size != "*":
        yield f"size: {size}"
    if size == "*" and when == "*":
        yield "when: never rotated"
    if when != "*" and not re.fullmatch(r"\d+|(\d*@\S+)|\$\S+", when):
        yield f"when: {when}"
    if not _FLAGS.fullmatch(flags):
        yield f"flags: {flags}"
