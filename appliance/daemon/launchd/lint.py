"""Whether launchd would take a property list of ours, and whether it says only what it may.

launchd itself ignores keys that it does not know and values of the wrong type: a job with ``KeepAlve`` starts, and stays
down after its first crash. So the files are checked when they are made, and again before they are loaded.
"""

from __future__ import annotations

import plistlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from xml.parsers.expat import ExpatError

from appliance.daemon.launchd.errors import PLIST_REFUSED
from appliance.daemon.launchd.layout import ACCOUNT
from appliance.daemon.launchd.plist_keys import JOB
from appliance.daemon.launchd.shapes import Fault

USERS: Final = ("root", ACCOUNT)
REQUIRED: Final = ("Label", "ProgramArguments", "UserName", "GroupName", "RunAtLoad", "StandardErrorPath")
PATHS: Final = ("Program", "WorkingDirectory", "StandardInPath", "StandardOutPath", "StandardErrorPath")
ENVIRONMENT: Final = frozenset({"PATH", "HOME", "PYTHONDONTWRITEBYTECODE", "PRONTUARIO_TERMINAL_LOG"})
"""Everybody may read a plist and a process's environment is no place for secrets: only these names are let through."""


def faults_of(file: str, content: bytes) -> list[Fault]:
    """Everything that is wrong with the property list ``content``; ``file`` is its name."""
    try:
        job = plistlib.loads(content, fmt=plistlib.FMT_XML)
    except (ValueError, plistlib.InvalidFileException, ExpatError) as error:
        return [Fault(file, "(whole file)", f"no XML property list: {error}")]
    found = [Fault(file, key or "(whole file)", what) for key, what in JOB.faults("", job)]
    # House rules look into values, so the values must have their shapes first.
    return found or [Fault(file, key, what) for key, what in _house_rules(file, job)]


def check(files: Iterable[tuple[str, bytes]]) -> None:
    """Pass if every (name, content) is sound.

    Raises:
        ProntuarioError: ``launchd.plist``, naming each file, key and fault.
    """
    faults = [fault for file, content in files for fault in faults_of(file, content)]
    if faults:
        raise PLIST_REFUSED(faults="; ".join(map(str, faults)))


def _house_rules(file: str, job: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in REQUIRED:
        if key not in job:
            yield key, "is missing"
    if PurePosixPath(file).name != f"{job.get('Label')}.plist":
        yield "Label", f"the file must be called {job.get('Label')}.plist"
    if job.get("UserName") not in USERS:
        yield "UserName", f"must be one of {', '.join(USERS)}"
    for key in PATHS:
        if key in job and not PurePosixPath(job[key]).is_absolute():
            yield key, "must be an absolute path"
    if not PurePosixPath(job.get("ProgramArguments", ["/"])[0]).is_absolute():
        yield "ProgramArguments[0]", "must be an absolute path"
    for name in sorted(set(job.get("EnvironmentVariables", {})) - ENVIRONMENT):
        yield f"EnvironmentVariables.{name}", "is not among the variables that a job of ours gets"
    if "NumberOfFiles" in job.get("HardResourceLimits", {}):
        # launchd.plist(5): for a daemon this sets kern.maxfilesperproc, for the whole machine.
        yield "HardResourceLimits.NumberOfFiles", "would lower the limit of every process of this Mac"
