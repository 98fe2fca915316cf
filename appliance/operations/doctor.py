"""``prontuario doctor``: what is wrong with this node, why, and the next step. It changes nothing.

Works beside a running node and on one that does not start; each check stands alone, and one that breaks says so.
"""

from __future__ import annotations

from typing import Final

from pysqlite3 import dbapi2

from appliance.config.model import Config, Paths
from appliance.operations import doctor_home, doctor_machine, doctor_power, doctor_record, doctor_secrets, doctor_time
from appliance.operations.doctor_context import Check, Finding, Machine, Patient
from appliance.plugin_api.errors import ProntuarioError

__all__ = ["CHECKS", "Finding", "Machine", "run_checks"]

CHECKS: Final[tuple[Check, ...]] = (
    doctor_home.configuration,
    doctor_home.disk,
    doctor_home.clock,
    doctor_time.time_service,
    doctor_home.ports,
    doctor_secrets.secret_modes,
    doctor_secrets.authority,
    doctor_secrets.server_certificate,
    doctor_secrets.master_key,
    doctor_record.sqlite_library,
    doctor_record.integrity,
    doctor_record.litestream,
    doctor_record.spool,
    doctor_machine.memory,
    doctor_machine.models,
    doctor_machine.audio_tools,
    doctor_machine.voice_tools,
    doctor_machine.fast_arithmetic,
    doctor_power.ups,
    doctor_power.switching_off,
    doctor_power.alert_targets,
)


def run_checks(paths: Paths, config: Config, machine: Machine | None = None) -> list[Finding]:
    """Every check's finding, in an order in which one would repair. Blocks for about a second."""
    patient = Patient(paths, config, machine or Machine())
    if not paths.home.exists():
        return [
            Finding("home", "failed", f"There is no node in {paths.home}.", f"Run: prontuario init --home {paths.home}")
        ]
    return [_examine(check, patient) for check in CHECKS]


def _examine(check: Check, patient: Patient) -> Finding:
    try:
        return check(patient)
    except (OSError, ValueError, LookupError, dbapi2.Error, ProntuarioError) as error:
        name = check.__name__.replace("_", " ")
        return Finding(name, "failed", f"The check itself failed ({type(error).__name__}).", "Report this to support.")
