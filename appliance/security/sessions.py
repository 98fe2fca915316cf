"""Sessions and their tokens: functions on a transaction.

Tokens are 256 random bits, kept only as SHA-256, bound to the device certificate by its fingerprint (RFC 8705 §3). A refresh
token works once; its second use ends the whole session (RFC 9700 §4.14.2), except for a phone that lost our answer: within
``RETRY_GRACE_S``, on the same certificate, while nothing of the successor was used, it gets another pair.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from appliance.plugin_api.errors import NOT_FOUND, ErrorKind
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security.errors import (
    AUTH_DEVICE_MISMATCH,
    AUTH_EXPIRED,
    AUTH_REFRESH_REUSED,
    AUTH_REQUIRED,
    AUTH_REVOKED,
)
from appliance.security.steady_time import SteadyTime

RETRY_GRACE_S: Final = 30.0
_KEEP_EXPIRED_S: Final = 86_400.0
"""Expired tokens are kept a day, so that their holder is told "expired" and not "unknown"."""


class Tokens(msgspec.Struct, frozen=True):
    """What a client keeps. Lifetimes in seconds."""

    access_token: str
    access_expires_in: float
    refresh_token: str
    refresh_expires_in: float
    session_id: str
    user_id: str


class Session(msgspec.Struct, frozen=True):
    """A session as an administrator sees it."""

    id: str
    user_id: str
    device_id: str
    created_at: str
    revoked_at: str | None
    revoked_reason: str | None


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds."""

    access_s: float
    refresh_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal whose traces must be kept (an exception would undo them). ``session_id`` was ended by it, if set."""

    kind: ErrorKind
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A valid access token: whose it is and how long it lasts."""

    session_id: str
    user_id: str
    username: str
    role: str
    practitioner_id: str | None
    device_id: str
    fingerprint: bytes
    remaining_s: float
    generation: int


def token_digest(token: str) -> bytes:
    """What of a token is kept."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def start(
    tx: Transaction, time: SteadyTime, lifetimes: Lifetimes, *, user_id: str, device_id: str, fingerprint: bytes
) -> Tokens:
    """Begin a session and clear away tokens that ended long ago."""
    tx.execute("DELETE FROM security_token WHERE expires_at < ?", (time.instant(after_s=-_KEEP_EXPIRED_S),))
    session_id = secrets.token_hex(16)
    tx.execute(
        "INSERT INTO security_session (id, user_id, device_id, fingerprint, created_at) VALUES (?, ?, ?, ?, ?)",
        (session_id, user_id, device_id, fingerprint, time.instant()),
    )
    return _issue(tx, time, lifetimes, session_id, user_id)


def rotate(
    tx: Transaction,
    time: SteadyTime,
    lifetimes: Lifetimes,
    *,
    refresh_token: str,
    fingerprint: bytes,
    seen: Mapping[str, int],
) -> Tokens | Refused:
    """Exchange a refresh token for a new pair. ``seen``: the newest generation of access tokens used, by session."""
    row = tx.one(
        "SELECT t.sha256, t.generation, t.issued_at, t.expires_at, t.replaced_at, s.id AS session_id, s.user_id, s.device_id,"
        " s.revoked_at, u.disabled_at, d.revoked_at AS device_revoked_at FROM security_token t"
        " JOIN security_session s ON s.id = t.session_id JOIN security_user u ON u.id = s.user_id"
        " JOIN security_device d ON d.id = s.device_id WHERE t.sha256 = ? AND t.kind = 'refresh'",
        (token_digest(refresh_token),),
    )
    if row is None:
        return Refused(AUTH_REQUIRED)
    session_id = str(row["session_id"])
    if any(row[column] is not None for column in ("revoked_at", "disabled_at", "device_revoked_at")):
        return Refused(AUTH_REVOKED)
    if not _is_certificate_of(tx, str(row["device_id"]), fingerprint):
        return Refused(AUTH_DEVICE_MISMATCH)
    if row["replaced_at"] is not None and _is_theft(tx, time, row, seen.get(session_id, 0)):
        revoke(tx, time, session_id=session_id, reason="refresh_reused")
        return Refused(AUTH_REFRESH_REUSED, session_id)
    if time.remaining_s(str(row["issued_at"]), str(row["expires_at"])) <= 0:
        return Refused(AUTH_EXPIRED)
    _spend(tx, time, row, fingerprint)
    return _issue(tx, time, lifetimes, session_id, str(row["user_id"]), _generation(row) + 1)


def find_live(q: Query, time: SteadyTime, digest: bytes) -> LiveSession | ErrorKind:
    """The session of an access token, or why it does not count."""
    row = q.one(
        "SELECT t.generation, t.issued_at, t.expires_at, s.id AS session_id, s.user_id, s.device_id, s.fingerprint,"
        " s.revoked_at, u.username, u.role, u.practitioner_id, u.disabled_at, d.revoked_at AS device_revoked_at"
        " FROM security_token t"
        " JOIN security_session s ON s.id = t.session_id JOIN security_user u ON u.id = s.user_id"
        " JOIN security_device d ON d.id = s.device_id WHERE t.sha256 = ? AND t.kind = 'access'",
        (digest,),
    )
    if row is None:
        return AUTH_REQUIRED
    if any(row[column] is not None for column in ("revoked_at", "disabled_at", "device_revoked_at")):
        return AUTH_REVOKED
    remaining = time.remaining_s(str(row["issued_at"]), str(row["expires_at"]))
    if remaining <= 0:
        return AUTH_EXPIRED
    practitioner, fingerprint = row["practitioner_id"], row["fingerprint"]
    return LiveSession(
        session_id=str(row["session_id"]),
        user_id=str(row["user_id"]),
        username=str(row["username"]),
        role=str(row["role"]),
        practitioner_id=None if practitioner is None else str(practitioner),
        device_id=str(row["device_id"]),
        fingerprint=fingerprint if isinstance(fingerprint, bytes) else b"",
        remaining_s=remaining,
        generation=_generation(row),
    )


def revoke(
    tx: Transaction,
    time: SteadyTime,
    *,
    reason: str,
    session_id: str | None = None,
    user_id: str | None = None,
    device_id: str | None = None,
    keep_session: str | None = None,
) -> int:
    """End sessions by id, person or device, except ``keep_session``; how many."""
    return tx.execute(
        "UPDATE security_session SET revoked_at = ?, revoked_reason = ?"
        " WHERE revoked_at IS NULL AND (id = ? OR user_id = ? OR device_id = ?) AND id IS NOT ?",
        (time.instant(), reason, session_id, user_id, device_id, keep_session),
    )


def get_session(q: Query, session_id: str) -> Session:
    """A session by id.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(
        "SELECT id, user_id, device_id, created_at, revoked_at, revoked_reason FROM security_session WHERE id = ?",
        (session_id,),
    )
    if row is None:
        raise NOT_FOUND(what=f"session/{session_id}")
    return _session(row)


