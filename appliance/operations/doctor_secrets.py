"""Checks of keys and certificates."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from typing import Final

from appliance.operations.doctor_context import Finding, Patient
from appliance.operations.doctor_record import read_record
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.security.authority import RENEW_BEFORE, load_certificate, load_key, server_names
from appliance.security.certificates import general_names, names_in, public_bytes
from appliance.security.master_key import read_wrapped, unwrap
from appliance.security.protectors import PASSPHRASE_FD_VARIABLE, PASSPHRASE_VARIABLE, protector_for
from appliance.security.vault import Vault

AUTHORITY_WARNING: Final = timedelta(days=365)
_RESTORE: Final = "Restore the secrets folder from its backup; a new authority means enrolling every phone again."


def authority(patient: Patient) -> Finding:
    """Root and device CA are whole and have time left."""
    folder = patient.paths.secrets
    if not any((folder / name).exists() for name in ("root.key", "root.pem")):
        return Finding("authority", "warning", "There is no certificate authority yet.", "Run: prontuario init")
    findings = [_one_authority(patient, name) for name in ("root", "device-ca")]
    return next((finding for finding in findings if finding is not None), None) or Finding(
        "authority", "ok", "Root and device authority are valid."
    )


def _one_authority(patient: Patient, name: str) -> Finding | None:
    folder, now = patient.paths.secrets, patient.machine.now()
    key, certificate = load_key(folder / f"{name}.key"), load_certificate(folder / f"{name}.pem")
    if key is None:
        return Finding("authority", "failed", f"{name}.key is missing or unreadable.", _RESTORE)
    if certificate is None:
        advice = "Start the node: it makes a missing one again. A damaged one must be removed before."
        return Finding("authority", "failed", f"{name}.pem is missing or unreadable.", advice)
    if public_bytes(key.public_key()) != public_bytes(certificate.public_key()):
        return Finding("authority", "failed", f"{name}.key does not fit {name}.pem.", _RESTORE)
    end = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now < end:
        return Finding(
            "authority", "failed", f"{name}.pem is not valid today.", "Check the clock first; else call support."
        )
    if end - now < AUTHORITY_WARNING:
        advice = "Plan the change: every phone must be enrolled again."
        return Finding("authority", "warning", f"{name}.pem ends on {end:%Y-%m-%d}.", advice)
    return None


def server_certificate(patient: Patient) -> Finding:
    """The server's certificate is valid and carries the configured names."""
    path = patient.paths.secrets / "server.pem"
    certificate, now = load_certificate(path), patient.machine.now()
    restart = "Restart the node: it renews the certificate at start."
    if certificate is None:
        return Finding("server certificate", "warning", "There is none yet.", "Start the node: it makes one.")
    end = certificate.not_valid_after_utc
    if now >= end:
        return Finding(
            "server certificate", "failed", f"It ended on {end:%Y-%m-%d}; phones refuse to connect.", restart
        )
    if now < certificate.not_valid_before_utc:
        return Finding(
            "server certificate", "failed", "It is not valid yet.", "Check the clock, then restart the node."
        )
    wanted = {str(name.value) for name in general_names(server_names(patient.config))}
    if missing := sorted(wanted - names_in(certificate)):
        return Finding("server certificate", "warning", f"It lacks the name {', '.join(missing)}.", restart)
    if end - now < RENEW_BEFORE:
        return Finding("server certificate", "warning", f"It ends on {end:%Y-%m-%d}.", restart)
    return Finding("server certificate", "ok", f"Valid until {end:%Y-%m-%d}.")


def secret_modes(patient: Patient) -> Finding:
    """Nobody but the owner can read the secrets, and the owner is us."""
    folder = patient.paths.secrets
    if not folder.exists():
        return Finding("secrets", "warning", "There is no secrets folder yet.", "Run: prontuario init")
    loose = [path.name for path in (folder, *sorted(folder.iterdir())) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if loose:
        return Finding("secrets", "failed", f"Others can read {', '.join(loose)}.", f"Run: chmod -R go-rwx {folder}")
    foreign = [path.name for path in (folder, *sorted(folder.iterdir())) if path.stat().st_uid != os.geteuid()]
    if foreign and os.geteuid() != 0:
        return Finding(
            "secrets",
            "failed",
            f"{', '.join(foreign)} belongs to another user.",
            f"Run: sudo chown -R $(id -u) {folder}",
        )
    return Finding("secrets", "ok", "Only the owner can read the secrets.")


def master_key(patient: Patient) -> Finding:
    """The master key opens and is the one of this record."""
    try:
        kept = read_wrapped(patient.paths)
        proof = read_record(patient, _proof)
        if kept is None:
            return _no_master_key(has_keys=proof is not None)
        if kept.protector == "passphrase" and not {PASSPHRASE_VARIABLE, PASSPHRASE_FD_VARIABLE} & os.environ.keys():
            return Finding("master key", "warning", "It is protected by a passphrase, which was not given.",
                           f"To check it, set {PASSPHRASE_VARIABLE} and run doctor again.")  # fmt: skip
        master = unwrap(kept, protector_for(kept.protector, patient.config, patient.paths))
        if proof is not None:
            Vault(master).verify_proof(proof)
    except ProntuarioError as error:
        return Finding(
            "master key", "failed", error.sentence("en"), "Restore secrets/master.json, or the protector's key."
        )
    if kept.protector == "file":
        return Finding("master key", "warning", "It is protected by a plain file: for development only.",
                       "In production set node.profile = 'production' and security.master_key.")  # fmt: skip
    return Finding("master key", "ok", f"It opens; protected by {kept.protector}.")


def _no_master_key(*, has_keys: bool) -> Finding:
    if has_keys:
        return Finding("master key", "failed", "secrets/master.json is missing, and the record needs it.",
                       "Restore it from its backup. Do not start the node before: it would make a new key.")  # fmt: skip
    return Finding("master key", "warning", "There is none yet.", "Run: prontuario init")


def _proof(q: Query) -> bytes | None:
    row = q.one("SELECT proof FROM security_vault")
    return row[0] if row is not None and isinstance(row[0], bytes) else None
