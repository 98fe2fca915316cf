from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from pysqlite3 import dbapi2

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.store import errors
from appliance.store.database import Database
from appliance.store.sqlite import IntegrityError
from appliance.telemetry.metrics import Metrics
from tests.fakes.store_barriers import BrokenBarrier, HeldBarrier
from tests.unit.store.conftest import Opener, add, files_limited_to, fill, things, until


class Upset(Exception):  # noqa: N818  a caller's own error
    pass


def add_then_fail(thing: str) -> None:
    def change(tx: Transaction) -> None:
        add(thing)(tx)
        tx.after_commit(lambda: pytest.fail("called after a failure"))
        raise Upset

    return change  # type: ignore[return-value]


async def committed_together(database: Database, *changes: object) -> list[object]:
    """Run ``changes`` in one group: they wait while the writer's thread is held."""
    hold, held = threading.Event(), threading.Event()

    def block(_tx: Transaction) -> None:
        held.set()
        assert hold.wait(30)

    blocker = asyncio.create_task(database.write(block))
    await asyncio.to_thread(held.wait, 30)
    waiting = [asyncio.create_task(database.write(change)) for change in changes]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    hold.set()
    await blocker
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_failure_does_not_hurt_its_neighbours(database: Database) -> None:
    answers = await committed_together(
        database, add("a"), add_then_fail("b"), add("a"), add("c"), lambda tx: tx.execute("selct"), add("d")
    )
    assert answers[0] == "a"
    assert isinstance(answers[1], Upset)
    assert isinstance(answers[2], IntegrityError)
    assert answers[3] == "c"
    assert isinstance(answers[4], dbapi2.OperationalError)
    assert answers[5] == "d"
    assert await database.read(things) == ["a", "c", "d"]


async def test_waiting_writes_share_a_commit_up_to_the_limit(open_database: Opener) -> None:
    metrics = Metrics()
    database = await open_database(group_limit=4, metrics=metrics)
    await committed_together(database, *(add(f"{i:02}") for i in range(10)))
    assert metrics.registry.get_sample_value("prontuario_store_writes_total") == 11
    assert metrics.registry.get_sample_value("prontuario_store_commit_seconds_count") == 4  # of 1, 4, 4 and 2
    assert len(await database.read(things)) == 10


async def test_nobody_is_answered_before_the_barrier(open_database: Opener) -> None:
    barrier = HeldBarrier()
    database = await open_database(barrier=barrier, barrier_timeout_s=60.0)
    told: list[str] = []

    def change(tx: Transaction) -> str:
        tx.after_commit(lambda: told.append("after commit"))
        return add("a")(tx)

    writing = asyncio.create_task(database.write(change))
    await until(lambda: barrier.asked)
    assert await database.read(things) == ["a"]  # committed…
    assert (writing.done(), told) == (False, [])  # …but not acknowledged
    barrier.let_pass()
    assert await writing == "a"
    assert told == ["after commit"]


async def test_the_next_group_commits_while_the_barrier_is_being_passed(open_database: Opener) -> None:
    barrier = HeldBarrier()
    database = await open_database(barrier=barrier, barrier_timeout_s=60.0)
    first = asyncio.create_task(database.write(add("a")))
    await until(lambda: barrier.asked)
    later = [asyncio.create_task(database.write(add(name))) for name in "bcd"]
    async with asyncio.timeout(60):
        while len(await database.read(things)) < 4:
            pass
    await until(lambda: barrier.asked == 2)  # the second group, all three, asks at once; nobody waits for the first
    assert not any(task.done() for task in (first, *later))
    barrier.let_pass()
    assert await asyncio.gather(first, *later) == ["a", "b", "c", "d"]
    assert barrier.asked == 2


