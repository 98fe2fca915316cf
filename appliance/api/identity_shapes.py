"""Bodies and answers of ``/api`` for identity: people, devices, sessions, the audit log."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from appliance.security.audit import AuditRow
from appliance.security.devices import Device
from appliance.security.sessions import Session
from appliance.security.signing import PublicKey
from appliance.security.users import User

Username = Annotated[str, Meta(min_length=2, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Password = Annotated[str, Meta(min_length=1, max_length=256)]
Token = Annotated[str, Meta(min_length=1, max_length=128)]
Label = Annotated[str, Meta(min_length=1, max_length=120)]
Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
CertificateRequest = Annotated[str, Meta(min_length=1, max_length=8192)]
Role = Literal["physician", "nurse", "auditor", "admin", "it"]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class EnrolmentRequest(_Body, frozen=True):
    """``csr`` is a PEM PKCS#10 request; ``signing_public_key`` base64 of 32 bytes if the device signs by itself."""

    code: Annotated[str, Meta(min_length=10, max_length=64)]
    csr: CertificateRequest
    device_name: Label = "iPhone"
    signing_public_key: Annotated[str, Meta(max_length=64)] | None = None


class LoginRequest(_Body, frozen=True):
    """Name and password; the device is told by its certificate."""

    username: Annotated[str, Meta(min_length=1, max_length=64)]
    password: Password


class RefreshRequest(_Body, frozen=True):
    """A refresh token, which works once."""

    refresh_token: Token


class PasswordChange(_Body, frozen=True):
    """One's own password."""

    current_password: Password
    new_password: Password


class PasswordReset(_Body, frozen=True):
    """Another person's new password, given by an administrator."""

    new_password: Password


class NewUser(_Body, frozen=True):
    """Without a password the person can't log in until one is set."""

    username: Username
    role: Role
    display_name: Label
    password: Password | None = None
    practitioner_id: Identifier | None = None


class UserChange(_Body, frozen=True):
    """What is left out stays as it is."""

    display_name: Label | None = None
    role: Role | None = None
    practitioner_id: Identifier | None = None
    disabled: bool | None = None


class CertificateRenewal(_Body, frozen=True):
    """A PEM PKCS#10 request for the same or a new key."""

    csr: CertificateRequest


class Me(msgspec.Struct, frozen=True):
    """The person, device and session that ask, and what they may do."""

    user: User
    device_id: str
    session_id: str
    permissions: tuple[str, ...]


class UserList(msgspec.Struct, frozen=True):
    """People by username; ``next`` is the value of ``after`` for the next page."""

    users: list[User]
    next: str | None


class DeviceList(msgspec.Struct, frozen=True):
    """Devices, newest first."""

    devices: list[Device]


class SessionList(msgspec.Struct, frozen=True):
    """Sessions that were not ended, newest first."""

    sessions: list[Session]


class Ended(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    sessions: int


class CodeForDevice(msgspec.Struct, frozen=True):
    """A one-time code: ``uri`` is what the QR shows (address, code, pin of the root key)."""

    code: str
    uri: str
    expires_at: str


class SigningKeys(msgspec.Struct, frozen=True):
    """Public keys (base64 Ed25519), newest first, retired ones included."""

    user_id: str
    keys: list[PublicKey]


class AuditPage(msgspec.Struct, frozen=True):
    """Events, newest first; ``next`` is the value of ``before`` for the next page."""

    events: list[AuditRow]
    next: int | None


class InclusionProof(msgspec.Struct, frozen=True):
    """RFC 6962 §2.1.1: ``leaf`` is SHA-256(0x00 ‖ body); all hashes in hex, from the leaf upwards."""

    seq: int
    body: str
    leaf: str
    size: int
    root: str
    hashes: tuple[str, ...]


class ConsistencyProof(msgspec.Struct, frozen=True):
    """RFC 6962 §2.1.2: that the tree of ``new`` events begins with the tree of ``old`` events."""

    old: int
    old_root: str
    new: int
    new_root: str
    hashes: tuple[str, ...]
