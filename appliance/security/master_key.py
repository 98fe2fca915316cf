"""The master key on disk: wrapped, in one small file that names its protector."""

from __future__ import annotations

import binascii
import secrets
from base64 import b64decode, b64encode
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from appliance.config.model import Config, Paths
from appliance.security import files
from appliance.security.canonical import canonical
from appliance.security.errors import VAULT_LOCKED
from appliance.security.protectors import Protector, protector_for, protector_kind
from appliance.security.vault import KEY_BYTES, NONCE_BYTES, Vault
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

FILE_NAME: Final = "master.json"
_log = get_logger("vault")


class WrappedMasterKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``wrapped``: base64 of nonce and AES-256-GCM; ``parameters`` are the protector's own."""

    protector: str
    parameters: dict[str, str]
    wrapped: str
    format: int = 1


def open_vault(
    paths: Paths, config: Config, clock: Clock | None = None, *, protector: Protector | None = None
) -> Vault:
    """Open this node's vault, making its master key on the very first call. Takes a second or so with a passphrase.

    Afterwards ``Vault.check(tx)`` proves that it is the master key of this very database.

    Raises:
        ProntuarioError: ``vault.locked`` 503 with the reason.
    """
    files.make_private_folder(paths.secrets)
    kind = protector_kind(config)
    with files.exclusive(paths.secrets):
        files.remove_half_written(paths.secrets)
        kept = read_wrapped(paths)
        if kept is not None and kept.protector != kind and protector is None:
            raise VAULT_LOCKED(reason=f"the key is protected by {kept.protector}, the configuration says {kind}")
        keeper = protector or protector_for(kind, config, paths)
        master = (
            save_master_key(paths, keeper, secrets.token_bytes(KEY_BYTES)) if kept is None else unwrap(kept, keeper)
        )
    if keeper.name == "file":
        _log.warning("the master key is protected by a plain file: development only")
    return Vault(master, clock)


def save_master_key(paths: Paths, protector: Protector, master: bytes) -> bytes:
    """Wrap ``master`` under a new key of ``protector`` and keep it, replacing what was there; ``master`` again."""
    key, parameters = protector.make()
    nonce = secrets.token_bytes(NONCE_BYTES)
    wrapped = nonce + AESGCM(key).encrypt(nonce, master, _context(protector.name, parameters))
    kept = WrappedMasterKey(protector.name, parameters, b64encode(wrapped).decode())
    files.write_file(paths.secrets / FILE_NAME, msgspec.json.encode(kept) + b"\n")
    return master


def read_wrapped(paths: Paths) -> WrappedMasterKey | None:
    """The wrapped key; None before the first start.

    Raises:
        ProntuarioError: ``vault.locked`` when the file is damaged.
    """
    path = paths.secrets / FILE_NAME
    if not path.exists():
        return None
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=WrappedMasterKey)
    except (OSError, msgspec.DecodeError) as error:
        raise VAULT_LOCKED(reason=f"{FILE_NAME} is damaged") from error
    if kept.format != 1:
        raise VAULT_LOCKED(reason=f"{FILE_NAME} is of a newer version")
    return kept


def unwrap(kept: WrappedMasterKey, protector: Protector) -> bytes:
    """The master key, which ``protector`` must know the key for.

    Raises:
        ProntuarioError: ``vault.locked`` 503 with the reason.
    """
    try:
        raw = b64decode(kept.wrapped, validate=True)
        key = protector.key(kept.parameters)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _context(kept.protector, kept.parameters))
    except (InvalidTag, binascii.Error, ValueError) as error:
        reason = "wrong passphrase" if kept.protector == "passphrase" else "the key does not fit"
        raise VAULT_LOCKED(reason=reason) from error


def _context(name: str, parameters: dict[str, str]) -> bytes:
    return b"prontuario/master/1" + canonical({"protector": name, "parameters": parameters})
