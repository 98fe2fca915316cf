"""What a node does again and again by itself: proofs, tidying up, reports. One at a time, remembered across restarts.

The memory is one small file in the home, not the record: a standby has no record to write to, and has work of its own. A
task that fails is an alarm until it succeeds: in health, in the metrics, on the dashboard, with its cause and the next
step. Wall time says what is due, for it must survive restarts; a clock that stepped back makes a task due at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from appliance.operations.errors import TASK_BUSY, TASK_ELSEWHERE, TASK_UNKNOWN
from appliance.operations.schedule_memory import Figure, Memory, Run, TaskReport, Trouble, load, save, trouble_of
from appliance.plugin_api.hooks import Health
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("schedule")
SETTLE_S: Final = 120.0
"""After a start, nothing runs before this: the node has better things to do."""
JITTER: Final = 0.1
"""Of the period, at most: two nodes and many tasks drift apart instead of meeting at every full hour."""
LATE_PERIODS: Final = 3.0
POLL_S: Final = 15.0
_CANCEL_GRACE_S: Final = 30.0
_AT_ONCE: Final = 0.0
"""As ``due_s``: a person asked for it."""


class Later(Exception):  # noqa: N818  no error: the task's own wish
    """A task's ``run`` raises it: not now, but again after ``after_s`` seconds. Neither a success nor a failure."""

    def __init__(self, after_s: float) -> None:
        super().__init__(after_s)
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """``run`` gives figures for people (numbers and short words, never patients' data) or raises why it failed, or ``Later``.

    ``here``: whether this node's role runs it at this moment. Times in seconds: a failed run is tried again after
    ``retry_s``, one that takes longer than ``limit_s`` is cancelled and has failed.
    """

    name: str
    title_pt: str
    title_en: str
    every_s: float
    run: Callable[[], Awaitable[Mapping[str, Figure]]]
    here: Callable[[], bool] = lambda: True
    retry_s: float = 1800.0
    limit_s: float = 6 * 3600.0