@pytest.mark.parametrize("error", [OSError("gone"), errors.FAILED()])
async def test_an_unpassed_barrier_is_told_and_the_next_write_goes_on(open_database: Opener, error: Exception) -> None:
    database = await open_database(barrier=BrokenBarrier(error, failures=1))
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("a"))
    assert caught.value.kind.code == "store.unconfirmed"
    assert caught.value.kind.status == 503
    assert caught.value.retry_after is not None
    assert await database.write(add("b")) == "b"
    assert await database.read(things) == ["a", "b"]  # "a" may be kept: the same Idempotency-Key finds it


async def test_a_barrier_that_hangs_is_given_up_after_its_time(open_database: Opener) -> None:
    barrier = HeldBarrier()
    database = await open_database(barrier=barrier, barrier_timeout_s=0.05)
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("a"))
    assert caught.value.kind.code == "store.unconfirmed"
    barrier.let_pass()
    assert await database.write(add("b")) == "b"


async def test_a_callers_own_error_is_told_even_when_the_barrier_fails(open_database: Opener) -> None:
    database = await open_database(barrier=BrokenBarrier(OSError(), failures=99))
    with pytest.raises(Upset):
        await database.write(add_then_fail("a"))


async def test_a_cancelled_caller_harms_nobody(open_database: Opener) -> None:
    barrier = HeldBarrier()
    database = await open_database(barrier=barrier, barrier_timeout_s=60.0)
    told: list[str] = []

    def change(tx: Transaction) -> str:
        tx.after_commit(lambda: told.append("a"))
        return add("a")(tx)

    gone = asyncio.create_task(database.write(change))
    await until(lambda: barrier.asked)
    stays = asyncio.create_task(database.write(add("b")))
    gone.cancel()
    barrier.let_pass()
    assert await stays == "b"
    assert gone.cancelled()
    assert told == ["a"]  # it was kept, so what follows from it happens
    assert await database.read(things) == ["a", "b"]


async def test_a_change_cancelled_before_its_turn_is_never_run(database: Database) -> None:
    gone = asyncio.create_task(database.write(add("a")))
    await asyncio.sleep(0)
    gone.cancel()
    await database.write(add("b"))
    assert await database.read(things) == ["b"]


@pytest.mark.parametrize("sql", ["COMMIT", "  rollback", "End;", "BEGIN IMMEDIATE", "savepoint x", "ATTACH 'x' AS y"])
async def test_a_change_can_not_end_the_shared_transaction(database: Database, sql: str) -> None:
    answers = await committed_together(database, add("a"), lambda tx: tx.execute(sql), add("b"))
    assert isinstance(answers[1], ValueError)
    assert (answers[0], answers[2]) == ("a", "b")


async def test_a_transaction_is_of_no_use_afterwards(database: Database) -> None:
    kept: list[Transaction] = []
    await database.write(kept.append)
    with pytest.raises(RuntimeError, match="over"):
        kept[0].execute("INSERT INTO thing VALUES ('late', 'x')")


async def test_a_broken_callback_does_not_stop_the_others(database: Database) -> None:
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(str(context["exception"])))

    def change(tx: Transaction) -> None:
        tx.after_commit(lambda: seen.remove("not there"))
        tx.after_commit(lambda: seen.append("second"))

    await database.write(change)
    assert seen == ["list.remove(x): x not in list", "second"]


async def test_many_rows_at_once_are_one_change(database: Database) -> None:
    def change(tx: Transaction) -> None:
        tx.execute_many("INSERT INTO thing VALUES (?, ?)", [(str(i), "x") for i in range(5)] + [("0", "twice")])

    with pytest.raises(IntegrityError):
        await database.write(change)
    assert await database.read(things) == []


async def test_closing_answers_everybody_first(open_database: Opener) -> None:
    database = await open_database(group_limit=2)
    writing = [asyncio.create_task(database.write(add(f"{i}"))) for i in range(7)]
    await asyncio.sleep(0)
    await database.close()
    assert await asyncio.gather(*writing) == [f"{i}" for i in range(7)]
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("late"))
    assert caught.value.kind.code == "store.closed"


