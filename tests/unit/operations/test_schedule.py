"""Recurring work: due by the wall clock, one at a time, remembered across restarts, loud when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.schedule import JITTER, Schedule, Task
from appliance.operations.schedule_memory import Figure
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

HOUR = 3600.0
SETTLE_S = 120.0
PATIENCE_S = 60.0
Work = Callable[[], Awaitable[Mapping[str, Figure]]]


class Worker:
    """Counts its runs; fails with ``error`` while there is one, and waits for ``may_end``."""

    def __init__(self) -> None:
        self.runs = 0
        self.under_way = 0
        self.most_at_once = 0
        self.error: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def __call__(self) -> Mapping[str, Figure]:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            await self.may_end.wait()
        finally:
            self.under_way -= 1
        self.runs += 1
        if self.error is not None:
            raise self.error
        return {"rows": self.runs}


def task(run: Work, name: str = "proof", *, here: Callable[[], bool] = lambda: True, limit_s: float = HOUR) -> Task:
    return Task(
        name=name, title_pt="Prova", title_en="Proof", every_s=24 * HOUR, run=run, here=here, retry_s=HOUR, limit_s=limit_s
    )  # fmt: skip


@asynccontextmanager
async def running(
    file: Path, clock: HandClock, *tasks: Task, metrics: Metrics | None = None
) -> AsyncIterator[Schedule]:
    schedule = Schedule(file, clock, metrics, settle_s=SETTLE_S, poll_s=0.005)
    for one in tasks:
        schedule.add(one)
    schedule.start()
    try:
        yield schedule
    finally:
        await schedule.stop()


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110  what the loop does has no event
            await asyncio.sleep(0.005)


async def some_looks() -> None:
    """Long enough for the loop to have looked several times."""
    await asyncio.sleep(0.1)


async def test_with_its_role_a_node_loses_a_task_and_its_trouble(tmp_path: Path) -> None:
    clock, work, metrics, mine = HandClock(), Worker(), Metrics(), [True]
    work.error = NOT_RESTORABLE(exit_code=1)
    one = task(work, here=lambda: mine[0])
    async with running(tmp_path / "s.json", clock, one, metrics=metrics) as schedule:
        schedule.run_soon("proof")
        await until(lambda: schedule.report()[0].failures == 1)
        for here, told in ((True, b"1.0"), (False, b"0.0"), (True, b"1.0")):
            mine[0] = here
            trouble = schedule.trouble("proof")
            assert (trouble.code if trouble else "") == NOT_RESTORABLE.code, "remembered all the same"
            assert b'prontuario_schedule_failures{task="proof"} ' + told in metrics.render()


async def test_a_task_runs_once_in_its_period_and_says_what_it_found(tmp_path: Path) -> None:
    clock, work = HandClock(), Worker()
    async with running(tmp_path / "s.json", clock, task(work)) as schedule:
        clock.pass_time(SETTLE_S)
        await some_looks()
        assert work.runs == 0  # a new home is given a while first
        clock.pass_time(24 * HOUR * JITTER)
        await until(lambda: work.runs == 1)
        await until(lambda: schedule.report()[0].last is not None)
        clock.pass_time(23 * HOUR)
        await some_looks()
        assert work.runs == 1
        clock.pass_time(HOUR + 24 * HOUR * JITTER)
        await until(lambda: work.runs == 2)
        await until(lambda: schedule.report()[0].figures == {"rows": 2})
        (row,) = schedule.report("a")
        assert (row.node, row.failures, row.running, row.trouble) == ("a", 0, False, None)
        assert row.last is not None
        assert row.last.ok
        assert (await schedule.health()).status == "ok"


async def test_a_restart_neither_forgets_nor_repeats(tmp_path: Path) -> None:
    clock, work, file = HandClock(), Worker(), tmp_path / "data" / "s.json"
    async with running(file, clock, task(work)) as schedule:
        clock.pass_time(5 * HOUR)
        await until(file.exists)
        ok_at = schedule.report()[0].ok_at
    assert ok_at is not None
    async with running(file, clock, task(work)) as schedule:
        clock.pass_time(HOUR)
        await some_looks()
        assert work.runs == 1
        assert schedule.report()[0].ok_at == ok_at
    clock.pass_time(30 * HOUR)  # down when it was due
    async with running(file, clock, task(work)) as schedule:
        await some_looks()
        assert work.runs == 1  # the node settles first
        clock.pass_time(SETTLE_S)
        await until(lambda: work.runs == 2)


async def test_one_that_was_cut_short_by_the_end_is_due_again(tmp_path: Path) -> None:
    clock, work = HandClock(), Worker()
    work.may_end.clear()
    async with running(tmp_path / "s.json", clock, task(work)) as schedule:
        schedule.run_soon("proof")
        await until(lambda: work.under_way)
    assert (work.runs, work.under_way) == (0, 0)
    work.may_end.set()
    async with running(tmp_path / "s.json", clock, task(work)):
        clock.pass_time(5 * HOUR)
        await until(lambda: work.runs == 1)


async def test_a_failure_is_an_alarm_with_cause_and_step_until_it_succeeds(tmp_path: Path) -> None:
    clock, work, metrics = HandClock(), Worker(), Metrics()
    work.error = NOT_RESTORABLE(exit_code=3)
    async with running(tmp_path / "s.json", clock, task(work), metrics=metrics) as schedule:
        schedule.run_soon("proof")
        await until(lambda: schedule.report()[0].failures == 1)
        ill = await schedule.health()
        assert ill.status == "degraded"
        assert (ill.message_pt, ill.advice_pt) == (
            f"Prova: {work.error.sentence('pt')}",
            work.error.next_step("pt"),
        )
        assert (ill.message, ill.advice) == (f"Proof: {work.error.sentence('en')}", work.error.next_step("en"))
        assert b'prontuario_schedule_failures{task="proof"} 1.0' in metrics.render()
        await some_looks()
        assert work.runs == 1  # not at once again
        clock.pass_time(2 * HOUR)
        await until(lambda: schedule.report()[0].failures == 2)
        work.error = None
        clock.pass_time(2 * HOUR)
        await until(lambda: schedule.report()[0].failures == 0)
        assert (await schedule.health()).status == "ok"
        assert b'prontuario_schedule_failures{task="proof"} 0.0' in metrics.render()
        assert b'prontuario_schedule_runs_total{outcome="failed",task="proof"} 2.0' in metrics.render()


async def test_an_alarm_survives_a_restart(tmp_path: Path) -> None:
    clock, work, file = HandClock(), Worker(), tmp_path / "s.json"
    work.error = ValueError("um nome de paciente")
    async with running(file, clock, task(work)) as schedule:
        schedule.run_soon("proof")
        await until(file.exists)
    assert "paciente" not in file.read_text(encoding="utf-8")
    async with running(file, clock, task(work)) as schedule:
        ill = await schedule.health()
        assert (ill.status, ill.message) == ("degraded", "Proof: failed (ValueError)")


async def test_one_that_never_ends_is_cancelled_and_has_failed(tmp_path: Path) -> None:
    clock, work = HandClock(), Worker()
    work.may_end.clear()
    async with running(tmp_path / "s.json", clock, task(work, limit_s=0.05)) as schedule:
        schedule.run_soon("proof")
        await until(lambda: schedule.report()[0].failures == 1)
        assert work.under_way == 0
        trouble = schedule.report()[0].trouble
        assert trouble is not None
        assert trouble.code == "schedule.late"


async def test_tasks_never_run_together(tmp_path: Path) -> None:
    clock, work = HandClock(), Worker()
    work.may_end.clear()
    async with running(tmp_path / "s.json", clock, task(work, "one"), task(work, "two")) as schedule:
        schedule.run_soon("one")
        schedule.run_soon("two")
        await until(lambda: work.under_way)
        await some_looks()
        assert [row.running for row in schedule.report()] == [True, False]
        with pytest.raises(ProntuarioError, match=r"schedule\.running"):
            schedule.check("one")
        work.may_end.set()
        await until(lambda: work.runs == 2)
    assert work.most_at_once == 1


async def test_only_the_role_that_a_task_belongs_to_runs_it(tmp_path: Path) -> None:
    clock, work, role = HandClock(), Worker(), ["standby"]
    only_primary = task(work, here=lambda: role == ["primary"])
    async with running(tmp_path / "s.json", clock, only_primary) as schedule:
        clock.pass_time(30 * HOUR)
        await some_looks()
        assert (work.runs, schedule.report()[0].here) == (0, False)
        with pytest.raises(ProntuarioError, match=r"schedule\.elsewhere"):
            schedule.check("proof")
        role[:] = ["primary"]
        await until(lambda: work.runs == 1)


async def test_a_role_that_goes_while_it_runs_is_no_failure(tmp_path: Path) -> None:
    clock, work, role = HandClock(), Worker(), ["primary"]
    work.may_end.clear()
    work.error = NOT_RESTORABLE(exit_code=1)
    async with running(tmp_path / "s.json", clock, task(work, here=lambda: role == ["primary"])) as schedule:
        schedule.run_soon("proof")
        await until(lambda: work.under_way)
        role[:] = ["standby"]
        work.may_end.set()
        await until(lambda: work.runs == 1)
        await some_looks()
        assert schedule.report()[0].failures == 0
        assert (await schedule.health()).status == "ok"


async def test_a_clock_that_was_ahead_puts_nothing_off_for_years(tmp_path: Path) -> None:
    clock, work = HandClock(), Worker()
    clock.step_wall(3650 * 24 * HOUR)
    async with running(tmp_path / "s.json", clock, task(work)) as schedule:
        schedule.run_soon("proof")
        await until(lambda: work.runs == 1)
        await until(lambda: schedule.report()[0].last is not None)
        clock.step_wall(-3650 * 24 * HOUR)
        clock.pass_time(SETTLE_S)
        await some_looks()
        clock.pass_time(24 * HOUR * (1 + JITTER) + 1)
        await until(lambda: work.runs == 2)


async def test_what_has_waited_for_periods_is_an_alarm_too(tmp_path: Path) -> None:
    clock, first, second = HandClock(), Worker(), Worker()
    first.may_end.clear()
    async with running(tmp_path / "s.json", clock, task(first, "one"), task(second, "two")) as schedule:
        schedule.run_soon("one")
        await until(lambda: first.under_way)
        clock.pass_time(5 * 24 * HOUR)
        ill = await schedule.health()
        assert ill.status == "degraded"
        assert ill.advice == "run it now: prontuario schedule run two"


async def test_a_memory_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    clock, work, file = HandClock(), Worker(), tmp_path / "s.json"
    file.write_text("{damaged", encoding="utf-8")
    async with running(file, clock, task(work)) as schedule:
        with pytest.raises(ProntuarioError, match=r"schedule\.unknown"):
            schedule.check("other")
        with pytest.raises(ValueError, match="exists already"):
            schedule.add(task(work))
        schedule.run_soon("proof")
        await until(lambda: work.runs == 1)
