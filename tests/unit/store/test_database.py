from __future__ import annotations

import asyncio
import stat
import threading
from functools import partial
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from appliance.store.sqlite import IntegrityError, check_library, read_consistently
from appliance.telemetry.metrics import Metrics
from tests.fakes.store_barriers import HeldBarrier
from tests.unit.store.conftest import Opener, add, things, until


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 50, 4), (3, 51, 2)])
def test_a_sqlite_with_the_wal_reset_bug_is_refused(version: tuple[int, int, int]) -> None:
    with pytest.raises(ProntuarioError) as caught:
        check_library(version)
    assert caught.value.kind.code == "store.affected_sqlite"
    assert ".".join(map(str, version)) in caught.value.sentence("pt")


@pytest.mark.parametrize("version", [(3, 6, 23), (3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_other_versions_of_sqlite_are_fine(version: tuple[int, int, int]) -> None:
    check_library(version)


async def test_the_writer_runs_with_durable_settings(database: Database) -> None:
    def settings(connection: dbapi2.Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "trusted_schema", "busy_timeout", "wal_autocheckpoint")
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    assert await database._writer_thread.run(settings) == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "busy_timeout": 5000,
        "wal_autocheckpoint": 1000,
    }


async def test_sqlite_leaves_checkpoints_to_a_barrier_that_makes_them(open_database: Opener) -> None:
    class Checkpointing(HeldBarrier):
        checkpoints = True

    database = await open_database(barrier=Checkpointing())
    pages = await database._writer_thread.run(lambda c: c.execute("PRAGMA wal_autocheckpoint").fetchone()[0])
    assert pages == 0


async def test_the_file_is_private(database: Database) -> None:
    assert stat.S_IMODE(database.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(database.path.parent.stat().st_mode) == 0o700


async def test_what_was_written_is_read_by_name_and_by_position(database: Database) -> None:
    assert await database.write(add("a", "água")) == "a"
    row = await database.read(lambda query: query.one("SELECT id, body FROM thing"))
    assert row is not None
    assert (row["id"], row[1], len(row), row.keys()) == ("a", "água", 2, ["id", "body"])
    assert await database.read(lambda query: query.one("SELECT 1 FROM thing WHERE id = 'none'")) is None


async def test_readers_can_not_write(database: Database) -> None:
    with pytest.raises(dbapi2.OperationalError, match="readonly"):
        await database.read(lambda query: query.all("INSERT INTO thing VALUES ('a', 'x') RETURNING id"))
    assert await database.read(things) == []


async def test_a_read_sees_one_snapshot_while_writes_go_on(database: Database) -> None:
    await database.write(add("a"))
    first_look, second_look = threading.Event(), threading.Event()

    def look_twice(query: Query) -> tuple[list[str], list[str]]:
        before = things(query)
        first_look.set()
        assert second_look.wait(30)
        return before, things(query)

    reading = asyncio.create_task(database.read(look_twice))
    await asyncio.to_thread(first_look.wait, 30)
    await database.write(add("b"))
    second_look.set()
    assert await reading == (["a"], ["a"])
    assert await database.read(things) == ["a", "b"]


async def test_a_slow_read_does_not_hold_up_the_next_one(database: Database) -> None:
    hold = threading.Event()
    slow = asyncio.create_task(database.read(lambda _query: hold.wait(30)))
    await asyncio.sleep(0)
    assert await database.read(things) == []
    assert not slow.done()
    hold.set()
    assert await slow is True


async def test_a_read_that_fails_leaves_its_connection_usable(open_database: Opener) -> None:
    database = await open_database(readers=1)
    with pytest.raises(dbapi2.OperationalError):
        await database.read(lambda query: query.all("SELECT * FROM nowhere"))
    assert await database.read(things) == []


async def test_rows_survive_closing_and_opening_again(tmp_path: Path, open_database: Opener) -> None:
    path = tmp_path / "again.sqlite"
    first = await open_database(path)
    await first.write(add("a"))
    await first.close()
    second = await open_database(path)
    assert await second.read(things) == ["a"]


async def test_foreign_keys_hold(database: Database) -> None:
    def child_without_parent(tx: Transaction) -> None:
        tx.execute("CREATE TABLE child (id INTEGER PRIMARY KEY, thing TEXT NOT NULL REFERENCES thing (id))")
        tx.execute("INSERT INTO child (thing) VALUES ('nobody')")

    with pytest.raises(IntegrityError):
        await database.write(child_without_parent)
    assert await database.read(lambda q: q.one("SELECT 1 FROM sqlite_master WHERE name = 'child'")) is None


async def test_an_unreadable_file_is_refused_and_nothing_hangs(tmp_path: Path) -> None:
    path = tmp_path / "no-database.sqlite"
    path.write_bytes(b"this is not a database, and it is long enough to be one: " * 100)
    with pytest.raises(dbapi2.DatabaseError):
        await Database.open(path, StoreConfig(litestream=False))
    await until(lambda: not [t for t in threading.enumerate() if "_connection_worker_thread" in t.name])


async def test_the_mode_is_the_barriers(open_database: Opener) -> None:
    class Degraded(HeldBarrier):
        mode = "degraded"

    assert (await open_database()).mode == "single"
    assert (await open_database(barrier=Degraded())).mode == "degraded"


async def test_commits_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    async with await Database.open(tmp_path / "m.sqlite", StoreConfig(litestream=False), metrics=metrics) as database:
        await asyncio.gather(*(database.write(lambda tx: tx.one("SELECT 1")) for _ in range(7)))
    assert metrics.registry.get_sample_value("prontuario_store_writes_total") == 7
    assert metrics.registry.get_sample_value("prontuario_store_confirm_seconds_count") in range(1, 8)


async def test_a_read_without_end_is_broken_off_and_its_connection_goes_on(open_database: Opener) -> None:
    database = await open_database(readers=1)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(ProntuarioError) as caught:
        await database._readers[0].run(partial(read_consistently, lambda query: query.one(endless), 0.05))
    assert (caught.value.kind.code, caught.value.retry_after) == ("store.slow_read", 0.05)
    assert await database.read(things) == []


class Unforeseen(BaseException):
    pass


async def test_a_writer_thread_that_breaks_answers_everybody_and_closes(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "b.sqlite", StoreConfig(litestream=False))

    def break_the_thread(_tx: Transaction) -> None:
        raise Unforeseen

    waiting = asyncio.gather(
        database.write(break_the_thread), database.write(lambda tx: tx.one("SELECT 1")), return_exceptions=True
    )
    answers = await waiting
    codes = [answer.kind.code for answer in answers if isinstance(answer, ProntuarioError)]
    assert codes == ["store.failed", "store.failed"]
    with pytest.raises(ProntuarioError) as caught:
        await database.write(lambda tx: tx.one("SELECT 1"))
    assert caught.value.kind.code == "store.closed"
    with pytest.raises(Unforeseen):
        await database.close()
