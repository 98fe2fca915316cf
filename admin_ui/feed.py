"""The live picture of one signed-in person: follows core's event stream while a page is open, and remembers ten minutes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from admin_ui.client import AdminClient, SignedOutError
from admin_ui.link import CoreRefusedError, CoreUnreachableError
from admin_ui.shapes import Snapshot

REMEMBERED: Final = 300
"""Points kept for the charts: ten minutes at one every two seconds."""
WATCHED_S: Final = 20.0
"""Without a page asking for so long, the stream is closed."""
RETRY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of the charts. ``requests_per_s`` is None right after core started."""

    at: datetime
    waiting: int
    running: int
    requests_per_s: float | None
    memory_bytes: int


class LiveFeed:
    """Latest snapshot, history, and whether core answers."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self._task: asyncio.Task[None] | None = None
        self._watched_until = 0.0
        self._first = asyncio.Event()
        self.latest: Snapshot | None = None
        self.history: deque[Point] = deque(maxlen=REMEMBERED)
        self.lost_since: datetime | None = None
        self.signed_out = False

    def watch(self) -> None:
        """Say that a page is looking; keeps the stream open for the next ``WATCHED_S`` seconds."""
        self._watched_until = time.monotonic() + WATCHED_S
        if not self.signed_out and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._follow(), name="dashboard live feed")

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def first(self, limit_s: float) -> None:
        """Wait for the first picture, or for the news that there is none, at most ``limit_s`` seconds."""
        self.watch()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._first.wait()

    def accept(self, snapshot: Snapshot) -> None:
        """Take a new picture in: core answers."""
        self.history.append(_point(snapshot, self.latest))
        self.latest = snapshot
        self.lost_since = None
        self._first.set()

    async def _follow(self) -> None:
        while time.monotonic() < self._watched_until:
            try:
                await self._one_stream()
            except SignedOutError:
                self.signed_out = True
                return
            except (CoreUnreachableError, CoreRefusedError):
                self.lost_since = self.lost_since or datetime.now(UTC)
                self._first.set()
                await asyncio.sleep(RETRY_S)

    async def _one_stream(self) -> None:
        arrived = False
        async with aclosing(self._client.snapshots()) as snapshots:
            async for snapshot in snapshots:
                arrived = True
                self.accept(snapshot)
                if time.monotonic() >= self._watched_until:
                    return
        if not arrived:
            await asyncio.sleep(RETRY_S)


def _point(new: Snapshot, old: Snapshot | None) -> Point:
    rate = None
    if old is not None and new.node.uptime_s > old.node.uptime_s:
        passed = new.node.uptime_s - old.node.uptime_s
        rate = max(0.0, (new.node.requests_total - old.node.requests_total) / passed)
    waiting, running = sum(e.waiting for e in new.engines), sum(e.running for e in new.engines)
    return Point(datetime.now(UTC), waiting, running, rate, new.node.memory_used_bytes)
