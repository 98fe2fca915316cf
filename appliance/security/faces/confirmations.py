"""A session whose person was confirmed anew a short while ago, by face or by password. Functions on a transaction."""

from __future__ import annotations

from typing import Literal

import msgspec

from appliance.plugin_api.storage import Query, Transaction
from appliance.security.steady_time import SteadyTime

Way = Literal["face", "password"]


class Confirmation(msgspec.Struct, frozen=True):
    """How the person was confirmed, and for how many more seconds it holds."""

    way: Way
    expires_in: float


def confirm(tx: Transaction, time: SteadyTime, session_id: str, way: Way, *, lifetime_s: float) -> Confirmation:
    """From now on the session counts as confirmed, for ``lifetime_s``."""
    tx.execute(
        "INSERT INTO security_confirmation (session_id, way, confirmed_at, expires_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_id) DO UPDATE SET way = excluded.way, confirmed_at = excluded.confirmed_at,"
        " expires_at = excluded.expires_at",
        (session_id, way, time.instant(), time.instant(after_s=lifetime_s)),
    )
    return Confirmation(way, lifetime_s)


def current(q: Query, time: SteadyTime, session_id: str) -> Confirmation | None:
    """The session's confirmation, if it still holds."""
    row = q.one("SELECT way, confirmed_at, expires_at FROM security_confirmation WHERE session_id = ?", (session_id,))
    if row is None:
        return None
    remaining = time.remaining_s(str(row["confirmed_at"]), str(row["expires_at"]))
    way: Way = "face" if row["way"] == "face" else "password"
    return Confirmation(way, remaining) if remaining > 0 else None


def end_faces(tx: Transaction, user_id: str) -> None:
    """What this person's face confirmed holds no more."""
    tx.execute(
        "DELETE FROM security_confirmation WHERE way = 'face' AND session_id IN"
        " (SELECT id FROM security_session WHERE user_id = ?)",
        (user_id,),
    )
