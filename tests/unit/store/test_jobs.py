from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from appliance.plugin_api.errors import BUSY, ProntuarioError
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.store import claims, job_records
from appliance.store.claims import KindRule
from appliance.store.database import Database
from appliance.store.jobs import (
    Job,
    JobQueue,
    PermanentFailure,
    _pause_s,
    counts,
    discard,
    enqueue,
    list_jobs,
    requeue,
)
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics
from tests.fakes.store_barriers import BrokenBarrier
from tests.unit.store.conftest import Opener, until

CANARY = "Maria da Silva"


class LeapingClock:
    """A clock that a test moves on; monotonic time moves with it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.ahead.total_seconds()


@asynccontextmanager
async def running(queue: JobQueue) -> AsyncIterator[JobQueue]:
    await queue.start()
    try:
        yield queue
    finally:
        await queue.stop()


async def make(
    store: Store,
    queue: JobQueue | None = None,
    kind: str = "k",
    *,
    dedupe: str | None = None,
    delay_s: float = 0,
    **payload: object,
) -> str:
    def change(tx: Transaction) -> str:
        if queue is not None:
            tx.after_commit(queue.wake)
        return enqueue(tx, kind, payload, dedupe=dedupe, delay_s=delay_s)

    return await store.write(change)


async def states(store: Store) -> dict[str, int]:
    return await store.read(counts)


async def until_counts(store: Store, fact: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    async with asyncio.timeout(60):
        while True:
            found = await states(store)
            if fact(found):
                return found
            await asyncio.sleep(0.01)


async def test_a_job_runs_once_with_its_payload(database: Database) -> None:
    seen: list[Job] = []
    queue = JobQueue(database, SystemClock())

    async def handler(job: Job) -> None:
        seen.append(job)

    queue.register("k", handler)
    async with running(queue):
        job_id = await make(database, queue, words="olá", number=7)
        await until_counts(database, lambda c: c["done"] == 1)
    assert seen == [Job(job_id, "k", {"words": "olá", "number": 7}, 1)]


async def test_a_job_of_a_change_that_failed_does_not_exist(database: Database) -> None:
    def change(tx: Transaction) -> None:
        enqueue(tx, "k", {})
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(change)
    assert sum((await states(database)).values()) == 0


async def test_failures_are_retried_with_pauses_and_end_as_a_dead_letter(database: Database) -> None:
    clock, attempts = LeapingClock(), []
    metrics = Metrics()
    queue = JobQueue(database, clock, metrics)

    async def handler(job: Job) -> None:
        attempts.append(job.attempt)
        raise ValueError(CANARY)

    queue.register("k", handler, max_attempts=3)
    async with running(queue):
        job_id = await make(database, queue)
        for number in (1, 2, 3):
            await until(lambda number=number: len(attempts) == number)  # type: ignore[misc]
            await until_counts(database, lambda c: c["running"] == 0)
            clock.ahead += timedelta(minutes=1)
            queue.wake()
        await until_counts(database, lambda c: c["dead"] == 1)
    (row,) = await database.read(list_jobs)
    assert attempts == [1, 2, 3]
    assert (row.id, row.state, row.attempt, row.error) == (job_id, "dead", 3, "ValueError")
    assert CANARY not in repr(row)
    assert metrics.registry.get_sample_value("prontuario_jobs_ended_total", {"kind": "k", "outcome": "ready"}) == 2
    assert metrics.registry.get_sample_value("prontuario_jobs_ended_total", {"kind": "k", "outcome": "dead"}) == 1


async def test_a_retry_waits_for_its_pause(database: Database) -> None:
    attempts: list[int] = []
    clock = LeapingClock()
    queue = JobQueue(database, clock)

    async def handler(job: Job) -> None:
        attempts.append(job.attempt)
        if job.attempt == 1:
            raise BUSY(what="engine", waiting=3, retry_after=3600.0)

    queue.register("k", handler)
    async with running(queue):
        await make(database, queue)
        await until(lambda: attempts)
        await until_counts(database, lambda c: c["ready"] == 1)
        queue.wake()
        await make(database, queue, kind="other")  # a turn of the queue in between
        assert attempts == [1]
        (row,) = [row for row in await database.read(list_jobs) if row.kind == "k"]
        assert row.error == "busy"
        assert row.due_at >= clock.now().timestamp() + 3500
        clock.ahead += timedelta(hours=2)
        queue.wake()
        await until_counts(database, lambda c: c["done"] == 1)
    assert attempts == [1, 2]


@pytest.mark.parametrize("attempt", [1, 2, 5, 9, 40])
def test_pauses_double_with_jitter_up_to_a_limit(attempt: int) -> None:
    ceiling = min(600.0, 2.0 ** (attempt - 1))
    pauses = {_pause_s(attempt, ValueError()) for _ in range(50)}
    assert all(ceiling / 2 <= pause <= ceiling for pause in pauses)
    assert len(pauses) > 40


async def test_a_permanent_failure_is_not_retried(database: Database) -> None:
    queue = JobQueue(database, SystemClock())

    async def handler(_job: Job) -> None:
        raise PermanentFailure("audio.unreadable")

    queue.register("k", handler)
    async with running(queue):
        await make(database, queue)
        await until_counts(database, lambda c: c["dead"] == 1)
    (row,) = await database.read(lambda query: list_jobs(query, "dead"))
    assert (row.attempt, row.error) == (1, "audio.unreadable")


async def test_a_dead_job_can_be_requeued_or_discarded(database: Database) -> None:
    fail = True
    queue = JobQueue(database, SystemClock())

    async def handler(job: Job) -> None:
        assert job.attempt == 1
        if fail:
            raise PermanentFailure("off")

    queue.register("k", handler)
    async with running(queue):
        first, second = await make(database, queue), await make(database, queue)
        await until_counts(database, lambda c: c["dead"] == 2)
        fail = False
        await database.write(lambda tx: requeue(tx, first))
        await database.write(lambda tx: discard(tx, second))
        queue.wake()
        await until_counts(database, lambda c: c["done"] == 1)
    assert [row.id for row in await database.read(list_jobs)] == [first]
    for change in (requeue, discard):
        with pytest.raises(ProntuarioError) as caught:
            await database.write(lambda tx, change=change: change(tx, first))  # type: ignore[misc]
        assert caught.value.kind.code == "job.unknown"


async def test_one_job_per_dedupe_key_waits_or_runs(database: Database) -> None:
    first = await make(database, dedupe="d1")
    assert await make(database, dedupe="d1") == first
    assert await make(database, dedupe="d2") != first
    assert await make(database, kind="other", dedupe="d1") != first
    assert (await states(database))["ready"] == 3


async def test_a_requeued_job_whose_key_is_taken_again_runs_without_it(database: Database) -> None:
    queue = JobQueue(database, SystemClock())

    async def handler(_job: Job) -> None:
        raise PermanentFailure("off")

    queue.register("k", handler)
    async with running(queue):
        dead = await make(database, queue, dedupe="d")
        await until_counts(database, lambda c: c["dead"] == 1)
    twin = await make(database, dedupe="d")
    assert twin != dead
    await database.write(lambda tx: requeue(tx, dead))
    assert (await states(database))["ready"] == 2


async def test_a_delayed_job_waits(database: Database) -> None:
    clock = LeapingClock()
    queue = JobQueue(database, clock)
    seen: list[str] = []

    async def handler(job: Job) -> None:
        seen.append(job.id)

    queue.register("k", handler)
    async with running(queue):
        later = await make(database, queue, delay_s=3600)
        now = await make(database, queue)
        await until(lambda: seen == [now])
        clock.ahead += timedelta(hours=2)
        queue.wake()
        await until(lambda: seen == [now, later])


async def test_no_more_run_at_once_than_allowed(database: Database) -> None:
    queue = JobQueue(database, SystemClock(), concurrency=3)
    now, most, ended = {"slow": 0, "k": 0}, {"slow": 0, "k": 0, "all": 0}, 0

    async def handler(job: Job) -> None:
        nonlocal ended
        now[job.kind] += 1
        most[job.kind] = max(most[job.kind], now[job.kind])
        most["all"] = max(most["all"], sum(now.values()))
        await asyncio.sleep(0.01)
        now[job.kind] -= 1
        ended += 1

    queue.register("k", handler)
    queue.register("slow", handler, at_once=1)
    async with running(queue):
        for kind in ("slow", "slow", "slow", "slow", "k", "k", "k", "k"):
            await make(database, queue, kind=kind)
        await until(lambda: ended == 8)
    assert most["slow"] == 1
    assert most["all"] <= 3


async def test_a_flood_of_one_kind_at_its_limit_does_not_stop_another(database: Database) -> None:
    queue = JobQueue(database, SystemClock(), concurrency=4)
    hold = asyncio.Event()
    other = asyncio.Event()

    async def stuck(_job: Job) -> None:
        await hold.wait()

    async def quick(_job: Job) -> None:
        other.set()

    queue.register("flood", stuck, at_once=2)
    queue.register("quick", quick)
    async with running(queue):
        for _ in range(10):
            await make(database, queue, kind="flood")
        await make(database, queue, kind="quick")
        async with asyncio.timeout(30):
            await other.wait()
        hold.set()


async def test_an_attempt_that_takes_too_long_is_cancelled_and_has_failed(database: Database) -> None:
    queue = JobQueue(database, SystemClock())
    cancelled = asyncio.Event()

    async def handler(_job: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    queue.register("k", handler, limit_s=0.02, max_attempts=1)
    async with running(queue):
        await make(database, queue)
        await until_counts(database, lambda c: c["dead"] == 1)
    assert cancelled.is_set()
    (row,) = await database.read(list_jobs)
    assert row.error == "TimeoutError"


async def test_stopping_gives_the_job_back_without_counting_the_attempt(database: Database) -> None:
    begun = asyncio.Event()
    queue = JobQueue(database, SystemClock())

    async def handler(_job: Job) -> None:
        begun.set()
        await asyncio.Event().wait()

    queue.register("k", handler)
    await queue.start()
    await make(database, queue)
    await begun.wait()
    await queue.stop()
    (row,) = await database.read(list_jobs)
    assert (row.state, row.attempt) == ("ready", 0)


async def test_a_kind_without_a_handler_waits_visibly(database: Database) -> None:
    queue = JobQueue(database, SystemClock())
    done = asyncio.Event()

    async def handler(_job: Job) -> None:
        done.set()

    queue.register("known", handler)
    async with running(queue):
        await make(database, queue, kind="unknown")
        await make(database, queue, kind="known")
        await done.wait()
    (row,) = await database.read(lambda query: list_jobs(query, "ready"))
    assert row.kind == "unknown"
    with pytest.raises(ValueError, match="known"):
        queue.register("known", handler)


async def test_claims_of_a_dead_process_are_taken_back_at_start(database: Database) -> None:
    rules = {"k": KindRule(3, 60, 1)}
    job_id = await make(database)
    for attempt in (1, 2, 3):
        (job,) = await database.write(
            lambda tx: claims.claim(tx, {"k": 1}, rules, owner="dead", held=(), limit=1, now=SystemClock().now())
        )
        assert job.attempt == attempt
        assert await database.write(lambda tx: claims.take_back(tx, rules, now=SystemClock().now())) == 1
    (row,) = await database.read(list_jobs)
    assert (row.id, row.state, row.error) == (job_id, "dead", claims.DIED)  # it may be what killed the process


async def test_a_claim_that_was_never_confirmed_is_set_free_again(open_database: Opener) -> None:
    barrier = BrokenBarrier(OSError(), failures=0)
    database = await open_database(barrier=barrier)
    queue = JobQueue(database, SystemClock())
    seen: list[int] = []

    async def handler(job: Job) -> None:
        seen.append(job.attempt)

    queue.register("k", handler)
    await make(database)
    await queue.start()  # claims only after this, in its own task
    barrier.failures = 1
    try:
        await until_counts(database, lambda c: c["done"] == 1)
    finally:
        await queue.stop()
    assert seen == [1]


async def test_the_outcome_is_written_down_even_when_the_store_stumbles(open_database: Opener) -> None:
    barrier = BrokenBarrier(OSError(), failures=0)
    database = await open_database(barrier=barrier)
    queue = JobQueue(database, SystemClock())

    async def handler(_job: Job) -> None:
        barrier.failures = 1

    queue.register("k", handler)
    async with running(queue):
        await make(database, queue)
        found = await until_counts(database, lambda c: c["done"] == 1)
    assert found["running"] == 0


async def test_done_jobs_are_forgotten_after_a_week_and_dead_letters_never(database: Database) -> None:
    queue = JobQueue(database, SystemClock())

    async def handler(job: Job) -> None:
        if job.payload["fail"]:
            raise PermanentFailure("off")

    queue.register("k", handler)
    async with running(queue):
        await make(database, queue, fail=False)
        await make(database, queue, fail=True)
        await until_counts(database, lambda c: c["done"] + c["dead"] == 2)
    now = SystemClock().now()
    assert await database.write(lambda tx: job_records.sweep(tx, now=now)) == 0
    assert await database.write(lambda tx: job_records.sweep(tx, now=now + timedelta(days=8))) == 1
    assert (await states(database))["dead"] == 1


async def test_the_queue_sweeps_once_an_hour(database: Database) -> None:
    clock = LeapingClock()
    queue = JobQueue(database, clock)

    async def handler(_job: Job) -> None:
        return

    queue.register("k", handler)
    async with running(queue):
        await make(database, queue)
        await until_counts(database, lambda c: c["done"] == 1)
        clock.ahead += timedelta(days=8)
        queue.wake()
        await until_counts(database, lambda c: c["done"] == 0)


async def test_the_list_is_limited_and_last_changed_first(database: Database) -> None:
    made = [await make(database) for _ in range(5)]
    rows = await database.read(lambda query: list_jobs(query, limit=3))
    assert len(rows) == 3
    assert set(made) > {row.id for row in rows}

    def changed(query: Query) -> list[str]:
        return [row.changed_at for row in list_jobs(query)]

    times = await database.read(changed)
    assert times == sorted(times, reverse=True)
