"""Durable jobs: made in the transaction of what they follow from, run at least once, never silently lost.

A job is claimed with a lease, retried with exponential back-off and jitter, and after its last attempt becomes a dead
letter that people see and may requeue. After a kill -9 the claims of the dead process are taken back at start; the
attempt stays counted, so a job that kills the process ends as a dead letter too. Handlers must bear being run twice.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Store
from appliance.store import job_records
from appliance.store.job_records import Claimed, counts, discard, enqueue, list_jobs, requeue
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

__all__ = ["Job", "JobQueue", "PermanentFailure", "counts", "discard", "enqueue", "list_jobs", "requeue"]
log = get_logger("jobs")

MAX_ATTEMPTS: Final = 8
LIMIT_S: Final = 900.0
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 600.0
_IDLE_POLL_S: Final = 5.0
_STORE_PAUSE_S: Final = 1.0
_KEEP_DONE: Final = timedelta(days=7)
_SWEEP_EVERY_S: Final = 3600.0


class PermanentFailure(Exception):  # noqa: N818  the word that handlers read best
    """Raised by a handler: trying again can't help. ``code`` is shown to people (never patient data)."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True, slots=True)
class Job:
    """What a handler is given. ``attempt`` counts from 1."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    attempt: int


Handler = Callable[[Job], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Kind:
    handler: Handler
    max_attempts: int
    limit_s: float


class JobQueue:
    """Runs the jobs of ``store``, at most ``concurrency`` at a time."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics | None = None, *, concurrency: int = 4) -> None:
        self._store = store
        self._clock = clock
        self._concurrency = concurrency
        self._kinds: dict[str, _Kind] = {}
        self._owner = f"{os.getpid()}-{os.urandom(6).hex()}"
        self._wake = asyncio.Event()
        self._stopping = False
        self._loop_task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._ended = (
            metrics.counter("jobs_ended_total", "Job attempts by outcome", ("kind", "outcome")) if metrics else None
        )

    def register(
        self, kind: str, handler: Handler, *, max_attempts: int = MAX_ATTEMPTS, limit_s: float = LIMIT_S
    ) -> None:
        """Say who runs ``kind``; an attempt longer than ``limit_s`` is cancelled and counts as failed."""
        if kind in self._kinds:
            raise ValueError(f"jobs of kind {kind!r} have a handler already")
        self._kinds[kind] = _Kind(handler, max_attempts, limit_s)
        self.wake()

    def wake(self) -> None:
        """Look for due jobs now: give it to ``Transaction.after_commit`` beside ``enqueue``."""
        self._wake.set()

    async def start(self) -> None:
        """Take back what a dead process had claimed, and begin."""
        now = self._clock.now()
        back = await self._store.write(lambda tx: job_records.take_back(tx, now=now))
        if back:
            log.warning("jobs of an earlier process are taken back", count=back)
        self._loop_task = asyncio.create_task(self._serve(), name="jobs")

    async def stop(self) -> None:
        """Claim no more; what runs is cancelled and becomes due again at once, without a counted attempt."""
        self._stopping = True
        self._wake.set()
        if self._loop_task is not None:
            await self._loop_task

    async def _serve(self) -> None: ...


def _pause_s(attempt: int, error: BaseException) -> float:
    """Exponential back-off with full jitter on its upper half; a told ``retry_after`` is respected."""
    told = error.retry_after if isinstance(error, ProntuarioError) else None
    ceiling = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
    return max(told or 0.0, ceiling * random.uniform(0.5, 1.0))  # noqa: S311  spreads retries; no secret
