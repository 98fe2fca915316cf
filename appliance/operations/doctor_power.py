"""Checks of power and of sending alerts: the UPS answers, the machine can be switched off, targets lie in the hospital."""

from __future__ import annotations

import asyncio
import ipaddress
import subprocess
from typing import Final

from appliance.operations.doctor_context import Finding, Patient
from appliance.operations.power.reading import SilentError, Supply
from appliance.operations.power.switch_off import MAC_COMMAND, command_of
from appliance.operations.power.watch import ups_of
from appliance.operations.watching.targets import DeliveryError, address_within, places_of

_NAME_UPS: Final = (
    "Name it in [power] of prontuario.toml (docs/power.md); without one a power cut ends this Mac at once."
)
_CHECK_UPS: Final = "Check that the UPS server runs, and host, port and ups in [power] of prontuario.toml."
_SUDOERS: Final = "Install the sudoers line of docs/power.md; without it the Mac stays on until the battery is empty."
_NETWORKS: Final = "Correct [alerts] in prontuario.toml; alerts go only to the hospital's own networks."
_PATIENCE_S: Final = 10.0


def ups(patient: Patient) -> Finding:
    """The UPS answers and its battery is fit."""
    config = patient.config.power
    asked = ups_of(config)
    if asked is None:
        if patient.config.node.profile == "production":
            return Finding("ups", "warning", "No UPS is configured.", _NAME_UPS)
        return Finding("ups", "ok", "No UPS is configured.")
    try:
        reading = asyncio.run(asked.read())
    except SilentError as error:
        return Finding("ups", "failed", f"{error.why[0].upper()}{error.why[1:]}.", _CHECK_UPS)
    if reading.judged(config.low_charge_percent, config.low_runtime_s).supply is not Supply.MAINS:
        return Finding("ups", "warning", "This machine is on battery.", "Follow docs/runbooks/power-failed.md.")
    if reading.worn:
        return Finding("ups", "warning", "The UPS asks for a new battery.", "Have the battery replaced.")
    return Finding("ups", "ok", "On mains, and the UPS answers.")


def switching_off(patient: Patient) -> Finding:
    """At the end of the battery the machine can be switched off in good order."""
    config, name = patient.config.power, "switching off"
    if config.kind == "none":
        return Finding(name, "ok", "Without a UPS there is no end of a battery to wait for.")
    command = command_of(config.shutdown_command, patient.machine.platform)
    if not command:
        return Finding(
            name, "warning", "No command switches this machine off; it closes everything and stays on.",
            "Set shutdown_command in [power] of prontuario.toml.",
        )  # fmt: skip
    if command != MAC_COMMAND:
        found = patient.machine.program(command[0]) is not None
        advice = "" if found else "Correct shutdown_command in [power] of prontuario.toml."
        return Finding(name, "ok" if found else "failed", f"The command is {command[0]}.", advice)
    sudo = patient.machine.program("sudo")
    asked = sudo is not None and _may(sudo)
    return Finding(name, "ok" if asked else "failed", "sudo was asked about /sbin/shutdown.", "" if asked else _SUDOERS)


def _may(sudo: str) -> bool:
    """Whether sudo(8) would run exactly our command without a password."""
    argv = [sudo, "-n", "-l", *MAC_COMMAND[2:]]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return not done.returncode


def alert_targets(patient: Patient) -> Finding:
    """The networks are private ones, and everything that alerts are sent to lies within them."""
    config, name = patient.config.alerts, "alert targets"
    try:
        public = [one for one in config.networks if not ipaddress.ip_network(one).is_private]
    except ValueError as error:
        return Finding(name, "failed", f"[alerts] networks: {error}.", _NETWORKS)
    if public:
        return Finding(name, "failed", f"{', '.join(public)} is no private network.", _NETWORKS)
    places = places_of(config)
    for shown, host, port in places:
        try:
            asyncio.run(address_within(host, port, config.networks))
        except DeliveryError as error:
            return Finding(name, "failed", f"{shown}: {error}.", _NETWORKS)
    told = f"Alerts are sent to {len(places)} target(s)." if places else "Alerts are shown in the dashboard only."
    return Finding(name, "ok", told)