def list_sessions(q: Query, *, user_id: str | None = None, limit: int = 500) -> list[Session]:
    """Sessions that are not revoked, newest first; of one person, if given."""
    rows = q.all(
        "SELECT id, user_id, device_id, created_at, revoked_at, revoked_reason FROM security_session"
        " WHERE revoked_at IS NULL AND (? IS NULL OR user_id = ?) ORDER BY rowid DESC LIMIT ?",
        (user_id, user_id, limit),
    )
    return [_session(row) for row in rows]


def _issue(  # noqa: PLR0917  private
    tx: Transaction, time: SteadyTime, lifetimes: Lifetimes, session_id: str, user_id: str, generation: int = 1
) -> Tokens:
    access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    for token, kind, seconds in ((access, "access", lifetimes.access_s), (refresh, "refresh", lifetimes.refresh_s)):
        tx.execute(
            "INSERT INTO security_token (sha256, session_id, kind, generation, issued_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (token_digest(token), session_id, kind, generation, time.instant(), time.instant(after_s=seconds)),
        )
    return Tokens(access, lifetimes.access_s, refresh, lifetimes.refresh_s, session_id, user_id)


def _spend(tx: Transaction, time: SteadyTime, row: Row, fingerprint: bytes) -> None:
    """Mark the token as used and forget a successor that never arrived. Access tokens live on until their own end."""
    session_id = str(row["session_id"])
    tx.execute(
        "DELETE FROM security_token WHERE session_id = ? AND kind = 'refresh' AND generation > ?",
        (session_id, _generation(row)),
    )
    tx.execute(
        "UPDATE security_token SET replaced_at = coalesce(replaced_at, ?) WHERE sha256 = ?",
        (time.instant(), row["sha256"]),
    )
    tx.execute("UPDATE security_session SET fingerprint = ? WHERE id = ?", (fingerprint, session_id))


def _is_theft(tx: Transaction, time: SteadyTime, row: Row, newest_seen: int) -> bool:
    """Whether a spent token's reuse is no innocent retry: too late, or something of a later pair was used."""
    if newest_seen > _generation(row) or not 0 <= time.elapsed_s(str(row["replaced_at"])) <= RETRY_GRACE_S:
        return True
    later = tx.one(
        "SELECT 1 FROM security_token WHERE session_id = ? AND kind = 'refresh' AND generation > ?"
        " AND replaced_at IS NOT NULL LIMIT 1",
        (str(row["session_id"]), _generation(row)),
    )
    return later is not None


def _generation(row: Row) -> int:
    value = row["generation"]
    return value if isinstance(value, int) else 0


def _is_certificate_of(q: Query, device_id: str, fingerprint: bytes) -> bool:
    row = q.one(
        "SELECT fingerprint FROM security_certificate WHERE fingerprint = ? AND device_id = ?", (fingerprint, device_id)
    )
    stored = b"" if row is None else row[0]
    return isinstance(stored, bytes) and hmac.compare_digest(stored, fingerprint)


def _session(row: Row) -> Session:
    return msgspec.convert(dict(zip(Session.__struct_fields__, row, strict=True)), Session)
