"""Devices and the one-time codes that enrol them: functions on a transaction."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime
from typing import Final

import msgspec

from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security import signing
from appliance.security.authority import Authority, IssuedCertificate
from appliance.security.errors import ENROLMENT_EXPIRED, ENROLMENT_REFUSED, ENROLMENT_USED
from appliance.security.steady_time import SteadyTime
from appliance.telemetry.clock import instant

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no letter looks like a digit
_ID_LENGTH: Final = 5
_SECRET_LENGTH: Final = 20
_GROUP: Final = 5
MAX_WRONG_ATTEMPTS: Final = 5
_SELECT: Final = (
    "SELECT d.id, d.user_id, d.name, d.enrolled_at, d.revoked_at,"
    " (SELECT max(c.not_after) FROM security_certificate c WHERE c.device_id = d.id) AS not_after FROM security_device d"
)


class Device(msgspec.Struct, frozen=True):
    """An enrolled device. ``user_id`` None: a shared one, on which any person may log in."""

    id: str
    user_id: str | None
    name: str
    enrolled_at: str
    revoked_at: str | None
    not_after: str | None


class EnrolmentCode(msgspec.Struct, frozen=True):
    """A fresh code. It is shown once; only a hash is kept."""

    code: str
    expires_at: str


class Enrolled(msgspec.Struct, frozen=True):
    """What a device gets: its id, its certificate chain and the root to trust, all PEM."""

    device_id: str
    user_id: str | None
    certificate: str
    ca: str
    not_after: str
    signing_key_id: str | None = None


def create_code(
    tx: Transaction, time: SteadyTime, *, user_id: str | None, lifetime_s: float, created_by: str | None
) -> EnrolmentCode:
    """A code that enrols one device for ``user_id`` (None: a shared device). 100 random bits beyond its id."""
    code_id, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
    expires_at = time.instant(after_s=lifetime_s)
    tx.execute(
        "INSERT INTO security_enrolment_code (id, secret_sha256, user_id, created_by, created_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (code_id, _digest(code_id, secret), user_id, created_by, time.instant(), expires_at),
    )
    whole = code_id + secret
    return EnrolmentCode("-".join(whole[at : at + _GROUP] for at in range(0, len(whole), _GROUP)), expires_at)


def is_wrong_attempt(q: Query, code: str) -> bool:
    """Whether the secret is wrong for a code that exists."""
    code_id, secret = _parts(code)
    row = q.one("SELECT secret_sha256 FROM security_enrolment_code WHERE id = ?", (code_id,))
    return row is not None and not _same(row["secret_sha256"], _digest(code_id, secret))


def count_wrong_attempt(tx: Transaction, code: str) -> None:
    """Count it, in a transaction of its own (a refusal undoes its transaction)."""
    sql = "UPDATE security_enrolment_code SET wrong_attempts = wrong_attempts + 1 WHERE id = ?"
    tx.execute(sql, (_parts(code)[0],))


def enrol(
    tx: Transaction,
    authority: Authority,
    time: SteadyTime,
    now: datetime,
    *,
    code: str,
    csr: bytes,
    name: str,
    signing_public_key: bytes | None = None,
) -> Enrolled:
    """Spend ``code`` and certify the key in ``csr``. A refused request leaves the code unspent.

    Raises:
        ProntuarioError: ``enrolment.refused|expired|used`` 403, ``enrolment.csr`` 422, ``invalid`` 422.
    """
    code_id, secret = _parts(code)
    row = tx.one("SELECT * FROM security_enrolment_code WHERE id = ?", (code_id,))
    expected = b"" if row is None else row["secret_sha256"]
    if not _same(expected, _digest(code_id, secret)) or row is None:
        raise ENROLMENT_REFUSED(field="code")
    wrong = row["wrong_attempts"]
    if not isinstance(wrong, int) or wrong >= MAX_WRONG_ATTEMPTS:
        raise ENROLMENT_REFUSED(field="code")
    if row["used_at"] is not None:
        raise ENROLMENT_USED(field="code")
    if time.remaining_s(str(row["created_at"]), str(row["expires_at"])) <= 0:
        raise ENROLMENT_EXPIRED(field="code")
    user_id = None if row["user_id"] is None else str(row["user_id"])
    enrolled = enrol_directly(
        tx, authority, now, csr=csr, name=name, user_id=user_id, signing_public_key=signing_public_key
    )
    tx.execute(
        "UPDATE security_enrolment_code SET used_at = ?, device_id = ? WHERE id = ?",
        (time.instant(), enrolled.device_id, code_id),
    )
    return enrolled


def enrol_directly(
    tx: Transaction,
    authority: Authority,
    now: datetime,
    *,
    csr: bytes,
    name: str,
    user_id: str | None,
    signing_public_key: bytes | None = None,
) -> Enrolled:
    """Enrol without a code: for this machine's own parts (the dashboard, the command line)."""
    device_id = secrets.token_hex(16)
    issued = authority.issue_device_certificate(csr, device_id, now)
    tx.execute(
        "INSERT INTO security_device (id, user_id, name, enrolled_at) VALUES (?, ?, ?, ?)",
        (device_id, user_id, name, instant(now)),
    )
    _keep_certificate(tx, device_id, issued, now)
    key_id = None
    if signing_public_key is not None and user_id is not None:
        key_id = signing.register_device_key(tx, user_id, device_id, signing_public_key, instant(now))
    return _enrolled(authority, device_id, user_id, issued, key_id)


