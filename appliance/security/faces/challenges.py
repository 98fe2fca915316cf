"""Challenges at rest: handed out once, taken once, on the session and certificate that asked. Functions on a transaction."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from appliance.plugin_api.errors import ErrorKind
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.security.certificates import fingerprint
from appliance.security.faces import backoff
from appliance.security.faces.errors import (
    CHALLENGE_EXPIRED,
    CHALLENGE_FOREIGN,
    CHALLENGE_UNKNOWN,
    CHALLENGE_USED,
    REPLAYED,
)
from appliance.security.faces.gestures import Gesture
from appliance.security.steady_time import SteadyTime

NONCE_BYTES: Final = 32
SETTLE_WITHIN_S: Final = 120.0
"""From taking the frames to the verdict: a model that takes longer has to be asked anew."""
_KEEP_S: Final = 86_400.0
_DAY_S: Final = 86_400.0


class Challenge(msgspec.Struct, frozen=True):
    """What a device is asked to do: frames of ``steps`` in this order, straight ones before and after, within ``expires_in`` s."""

    nonce: str
    purpose: str
    steps: tuple[Gesture, ...]
    expires_in: float
    fewest_frames: int
    most_frames: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in which session, on which certificate."""

    user_id: str
    session_id: str
    fingerprint: bytes

    @classmethod
    def of(cls, who: Principal, certificate_der: bytes) -> Caller:
        """The caller of a request that was authenticated on this certificate."""
        return cls(who.user_id, who.session_id, fingerprint(certificate_der))


def hand_out(
    tx: Transaction, time: SteadyTime, caller: Caller, purpose: str, steps: Sequence[Gesture], *, lifetime_s: float
) -> str:
    """A new challenge's nonce; an older one of the same session counts no more."""
    tx.execute("DELETE FROM security_face_challenge WHERE expires_at < ?", (time.instant(after_s=-_KEEP_S),))
    tx.execute("DELETE FROM security_face_challenge WHERE session_id = ? AND taken_at IS NULL", (caller.session_id,))
    nonce = secrets.token_urlsafe(NONCE_BYTES)
    tx.execute(
        "INSERT INTO security_face_challenge"
        " (nonce_sha256, purpose, user_id, session_id, fingerprint, steps, issued_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            _digest(nonce), purpose, caller.user_id, caller.session_id, caller.fingerprint, " ".join(steps),
            time.instant(), time.instant(after_s=lifetime_s),
        ),
    )  # fmt: skip
    return nonce


def take(
    tx: Transaction, time: SteadyTime, caller: Caller, purpose: str, nonce: str
) -> tuple[Gesture, ...] | ErrorKind:
    """Spend a challenge: its steps, or why it does not count (a value, so that the transaction's other traces stay)."""
    row = _find(tx, nonce)
    if row is None:
        return CHALLENGE_UNKNOWN
    if not _belongs(row, caller) or row["purpose"] != purpose:
        return CHALLENGE_FOREIGN
    if row["taken_at"] is not None:
        return CHALLENGE_USED
    tx.execute(
        "UPDATE security_face_challenge SET taken_at = ? WHERE nonce_sha256 = ?", (time.instant(), _digest(nonce))
    )
    if time.remaining_s(str(row["issued_at"]), str(row["expires_at"])) <= 0:
        return CHALLENGE_EXPIRED
    return tuple(Gesture(step) for step in str(row["steps"]).split())


def settle(tx: Transaction, time: SteadyTime, caller: Caller, nonce: str) -> None:
    """The frames of a taken challenge were right: once, by the same caller, and soon after.

    Raises:
        ProntuarioError: ``faces.challenge_unknown|foreign|used|expired`` 403.
    """
    row = _find(tx, nonce)
    if row is None or row["taken_at"] is None:
        raise CHALLENGE_UNKNOWN()
    if not _belongs(row, caller):
        raise CHALLENGE_FOREIGN()
    if row["settled_at"] is not None:
        raise CHALLENGE_USED()
    if not 0 <= time.elapsed_s(str(row["taken_at"])) <= SETTLE_WITHIN_S:
        raise CHALLENGE_EXPIRED()
    tx.execute(
        "UPDATE security_face_challenge SET settled_at = ? WHERE nonce_sha256 = ?", (time.instant(), _digest(nonce))
    )


