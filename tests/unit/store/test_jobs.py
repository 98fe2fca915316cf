from __future__ import annotations

from datetime import timedelta

import pytest

from appliance.plugin_api.errors import BUSY, ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from appliance.store.jobs import (
    Job,
    JobQueue,
    PermanentFailure,
    _pause_s,
    discard,
    enqueue,
    list_jobs,
    requeue,
)
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics
from tests.fakes.leaping_clock import LeapingClock
from tests.unit.store.conftest import until
from tests.unit.store.job_helpers import make, running, states, until_counts

CANARY = "Maria da Silva"


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


async def test_the_list_is_limited_and_last_changed_first(database: Database) -> None:
    made = [await make(database) for _ in range(5)]
    rows = await database.read(lambda query: list_jobs(query, limit=3))
    assert len(rows) == 3
    assert set(made) > {row.id for row in rows}

    def changed(query: Query) -> list[str]:
        return [row.changed_at for row in list_jobs(query)]

    times = await database.read(changed)
    assert times == sorted(times, reverse=True)
