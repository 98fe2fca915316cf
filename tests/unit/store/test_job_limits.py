from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from appliance.store import claims, job_records
from appliance.store.claims import KindRule
from appliance.store.database import Database
from appliance.store.jobs import (
    Job,
    JobQueue,
    PermanentFailure,
    list_jobs,
)
from appliance.telemetry.clock import SystemClock
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.store_barriers import BrokenBarrier
from tests.unit.store.conftest import Opener, until
from tests.unit.store.job_helpers import make, running, states, until_counts


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


class GatedReads:
    """A store whose reads wait while the gate is closed: what the queue does then falls into its stopping."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        return await self._database.read(*args, **kwargs)

    async def write(self, *args: Any, **kwargs: Any) -> Any:
        return await self._database.write(*args, **kwargs)


async def test_what_is_claimed_while_it_stops_is_given_back_too(database: Database) -> None:
    store, begun = GatedReads(database), asyncio.Event()
    queue = JobQueue(store, SystemClock())  # type: ignore[arg-type]

    async def handler(_job: Job) -> None:
        begun.set()
        await asyncio.Event().wait()

    queue.register("k", handler)
    await queue.start()
    await make(database, queue)
    await begun.wait()
    store.gate.clear()
    await make(database, queue)
    await until(lambda: store.waiting > 0)
    stopping = asyncio.create_task(queue.stop())
    await asyncio.sleep(0)
    store.gate.set()
    async with asyncio.timeout(60):
        await stopping
    assert [(row.state, row.attempt) for row in await database.read(list_jobs)] == [("ready", 0)] * 2


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
