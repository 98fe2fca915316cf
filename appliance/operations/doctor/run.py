"""Runs the checks side by side, each against its own deadline: one that hangs is told as such and hangs nobody."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from pysqlite3 import dbapi2

from appliance.config.load import ConfigError, load_config
from appliance.config.model import Config, Paths
from appliance.operations.doctor import home
from appliance.operations.doctor.model import BROKEN, HIDDEN, LATE, UNREAD, Check, Finding
from appliance.operations.doctor.patient import Line, Machine, Patient
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import instant

SCHEMA: Final = 1
"""Raised when the JSON changes in a way that a reader must know; new fields and checks do not raise it."""
_EXPECTED: Final = (
    OSError, ValueError, LookupError, TypeError, dbapi2.Error, ProntuarioError, subprocess.SubprocessError, msgspec.MsgspecError,
)  # fmt: skip


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``prontuario doctor --json``. ``at``: FHIR instant; ``status``: the worst finding (``skipped`` counts as nothing)."""

    schema: int = SCHEMA
    at: str
    status: str
    findings: list[Finding]


def report(findings: Sequence[Finding], machine: Machine | None = None) -> Report:
    """The findings with their sum."""
    found = {finding.status for finding in findings}
    status = next((one for one in ("failed", "warning") if one in found), "ok")
    return Report(at=instant((machine or Machine()).now()), status=status, findings=list(findings))


def run_checks(
    checks: Sequence[Check], paths: Paths, machine: Machine | None = None, line: Line | None = None,
    config: Config | None = None, *, deadline_s: float | None = None,
) -> list[Finding]:  # fmt: skip
    """Every check's finding, in an order in which one would repair. ``config``: None to read ``prontuario.toml``.

    ``deadline_s``: one for all, instead of each check's own.

    Blocks for a second or two, and no longer than the longest deadline. Changes nothing but a probe file that it removes.
    """
    readable = True
    if config is None:
        try:
            config = load_config(paths.config)
        except (ConfigError, OSError):
            config, readable = Config(), False
    patient = Patient(paths, config, machine or Machine(), line or Line())
    if not paths.home.exists():
        return [home.HOME.examine(patient)]
    found: dict[str, Finding] = {}
    threads = [
        threading.Thread(target=_into, args=(found, check, patient), name=f"doctor {check.id}", daemon=True)
        for check in checks
        if readable or not check.needs_config
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    started = {thread.name: thread for thread in threads}
    for check in checks:
        if (thread := started.get(f"doctor {check.id}")) is None:  # type: ignore[assignment]
            found[check.id] = UNREAD(check)
            continue
        thread.join(max(0.0, began + (deadline_s or check.deadline_s) - time.monotonic()))
    return [_said(found, check) for check in checks]


def _said(found: dict[str, Finding], check: Check) -> Finding:
    finding = found.get(check.id)
    return finding or LATE(check, seconds=f"{check.deadline_s:g}")


def _into(found: dict[str, Finding], check: Check, patient: Patient) -> None:
    began = time.monotonic()
    try:
        finding = check.examine(patient)
    except TimeoutError:
        finding = LATE(check, seconds=f"{time.monotonic() - began:.0f}")
    except PermissionError as error:
        mine = patient.machine.user() == patient.machine.root_user  # root who may not look has found something wrong
        finding = BROKEN(check, error=type(error).__name__) if mine else HIDDEN(check)
    except _EXPECTED as error:
        finding = BROKEN(check, error=type(error).__name__)
    found[check.id] = msgspec.structs.replace(finding, seconds=round(time.monotonic() - began, 3))