async def test_a_database_locked_by_someone_else_is_waited_for(open_database: Opener) -> None:
    database = await open_database()
    other = dbapi2.connect(str(database.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(database.write(add("a")))
    await asyncio.sleep(0.05)
    assert not writing.done()
    other.execute("COMMIT")
    other.close()
    assert await writing == "a"


async def test_a_database_locked_for_too_long_is_told(open_database: Opener) -> None:
    database = await open_database(barrier_timeout_s=0.05)
    other = dbapi2.connect(str(database.path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("a"))
    other.execute("ROLLBACK")
    other.close()
    assert caught.value.kind.code == "store.busy"
    assert await database.write(add("a")) == "a"


async def test_a_full_disk_fails_the_group_and_nothing_of_it_is_kept(small_disk: Path, open_database: Opener) -> None:
    database = await open_database(small_disk / "record.sqlite")
    await database.write(add("before"))
    filler = small_disk / "filler"
    fill(filler)
    answers = await committed_together(database, *(add(str(i), "y" * 9000) for i in range(3)))
    assert [error.kind.code for error in answers if isinstance(error, ProntuarioError)] == ["store.full"] * 3
    assert await database.read(things) == ["before"]
    filler.unlink()
    assert await database.write(add("after")) == "after"
    assert await database.read(things) == ["after", "before"]


async def test_a_change_that_fills_the_database_is_told_so(database: Database) -> None:
    await database._writer_thread.run(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())
    with pytest.raises(ProntuarioError) as caught:
        await database.write(add("a", "y" * 2_000_000))
    assert (caught.value.kind.code, caught.value.kind.status) == ("store.full", 507)
    assert caught.value.next_step("pt")
    assert await database.read(things) == []


async def test_an_input_output_error_is_told_and_survived(database: Database) -> None:
    await database.write(add("before"))
    limit = database.path.with_name("record.sqlite-wal").stat().st_size + 4096
    with files_limited_to(limit), pytest.raises(ProntuarioError) as caught:
        await database.write(add("a", "y" * 500_000))
    assert caught.value.kind.code == "store.failed"
    assert await database.write(add("after")) == "after"
    assert await database.read(things) == ["after", "before"]


async def test_unconfirmed_writes_are_counted(open_database: Opener) -> None:
    metrics = Metrics()
    database = await open_database(barrier=BrokenBarrier(OSError(), failures=1), metrics=metrics)
    with pytest.raises(ProntuarioError):
        await database.write(lambda tx: tx.one("SELECT 1"))
    assert metrics.registry.get_sample_value("prontuario_store_unconfirmed_total") == 1


async def test_what_is_kept_here_is_answered_without_the_barrier_and_the_rest_waits(open_database: Opener) -> None:
    barrier = HeldBarrier()
    database = await open_database(barrier=barrier)
    told: list[str] = []

    def noted(tx: Transaction) -> str:
        tx.after_commit(lambda: told.append("noted"))
        return add("noted")(tx)

    waiting = asyncio.create_task(database.write(add("waits")))
    assert await database.write_here(noted) == "noted"
    assert await database.read(things) == ["noted", "waits"]
    await until(lambda: told == ["noted"])
    await until(lambda: barrier.asked > 0)
    assert not waiting.done()
    with pytest.raises(IntegrityError):
        await database.write_here(lambda tx: tx.execute("INSERT INTO thing (id, body) SELECT id, body FROM thing"))
    barrier.let_pass()
    assert await waiting == "waits"


async def test_what_can_not_even_be_kept_here_fails(open_database: Opener) -> None:
    database = await open_database(barrier=BrokenBarrier(errors.FAILED(retry_after=1.0), failures=99))
    with pytest.raises(ProntuarioError, match=r"store\.unconfirmed"):
        await database.write(add("a"))
    assert await database.write_here(add("b")) == "b"
    await database.close()
    with pytest.raises(ProntuarioError, match=r"store\.closed"):
        await database.write_here(add("c"))
