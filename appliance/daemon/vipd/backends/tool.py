"""Runs the system's own network tools: fixed argument lists, a limit in time, an environment of our own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from appliance.cluster.vip_errors import TOOL_FAILED
from appliance.daemon.vipd.allow_list import Entry
from appliance.plugin_api.errors import ProntuarioError

TOOL_LIMIT_S: Final = 2.0
SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = {"PATH": SYSTEM_PATH, "LC_ALL": "C"}
"""Root trusts no PATH that somebody else set; messages are compared in English."""


def run_tool(command: Sequence[str], *, harmless: Sequence[str] = ()) -> str:
    """Run it; its stdout. A failure whose message contains one of ``harmless`` counts as done.

    Raises:
        ProntuarioError: ``cluster.vip_tool_failed``: not there, too slow, or it said no.
    """
    name = os.path.basename(command[0])  # noqa: PTH119  no Path for a bare name
    try:
        done = subprocess.run(
            command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=TOOL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise TOOL_FAILED(tool=name, reason=f"no answer in {TOOL_LIMIT_S:g} s") from None
    except OSError as error:
        raise TOOL_FAILED(tool=name, reason=error.strerror) from None
    complaint = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0 and not any(phrase in complaint for phrase in harmless):
        raise TOOL_FAILED(tool=name, reason=complaint[:120] or f"exit status {done.returncode}")
    return done.stdout.decode(errors="replace")


def for_each(entries: Iterable[Entry], change: Callable[[Entry], None]) -> None:
    """Apply ``change`` to every entry, then raise the first failure, if any: one bad address must not shield the next."""
    failures = []
    for entry in entries:
        try:
            change(entry)
        except ProntuarioError as error:
            failures.append(error)
    if failures:
        raise failures[0]
