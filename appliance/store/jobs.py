"""Durable jobs: made in the transaction of what they follow from, run at least once, never silently lost.

A job is claimed with a lease, retried with exponential back-off and jitter, and after its last attempt becomes a dead
letter that people see and may requeue. After a kill -9 the claims of the dead process are taken back at start; the
attempt stays counted, so a job that kills the process ends as a dead letter too. Handlers must bear being run twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store
from appliance.store import claims, idempotency, job_records
from appliance.store.claims import Job, KindRule, Outcome
from appliance.store.job_records import counts, discard, enqueue, list_jobs, requeue
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import SILENT, Kind, Span, Tracer, within

__all__ = ["Job", "JobQueue", "PermanentFailure", "counts", "discard", "enqueue", "list_jobs", "requeue"]
log = get_logger("jobs")

MAX_ATTEMPTS: Final = 8
LIMIT_S: Final = 900.0
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 600.0
_IDLE_POLL_S: Final = 5.0
_STORE_PAUSE_S: Final = 1.0
_CANCEL_GRACE_S: Final = 5.0
_SWEEP_EVERY_S: Final = 3600.0


class PermanentFailure(Exception):  # noqa: N818  the word that handlers read best
    """Raised by a handler: trying again can't help. ``code`` is shown to people (never patient data)."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