def note_frames(tx: Transaction, time: SteadyTime, frames: Sequence[bytes], *, keep_days: int) -> ErrorKind | None:
    """Remember the frames' SHA-256 for ``keep_days``; ``faces.replayed`` when one was sent before, by anybody, or twice now."""
    tx.execute("DELETE FROM security_face_frame WHERE seen_at < ?", (time.instant(after_s=-keep_days * _DAY_S),))
    now = time.instant()
    fresh = sum(
        tx.execute(
            "INSERT INTO security_face_frame (sha256, seen_at) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING",
            (hashlib.sha256(frame).digest(), now),
        )
        for frame in frames
    )
    return None if fresh == len(frames) else REPLAYED


# -- attempts ----------------------------------------------------------------------------------------------------------
def must_wait_s(q: Query, time: SteadyTime, user_id: str) -> float:
    """Seconds until this person may try again; 0: now."""
    attempts, since_s = _attempts(q, time, user_id)
    return backoff.wait_s(attempts, since_s)


def count_attempt(tx: Transaction, time: SteadyTime, user_id: str) -> None:
    """An attempt counts as wrong from its beginning, until ``forgive`` or ``forget_attempt``."""
    attempts, since_s = _attempts(tx, time, user_id)
    tx.execute(
        "INSERT INTO security_face_failure (user_id, attempts, last_at) VALUES (?, ?, ?)"
        " ON CONFLICT (user_id) DO UPDATE SET attempts = excluded.attempts, last_at = excluded.last_at",
        (user_id, backoff.counted(attempts, since_s) + 1, time.instant()),
    )


def close_untold(tx: Transaction, time: SteadyTime, user_id: str, nonce: str) -> None:
    """The attempt told nothing (the model could not answer, a picture was unusable), so it counts no more; once per challenge.

    Bound to the challenge because a request may be repeated under its Idempotency-Key as often as somebody likes.
    """
    closed = tx.execute(
        "UPDATE security_face_challenge SET settled_at = ? WHERE nonce_sha256 = ? AND user_id = ? AND settled_at IS NULL",
        (time.instant(), _digest(nonce), user_id),
    )
    if closed:
        tx.execute("UPDATE security_face_failure SET attempts = max(0, attempts - 1) WHERE user_id = ?", (user_id,))


def forgive(tx: Transaction, user_id: str) -> None:
    """An attempt was right: start anew."""
    tx.execute("DELETE FROM security_face_failure WHERE user_id = ?", (user_id,))


def _attempts(q: Query, time: SteadyTime, user_id: str) -> tuple[int, float]:
    row = q.one("SELECT attempts, last_at FROM security_face_failure WHERE user_id = ?", (user_id,))
    if row is None or not isinstance(row["attempts"], int):
        return 0, 0.0
    return row["attempts"], time.elapsed_s(str(row["last_at"]))


def _find(q: Query, nonce: str) -> Row | None:
    return q.one(
        "SELECT purpose, user_id, session_id, fingerprint, steps, issued_at, expires_at, taken_at, settled_at"
        " FROM security_face_challenge WHERE nonce_sha256 = ?",
        (_digest(nonce),),
    )


def _belongs(row: Row, caller: Caller) -> bool:
    stored = row["fingerprint"]
    same = hmac.compare_digest(stored if isinstance(stored, bytes) else b"", caller.fingerprint)
    return same and (row["user_id"], row["session_id"]) == (caller.user_id, caller.session_id)


def _digest(nonce: str) -> bytes:
    return hashlib.sha256(nonce.encode("utf-8", "surrogatepass")).digest()
