"""Personal signatures: Ed25519 (RFC 8032) over the canonical form (RFC 8785) of what is signed.

What is signed is the canonical form of ``{"algorithm", "key_id", "payload", "signed_at"}``: the moment and the key can't be
swapped without breaking the signature. Anyone with the public key can check it with two libraries and no server.
A person's key lives sealed in the vault; a phone may hold one of its own, registered when it enrolled.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from typing import Any, Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.plugin_api.errors import INVALID
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security.canonical import canonical
from appliance.security.errors import NO_SIGNING_KEY
from appliance.security.vault import Vault
from appliance.telemetry.clock import SystemClock, instant

__all__ = [
    "PublicKey",
    "Signature",
    "canonical",
    "create_key",
    "public_keys",
    "register_device_key",
    "retire_keys",
    "sign",
    "verify",
    "verify_with_registered",
]

ALGORITHM: Final = "Ed25519"
_PUBLIC_KEY_BYTES: Final = 32


class Signature(msgspec.Struct, frozen=True):
    """A signature that verifies by itself: keys and value in standard base64, ``signed_at`` a FHIR instant."""

    algorithm: Literal["Ed25519"]
    key_id: str
    public_key: str
    value: str
    signed_at: str


class PublicKey(msgspec.Struct, frozen=True):
    """A person's public key; ``device_id`` is set when the private half never leaves that device."""

    key_id: str
    public_key: str
    created_at: str
    retired_at: str | None
    device_id: str | None


def create_key(tx: Transaction, vault: Vault, user_id: str, now: str) -> str:
    """Make a person's signing key and retire the one before; the new key's id."""
    tx.execute(
        "UPDATE security_signing_key SET retired_at = ? WHERE user_id = ? AND device_id IS NULL AND retired_at IS NULL",
        (now, user_id),
    )
    key, key_id = Ed25519PrivateKey.generate(), secrets.token_hex(16)
    tx.execute(
        "INSERT INTO security_signing_key (id, user_id, public_key, sealed_private_key, created_at) VALUES (?, ?, ?, ?, ?)",
        (
            key_id,
            user_id,
            key.public_key().public_bytes_raw(),
            vault.seal(key.private_bytes_raw(), _context(user_id, key_id)),
            now,
        ),
    )
    return key_id


def register_device_key(tx: Transaction, user_id: str, device_id: str, public_key: bytes, now: str) -> str:
    """Remember a public key (32 raw bytes) whose private half the device keeps; its id.

    Raises:
        ProntuarioError: ``invalid`` 422 when the bytes are no Ed25519 public key.
    """
    if len(public_key) != _PUBLIC_KEY_BYTES:
        raise INVALID(field="signing_public_key", name="signing_public_key", reason="not 32 bytes")
    key_id = secrets.token_hex(16)
    tx.execute(
        "INSERT INTO security_signing_key (id, user_id, device_id, public_key, created_at) VALUES (?, ?, ?, ?, ?)",
        (key_id, user_id, device_id, public_key, now),
    )
    return key_id


def retire_keys(tx: Transaction, now: str, *, user_id: str | None = None, device_id: str | None = None) -> None:
    """No new signature with these keys; old signatures stay valid."""
    tx.execute(
        "UPDATE security_signing_key SET retired_at = ? WHERE retired_at IS NULL AND (user_id = ? OR device_id = ?)",
        (now, user_id, device_id),
    )


def sign(q: Query, vault: Vault, user_id: str, payload: Any, *, signed_at: str | None = None) -> Signature:
    """Sign ``payload`` (a JSON value) with the person's key in the vault. ``signed_at``: now, if None.

    Raises:
        ProntuarioError: ``signing.no_key`` 409; ``vault.damaged`` 500.
        ValueError: ``payload`` has no canonical form.
    """
    row = q.one(
        "SELECT id, public_key, sealed_private_key FROM security_signing_key"
        " WHERE user_id = ? AND device_id IS NULL AND retired_at IS NULL ORDER BY rowid DESC LIMIT 1",
        (user_id,),
    )
    if row is None:
        raise NO_SIGNING_KEY()
    key_id, moment = str(row["id"]), signed_at or instant(SystemClock().now())
    secret = vault.open(_bytes(row, "sealed_private_key"), _context(user_id, key_id))
    value = Ed25519PrivateKey.from_private_bytes(secret).sign(signed_bytes(payload, key_id, moment))
    return Signature(ALGORITHM, key_id, _base64(_bytes(row, "public_key")), _base64(value), moment)


def verify(payload: Any, signature: Signature) -> bool:
    """Whether the signature fits ``payload`` and its own public key. Whose key that is, ``verify_with_registered`` tells."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature.public_key, validate=True))
        message = signed_bytes(payload, signature.key_id, signature.signed_at)
        key.verify(base64.b64decode(signature.value, validate=True), message)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def verify_with_registered(q: Query, user_id: str, payload: Any, signature: Signature) -> bool:
    """Whether it verifies *and* the key is one that this person had when signing (own or on their device)."""
    row = q.one(
        "SELECT public_key, created_at, retired_at FROM security_signing_key WHERE id = ? AND user_id = ?",
        (signature.key_id, user_id),
    )
    if row is None or _base64(_bytes(row, "public_key")) != signature.public_key:
        return False
    retired = row["retired_at"]
    if retired is not None and signature.signed_at > str(retired):
        return False
    return verify(payload, signature)


def public_keys(q: Query, user_id: str) -> list[PublicKey]:
    """Every key of a person, newest first, retired ones too: old signatures must stay checkable."""
    rows = q.all(
        "SELECT id, public_key, created_at, retired_at, device_id FROM security_signing_key"
        " WHERE user_id = ? ORDER BY rowid DESC",
        (user_id,),
    )
    return [
        PublicKey(str(row["id"]), _base64(_bytes(row, "public_key")), str(row["created_at"]), _text(row, "retired_at"),
                  _text(row, "device_id"))
        for row in rows
    ]  # fmt: skip


def signed_bytes(payload: Any, key_id: str, signed_at: str) -> bytes:
    """The exact bytes under a signature."""
    return canonical({"algorithm": ALGORITHM, "key_id": key_id, "payload": payload, "signed_at": signed_at})


def _context(user_id: str, key_id: str) -> bytes:
    return f"signing-key\x00{user_id}\x00{key_id}".encode()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(row: Row, column: str) -> bytes:
    value = row[column]
    if not isinstance(value, bytes):
        raise NO_SIGNING_KEY()
    return value


def _text(row: Row, column: str) -> str | None:
    value = row[column]
    return None if value is None else str(value)