Handler = Callable[[Job], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Kind:
    handler: Handler
    rule: KindRule


class JobQueue:
    """Runs the jobs of ``store``, at most ``concurrency`` at a time. One queue owns a store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        concurrency: int = 4,
        tracer: Tracer = SILENT,
    ) -> None:
        self._store = store
        self._clock = clock
        self._concurrency = concurrency
        self._tracer = tracer
        self._kinds: dict[str, _Kind] = {}
        self._owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._wake = asyncio.Event()
        self._stopping = False
        self._claim_in_doubt = False
        self._loop_task: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._handlers: set[asyncio.Future[None]] = set()
        self._swept_at = clock.monotonic()
        self._ended = (
            metrics.counter("jobs_ended_total", "Job attempts by outcome", ("kind", "outcome")) if metrics else None
        )

    def register(
        self,
        kind: str,
        handler: Handler,
        *,
        max_attempts: int = MAX_ATTEMPTS,
        limit_s: float = LIMIT_S,
        at_once: int | None = None,
    ) -> None:
        """Say who runs ``kind``: at most ``at_once`` together; an attempt over ``limit_s`` is cancelled and has failed."""
        if kind in self._kinds:
            raise ValueError(f"jobs of kind {kind!r} have a handler already")
        self._kinds[kind] = _Kind(handler, KindRule(max_attempts, limit_s, at_once or self._concurrency))
        self.wake()

    def wake(self) -> None:
        """Look for due jobs now: give it to ``Transaction.after_commit`` beside ``enqueue``."""
        self._wake.set()

    async def start(self) -> None:
        """Take back what a dead process had claimed, and begin (again, after ``stop``). Register the kinds first."""
        self._stopping, self._claim_in_doubt = False, False
        self._owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        rules, now = self._rules(), self._clock.now()
        taken_back = await self._store.write(lambda tx: claims.take_back(tx, rules, now=now))
        if taken_back:
            log.warning("jobs of an earlier process are taken back", count=taken_back)
        self._loop_task = asyncio.create_task(self._serve(), name="jobs")

    async def stop(self) -> None:
        """Claim no more; what runs is cancelled and waits for the next start, its attempt not counted."""
        self._stopping = True
        self._wake.set()
        for handler in self._handlers:
            handler.cancel()
        if self._loop_task is not None:
            await self._loop_task
        if self._running:
            await asyncio.wait(self._running.values())
        self._loop_task = None

    async def _serve(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                pause_s = await self._start_due()
                await self._sweep_now_and_then()
            except ProntuarioError as error:
                log.warning("jobs wait for the store", code=error.kind.code)
                pause_s = _STORE_PAUSE_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def _start_due(self) -> float:
        """Claim and start what is due and fits; how long nothing can be due, in seconds."""
        free = self._concurrency - len(self._running)
        room = self._room()
        if free <= 0 or not room:
            return _IDLE_POLL_S
        now = self._clock.now()
        due_at = await self._store.read(lambda query: claims.next_due(query, room))
        waits_s = _IDLE_POLL_S if due_at is None else due_at - now.timestamp()
        if waits_s > 0 and not self._claim_in_doubt:
            return min(_IDLE_POLL_S, waits_s)
        held = frozenset(self._running)
        self._claim_in_doubt = True  # until its answer is here
        claimed = await self._store.write(
            lambda tx: claims.claim(tx, room, self._rules(), owner=self._owner, held=held, limit=free, now=now)
        )
        self._claim_in_doubt = False
        for job in claimed:
            self._running[job.id] = asyncio.create_task(self._run(job), name=f"job {job.kind}")
        return 0.0 if claimed else _STORE_PAUSE_S

    def _rules(self) -> dict[str, KindRule]:
        return {name: kind.rule for name, kind in self._kinds.items()}

    def _room(self) -> dict[str, int]:
        busy = Counter(task.get_name() for task in self._running.values())
        room = {name: kind.rule.at_once - busy[f"job {name}"] for name, kind in self._kinds.items()}
        return {name: slots for name, slots in room.items() if slots > 0}

    async def _run(self, job: Job) -> None:
        with within(self._tracer.begin(f"job {job.kind}", Kind.CONSUMER)) as span:
            span.set("prontuario.job", job.kind)
            span.set("prontuario.attempt", job.attempt)
            await self._attempt(job, span)

    async def _attempt(self, job: Job, span: Span) -> None:
        kind = self._kinds[job.kind]
        handler = asyncio.ensure_future(kind.handler(job))
        self._handlers.add(handler)
        if self._stopping:  # claimed while ``stop`` was ending the others: it must not wait for this one's limit
            handler.cancel()
        try:
            done, _ = await asyncio.wait({handler}, timeout=kind.rule.limit_s)
            if not done:
                handler.cancel()
                await asyncio.wait({handler}, timeout=_CANCEL_GRACE_S)
            outcome = _outcome(job, kind.rule, handler, late=not done, stopping=self._stopping)
            span.set("prontuario.outcome", outcome.state)
            if outcome.error is not None:
                span.fail(outcome.error)
            await self._end(job, outcome)
        finally:
            self._handlers.discard(handler)
            self._running.pop(job.id, None)
            self.wake()

    async def _end(self, job: Job, outcome: Outcome) -> None:
        """Write the outcome down, however long the store needs; stopping, the next start will see to it."""
        if self._ended is not None:
            self._ended.labels(job.kind, outcome.state).inc()
        if outcome.error is not None:
            log.warning("a job failed", job_id=job.id, kind=job.kind, attempt=job.attempt, error=outcome.error)
        while True:
            try:
                await self._store.write(lambda tx: claims.end(tx, job.id, self._owner, outcome, now=self._clock.now()))
            except ProntuarioError as error:
                log.warning("a job's outcome waits for the store", job_id=job.id, code=error.kind.code)
                if self._stopping:
                    return
                await asyncio.sleep(_STORE_PAUSE_S)
            else:
                return

    async def _sweep_now_and_then(self) -> None:
        if self._clock.monotonic() - self._swept_at >= _SWEEP_EVERY_S:
            self._swept_at = self._clock.monotonic()
            now = self._clock.now()
            await self._store.write(lambda tx: job_records.sweep(tx, now=now))
            await self._store.write(lambda tx: idempotency.sweep(tx, now=now))


def _outcome(job: Job, rule: KindRule, handler: asyncio.Future[None], *, late: bool, stopping: bool) -> Outcome:
    if late:
        error: BaseException | None = TimeoutError()
    elif handler.cancelled():
        if stopping:
            return Outcome("ready", attempt=job.attempt - 1)
        error = asyncio.CancelledError()
    else:
        error = handler.exception()
    if error is None:
        return Outcome("done", attempt=job.attempt)
    if isinstance(error, PermanentFailure) or job.attempt >= rule.max_attempts:
        return Outcome("dead", attempt=job.attempt, error=_name(error))
    return Outcome("ready", attempt=job.attempt, error=_name(error), pause_s=_pause_s(job.attempt, error))


def _name(error: BaseException) -> str:
    """A code or a type, never the text: that may quote what was being worked on."""
    if isinstance(error, PermanentFailure):
        return error.code
    return error.kind.code if isinstance(error, ProntuarioError) else type(error).__qualname__


def _pause_s(attempt: int, error: BaseException) -> float:
    """Exponential back-off with jitter; a told ``retry_after`` is respected."""
    told = error.retry_after if isinstance(error, ProntuarioError) else None
    ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
    return max(told or 0.0, ceiling * random.uniform(0.5, 1.0))  # noqa: S311  spreads retries; no secret
