from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database
from appliance.store.idempotency import KEEP, RememberedReply, look_up, remember, sweep
from appliance.store.sqlite import IntegrityError

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
REPLY = RememberedReply(201, b'{"id": "1"}', "application/fhir+json", {"location": "/fhir/R4/Patient/1"})


def keep(key: str, scope: str = "user-1", now: datetime = NOW, print_: bytes = b"f") -> object:
    def change(tx: Transaction) -> None:
        remember(tx, scope, key, print_, REPLY, now=now)

    return change


async def test_a_repeat_gets_the_first_reply_to_the_byte(database: Database) -> None:
    await database.write(keep("k"))  # type: ignore[arg-type]
    assert await database.write(lambda tx: look_up(tx, "user-1", "k", b"f")) == REPLY
    assert await database.read(lambda query: look_up(query, "user-1", "k", b"f")) == REPLY


async def test_keys_of_two_people_never_meet(database: Database) -> None:
    await database.write(keep("k"))  # type: ignore[arg-type]
    assert await database.read(lambda query: look_up(query, "user-2", "k", b"f")) is None
    assert await database.read(lambda query: look_up(query, "user-1", "other", b"f")) is None


async def test_a_key_for_another_request_is_refused(database: Database) -> None:
    await database.write(keep("k"))  # type: ignore[arg-type]
    with pytest.raises(ProntuarioError) as caught:
        await database.read(lambda query: look_up(query, "user-1", "k", b"another"))
    assert (caught.value.kind.code, caught.value.kind.status) == ("idempotency.reused", 422)


async def test_effect_and_reply_are_kept_together_or_not_at_all(database: Database) -> None:
    def effect_twice(tx: Transaction) -> None:
        tx.execute("INSERT INTO thing VALUES ('a', 'x')")
        remember(tx, "user-1", "k", b"f", REPLY, now=NOW)
        remember(tx, "user-1", "k", b"f", REPLY, now=NOW)

    with pytest.raises(IntegrityError):
        await database.write(effect_twice)
    assert await database.read(lambda q: q.one("SELECT 1 FROM thing")) is None
    assert await database.read(lambda q: look_up(q, "user-1", "k", b"f")) is None


async def test_old_replies_are_forgotten_some_at_a_time(database: Database) -> None:
    for number in range(5):
        await database.write(keep(str(number), now=NOW - KEEP - timedelta(seconds=1 + number)))  # type: ignore[arg-type]
    await database.write(keep("young", now=NOW - KEEP + timedelta(seconds=1)))  # type: ignore[arg-type]
    assert await database.write(lambda tx: sweep(tx, now=NOW, limit=3)) == 3
    assert await database.write(lambda tx: sweep(tx, now=NOW)) == 2
    assert await database.write(lambda tx: sweep(tx, now=NOW)) == 0
    assert await database.read(lambda q: look_up(q, "user-1", "young", b"f")) == REPLY
