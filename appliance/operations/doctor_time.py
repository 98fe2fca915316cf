"""Check of who keeps the clock right: a Mac asks a time server, which on a closed network must be the hospital's own.

Leases do not depend on it (they use steady time), but every entry of the record, every certificate and every token does.
"""

from __future__ import annotations

import re
import subprocess
from typing import Final

from appliance.operations.doctor_context import Finding, Patient

OFF_S: Final = 1.0
"""Two nodes that differ by more order a patient's entries wrongly after a takeover."""
FAR_OFF_S: Final = 60.0
ASK_S: Final = 3
"""Seconds that sntp(1) waits for an answer."""
_PATIENCE_S: Final = 20.0
_ANSWER: Final = re.compile(r"^([+-]\d+(?:\.\d+)?) \+/- \d", re.MULTILINE)
_SET: Final = "Name the hospital's server: sudo systemsetup -setnetworktimeserver ADDRESS -setusingnetworktime on"
_STEP: Final = "Set the clock now: sudo sntp -sS ADDRESS. Then see why timed does not: System Settings, Date & Time."


def time_service(patient: Patient) -> Finding:
    """The Mac's clock agrees with its time server. Elsewhere this is the operating system's matter and not examined."""
    name, machine = "time service", patient.machine
    if machine.platform != "darwin":
        return Finding(name, "ok", f"Who keeps the clock is examined on macOS only, not on {machine.platform}.")
    server = machine.time_server()
    if server is None:
        return Finding(name, "warning", "No time server is named: the clock drifts, seconds a week.", _SET)
    offset = _offset_s(machine.program("sntp"), server)
    if offset is None:
        return Finding(name, "warning", f"The time server {server} does not answer.", _SET)
    text = f"The clock differs from {server} by {offset:+.3f} s."
    if abs(offset) >= FAR_OFF_S:
        return Finding(name, "failed", text, _STEP)
    if abs(offset) >= OFF_S:
        return Finding(name, "warning", text, _STEP)
    return Finding(name, "ok", text)


def _offset_s(program: str | None, server: str) -> float | None:
    """Seconds from our clock to the server's, as sntp(1) tells: ``+0.0031 +/- 0.0203 server address``; None: no answer."""
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-t", str(ASK_S), server],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_PATIENCE_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    found = _ANSWER.search(done.stdout)
    return float(found[1]) if found and done.returncode == 0 else None