def renew(tx: Transaction, authority: Authority, now: datetime, *, device_id: str, csr: bytes) -> Enrolled:
    """A further certificate for an enrolled device; the one before works until its end, should this answer get lost.

    Raises:
        ProntuarioError: ``not_found`` 404, ``enrolment.csr`` 422.
    """
    device = get_device(tx, device_id)
    if device.revoked_at is not None:
        raise NOT_FOUND(what=f"device/{device_id}")
    issued = authority.issue_device_certificate(csr, device_id, now)
    _keep_certificate(tx, device_id, issued, now)
    return _enrolled(authority, device_id, device.user_id, issued, None)


def get_device(q: Query, device_id: str) -> Device:
    """A device by id.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(_SELECT + " WHERE d.id = ?", (device_id,))
    if row is None:
        raise NOT_FOUND(what=f"device/{device_id}")
    return _device(row)


def find_by_fingerprint(q: Query, fingerprint: bytes) -> Device | None:
    """The device that has this certificate (SHA-256 of the DER)."""
    owner = q.one("SELECT device_id FROM security_certificate WHERE fingerprint = ?", (fingerprint,))
    row = None if owner is None else q.one(_SELECT + " WHERE d.id = ?", (owner[0],))
    return None if row is None else _device(row)


def list_devices(q: Query, *, user_id: str | None = None, limit: int = 500) -> list[Device]:
    """Devices, newest first; of one person, if given."""
    if user_id is None:
        return [_device(row) for row in q.all(_SELECT + " ORDER BY d.rowid DESC LIMIT ?", (limit,))]
    rows = q.all(_SELECT + " WHERE d.user_id = ? ORDER BY d.rowid DESC LIMIT ?", (user_id, limit))
    return [_device(row) for row in rows]


def revoke_device(tx: Transaction, device_id: str, now: str) -> Device:
    """The device can do nothing any more. Its sessions are ended by ``Identity``."""
    get_device(tx, device_id)
    tx.execute("UPDATE security_device SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, device_id))
    signing.retire_keys(tx, now, device_id=device_id)
    return get_device(tx, device_id)


def _keep_certificate(tx: Transaction, device_id: str, issued: IssuedCertificate, now: datetime) -> None:
    tx.execute(
        "INSERT INTO security_certificate (fingerprint, device_id, serial, not_after, issued_at) VALUES (?, ?, ?, ?, ?)",
        (issued.fingerprint, device_id, issued.serial, instant(issued.not_after), instant(now)),
    )


def _enrolled(
    authority: Authority, device_id: str, user_id: str | None, issued: IssuedCertificate, key_id: str | None
) -> Enrolled:
    root = authority.root_pem.decode()
    return Enrolled(device_id, user_id, issued.chain_pem, root, instant(issued.not_after), key_id)


def _device(row: Row) -> Device:
    return msgspec.convert(dict(zip(Device.__struct_fields__, row, strict=True)), Device)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _parts(code: str) -> tuple[str, str]:
    """(id, secret) of a code as typed: any case, any separators, O for 0 and I or L for 1."""
    plain = code.upper().translate(str.maketrans("OIL", "011", "- \t\n"))
    return plain[:_ID_LENGTH], plain[_ID_LENGTH:]


def _digest(code_id: str, secret: str) -> bytes:
    return hashlib.sha256(f"{code_id}|{secret}".encode()).digest()


def _same(stored: object, computed: bytes) -> bool:
    return hmac.compare_digest(stored if isinstance(stored, bytes) else b"", computed)