class Schedule:
    """``add`` tasks, then ``start``; ``stop`` cancels what runs, which is due again at the next start."""

    def __init__(
        self,
        file: Path,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        settle_s: float = SETTLE_S,
        poll_s: float = POLL_S,
    ) -> None:
        """``file``: where it remembers. Blocks a little: reads it. Looks for what is due every ``poll_s`` seconds."""
        self._poll_s = poll_s
        self._file = file
        self._clock = clock
        self._settle_s = settle_s
        self._tasks: dict[str, Task] = {}
        self._memory = load(file)
        self._running: str | None = None
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._spread = random.Random()  # noqa: S311  spreads work; no secret
        self._meters = _Meters(metrics) if metrics is not None else None

    def add(self, task: Task) -> None:
        """Take it in.

        Raises:
            ValueError: the name is taken.
        """
        if task.name in self._tasks:
            raise ValueError(f"a task named {task.name!r} exists already")
        self._tasks[task.name] = task
        if task.name not in self._memory:
            self._memory[task.name] = Memory(due_s=self._now_s() + self._jitter(task.every_s))
        if self._meters is not None:
            self._meters.show(task.name, self._memory[task.name])
            self._meters.watch(
                task.name,
                late=lambda: task.here() and self._is_late(task, self._memory[task.name]),
                failing=lambda: self._memory[task.name].failures if task.here() else 0,
            )

    def start(self) -> None:
        """Begin; what became due while the node was down runs after a while."""
        self._not_before = self._clock.monotonic() + self._settle_s
        self._loop = asyncio.create_task(self._serve(), name="schedule")

    async def stop(self) -> None:
        """Cancel what runs and end; safe to call twice."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.cancel()
            await asyncio.wait({loop})

    def check(self, name: str) -> None:
        """Raise what speaks against running ``name`` now.

        Raises:
            ProntuarioError: ``schedule.unknown`` 404, ``schedule.elsewhere`` 409 (this node's role does not run it),
                ``schedule.running`` 409.
        """
        task = self._tasks.get(name)
        if task is None:
            raise TASK_UNKNOWN(name=name)
        if not task.here():
            raise TASK_ELSEWHERE(name=name)
        if self._running == name:
            raise TASK_BUSY(name=name)

    def trouble(self, name: str) -> Trouble | None:
        """Why the last run of ``name`` failed, remembered across restarts; None: it did not."""
        return self._memory[name].trouble

    def run_soon(self, name: str) -> None:
        """A person wants ``name`` (that ``check`` let pass) to run now, or as soon as the one that runs has ended."""
        self._memory[name].due_s = _AT_ONCE
        self._wake.set()

    def report(self, node: str = "") -> list[TaskReport]:
        """Every task as people see it, in the order in which they were added."""
        return [self._report(task, node) for task in self._tasks.values()]

    async def health(self) -> Health:
        """The worst that a person should know; a check for the registry. Asks nobody."""
        for task in self._tasks.values():
            memory = self._memory[task.name]
            if memory.trouble is not None:
                trouble = memory.trouble
                return Health(
                    "degraded",
                    f"{task.title_en}: {trouble.cause_en}",
                    trouble.step_en,
                    message_pt=f"{task.title_pt}: {trouble.cause_pt}",
                    advice_pt=trouble.step_pt,
                )
            if task.here() and self._is_late(task, memory):
                return Health(
                    "degraded",
                    f"{task.title_en} has not succeeded for too long",
                    "run it now: prontuario schedule run " + task.name,
                    message_pt=f"{task.title_pt}: faz tempo demais que não dá certo",
                    advice_pt="execute agora: prontuario schedule run " + task.name,
                )
        return Health("ok", "recurring work is done", message_pt="as tarefas de rotina estão em dia")

    # -- the loop -------------------------------------------------------------------------------------------------------
    async def _serve(self) -> None:
        while True:
            self._wake.clear()
            task = self._next_due()
            if task is not None:
                await self._run(task)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()

    def _next_due(self) -> Task | None:
        now_s, settling = self._now_s(), self._settling()
        for task in self._tasks.values():  # a clock that was ahead must not put a task off for years
            memory = self._memory[task.name]
            memory.due_s = min(memory.due_s, now_s + task.every_s * (1 + JITTER))
        until_s = _AT_ONCE if settling else now_s
        due = [task for task in self._tasks.values() if self._memory[task.name].due_s <= until_s and task.here()]
        return min(due, key=lambda task: self._memory[task.name].due_s, default=None)

    async def _run(self, task: Task) -> None:
        memory, began_s = self._memory[task.name], self._clock.monotonic()
        self._running = task.name
        work = asyncio.ensure_future(task.run())
        try:
            done, _ = await asyncio.wait({work}, timeout=task.limit_s)
        finally:
            self._running = None
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=_CANCEL_GRACE_S)
        error: BaseException | None = TimeoutError()
        if done:
            error = asyncio.CancelledError() if work.cancelled() else work.exception()
        self._end(task, memory, round(self._clock.monotonic() - began_s, 3), error, work)
        await asyncio.to_thread(save, self._file, dict(self._memory))

    def _end(
        self,
        task: Task,
        memory: Memory,
        seconds: float,
        error: BaseException | None,
        work: asyncio.Future[Mapping[str, Figure]],
    ) -> None:
        now = self._clock.now()
        if error is not None and not task.here():
            log.info("the role changed under a recurring task; it is done where it belongs", job=task.name)
            memory.due_s = now.timestamp() + self._jitter(task.retry_s)
            return
        if isinstance(error, Later):
            log.info("a recurring task is put off", job=task.name, duration_ms=int(error.after_s * 1000))
            memory.due_s = now.timestamp() + error.after_s
            return
        memory.last = Run(instant(now), seconds, ok=error is None)
        if error is None:
            memory.ok_at, memory.ok_s = instant(now), now.timestamp()
            memory.failures, memory.trouble = 0, None
            memory.figures = dict(work.result())
            memory.due_s = now.timestamp() + task.every_s + self._jitter(task.every_s)
            log.info("a recurring task is done", job=task.name, duration_ms=int(seconds * 1000))
        else:
            memory.failures += 1
            memory.trouble = trouble_of(error, limit_s=task.limit_s)
            memory.due_s = now.timestamp() + task.retry_s + self._jitter(task.retry_s)
            log.error("a recurring task failed", job=task.name, code=memory.trouble.code, count=memory.failures)
        if self._meters is not None:
            self._meters.ran(task.name, memory)

    def _report(self, task: Task, node: str) -> TaskReport:
        memory = self._memory[task.name]
        return TaskReport(
            node=node,
            name=task.name,
            title_pt=task.title_pt,
            title_en=task.title_en,
            every_s=task.every_s,
            here=task.here(),
            running=self._running == task.name,
            due_at=instant(datetime.fromtimestamp(max(memory.due_s, 0.0), UTC)) if memory.due_s else "",
            ok_at=memory.ok_at,
            last=memory.last,
            failures=memory.failures,
            trouble=memory.trouble,
            figures=memory.figures,
        )

    def _is_late(self, task: Task, memory: Memory) -> bool:
        """``due_s`` was at most a period after the last success, so how long it has passed tells enough."""
        waits = memory.due_s > _AT_ONCE and self._running != task.name and not self._settling()
        return waits and self._now_s() - memory.due_s > LATE_PERIODS * task.every_s

    def _settling(self) -> bool:
        return self._clock.monotonic() < self._not_before

    def _jitter(self, span_s: float) -> float:
        return self._spread.uniform(0.0, JITTER * span_s)

    def _now_s(self) -> float:
        return self._clock.now().timestamp()


class _Meters:
    """Every task's figures for Prometheus."""

    def __init__(self, metrics: Metrics) -> None:
        label = ("task",)
        self._ok = metrics.gauge("schedule_last_success_seconds", "When it last succeeded, since 1970; 0: never", label)
        self._failing = metrics.gauge(
            "schedule_failures",
            "Failed runs in a row; 0: the last one succeeded, or it is not this node's now",
            label,
        )
        self._late = metrics.gauge("schedule_late", "Whether it has not succeeded for three periods", label)
        self._duration = metrics.gauge("schedule_duration_seconds", "How long its last run took", label)
        self._runs = metrics.counter("schedule_runs_total", "Runs by outcome", ("task", "outcome"))

    def show(self, name: str, memory: Memory) -> None:
        self._ok.labels(name).set(memory.ok_s)
        if memory.last is not None:
            self._duration.labels(name).set(memory.last.seconds)

    def watch(self, name: str, *, late: Callable[[], bool], failing: Callable[[], int]) -> None:
        """``late`` and ``failing`` are asked whenever the metrics are read: with its role a node loses a task, and its trouble."""
        self._late.labels(name).set_function(late)
        self._failing.labels(name).set_function(failing)

    def ran(self, name: str, memory: Memory) -> None:
        self.show(name, memory)
        self._runs.labels(name, "failed" if memory.trouble else "ok").inc()


__all__ = ["Figure", "Later", "Schedule", "Task", "TaskReport", "Trouble"]
