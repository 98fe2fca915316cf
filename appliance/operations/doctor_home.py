"""Checks of the node's home: configuration, disk, clock, ports."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from appliance.config.load import ConfigError, load_config
from appliance.operations.doctor_context import Finding, Patient
from appliance.operations.doctor_record import read_record
from appliance.plugin_api.storage import Query
from appliance.security.files import write_file

BUILD_DATE: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""No correct clock can show an earlier time than when this program was written."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
LITTLE_SPACE_BYTES: Final = 20 << 30
NO_SPACE_BYTES: Final = 2 << 30
_PROBE: Final = ".doctor-probe"


def configuration(patient: Patient) -> Finding:
    """``prontuario.toml`` can be read and holds only known keys."""
    path = patient.paths.config
    try:
        load_config(path)
    except ConfigError as error:
        return Finding("configuration", "failed", str(error), "Correct that line; docs/settings.md lists every key.")
    except (OSError, UnicodeDecodeError) as error:
        return Finding(
            "configuration", "failed", f"{path} can't be read ({type(error).__name__}).", "Check its owner and mode."
        )
    if not path.exists():
        return Finding(
            "configuration", "warning", f"There is no {path}; every setting has its default.",
            "Run: prontuario init",
        )  # fmt: skip
    return Finding("configuration", "ok", f"{path} is valid.")


def disk(patient: Patient) -> Finding:
    """The home can be written and flushed, and there is room."""
    home = patient.paths.home
    try:
        write_file(home / _PROBE, b"probe")
        (home / _PROBE).unlink()
        free = patient.machine.free_bytes(home)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        return Finding(
            "disk", "failed", f"{home} can't be written: {reason}.",
            "Free some space, or give the folder to the user that runs Prontuário.",
        )  # fmt: skip
    text = f"{free / (1 << 30):.1f} GiB are free."
    if free < NO_SPACE_BYTES:
        return Finding(
            "disk", "failed", text, "Free space now: soon nothing can be saved. Move old model packs or logs away."
        )
    if free < LITTLE_SPACE_BYTES:
        return Finding("disk", "warning", text, "Plan more space: snapshots need as much again as the record itself.")
    return Finding("disk", "ok", text)


def clock(patient: Patient) -> Finding:
    """The wall clock is later than this program and than the newest entry of the record."""
    now = patient.machine.now()
    advice = "Set the date and time (System Settings, or sntp), then start the node again."
    if now < BUILD_DATE:
        return Finding("clock", "failed", f"The clock shows {now:%Y-%m-%d}, before this program was built.", advice)
    newest = read_record(patient, _newest_event)
    if newest is not None and now < datetime.fromisoformat(newest) - CLOCK_TOLERANCE:
        return Finding(
            "clock", "failed", f"The clock shows {now:%Y-%m-%d %H:%M}, before the newest entry ({newest}).", advice
        )
    return Finding("clock", "ok", f"The clock shows {now:%Y-%m-%d %H:%M} UTC.")


def ports(patient: Patient) -> Finding:
    """The ports are free, or it is our own node that has them."""
    api, admin = patient.config.api, patient.config.admin
    taken = [
        str(port)
        for host, port in ((api.host, api.port), (admin.host, admin.port))
        if port and not patient.machine.can_bind(host, port)
    ]
    if not taken:
        return Finding("ports", "ok", f"Ports {api.port} and {admin.port} are free.")
    if runs_here(patient.paths.run):
        return Finding("ports", "ok", f"This node is running and uses port {', '.join(taken)}.")
    return Finding(
        "ports", "failed", f"Another program uses port {', '.join(taken)}.",
        f"Find it with: lsof -nP -iTCP:{taken[0]} -sTCP:LISTEN. Stop it, or change the port in prontuario.toml.",
    )  # fmt: skip


def runs_here(run: Path) -> bool:
    """Whether a core serves this home: it holds a lock on its pid file, which the kernel drops when it dies."""
    try:
        with (run / "core.pid").open("r") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _newest_event(q: Query) -> str | None:
    row = q.one("SELECT at FROM audit_event ORDER BY seq DESC LIMIT 1")
    return None if row is None else str(row[0])
