"""Replies remembered by Idempotency-Key, in the transaction of the effect itself: both are kept, or neither.

See draft-ietf-httpapi-idempotency-key-header. The scope is who asked (a user or a device), so that one person's key
never yields another's reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

import msgspec

from appliance.plugin_api.storage import Query, Transaction
from appliance.store import errors
from appliance.telemetry.clock import instant

KEEP: Final = timedelta(hours=48)


class RememberedReply(msgspec.Struct, frozen=True):
    """A reply as it was sent the first time; ``body`` is the encoded body."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = {}


def look_up(query: Query, scope: str, key: str, fingerprint: bytes) -> RememberedReply | None:
    """The reply that ``key`` had, or None when it is new. ``fingerprint`` is a hash of the request.

    Look up inside the same ``Store.write`` that would make the effect: only then a repeat waits for the barrier too,
    and is not told "done" for something that is not yet durable.

    Raises:
        ProntuarioError: ``idempotency.reused`` (422): the key belongs to another request.
    """
    row = query.one(
        "SELECT fingerprint, status, headers, content_type, body FROM store_idempotency WHERE scope = ? AND key = ?",
        (scope, key),
    )
    if row is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise errors.KEY_REUSED(field="Idempotency-Key")
    headers = msgspec.json.decode(cast("bytes", row["headers"]), type=dict[str, str])
    status, content_type, body = (
        cast("Any", row["status"]),
        cast("str", row["content_type"]),
        cast("bytes", row["body"]),
    )
    return RememberedReply(status=status, body=body, content_type=content_type, headers=headers)


def remember(
    tx: Transaction, scope: str, key: str, fingerprint: bytes, reply: RememberedReply, *, now: datetime
) -> None:
    """Keep ``reply`` for repeats.

    Raises:
        IntegrityError: ``key`` has a reply already (look it up first, in the same transaction).
    """
    headers: Mapping[str, str] = reply.headers
    tx.execute(
        "INSERT INTO store_idempotency (scope, key, fingerprint, status, headers, content_type, body, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            scope,
            key,
            fingerprint,
            reply.status,
            msgspec.json.encode(headers),
            reply.content_type,
            reply.body,
            instant(now),
        ),
    )


def sweep(tx: Transaction, *, now: datetime, keep: timedelta = KEEP, limit: int = 5_000) -> int:
    """Forget replies older than ``keep``, at most ``limit`` at a time; how many were forgotten."""
    return tx.execute(
        "DELETE FROM store_idempotency WHERE (scope, key) IN"
        " (SELECT scope, key FROM store_idempotency WHERE created_at < ? ORDER BY created_at LIMIT ?)",
        (instant(now - keep), limit),
    )
