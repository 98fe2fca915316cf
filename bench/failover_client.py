"""One client for every failover bench: a write every 10 ms, whoever answers; books of what was acknowledged and when.

Open loop: a write that hangs does not keep the next one waiting, so the outage that is measured is the service's and not that
of one connection's time-out. A write that fails is sent again with its own key until it is acknowledged. Standard library only:
peers run it with a Python of their own.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

EVERY_S = 0.01
ATTEMPT_S = 2.0
RETRY_S = 0.05
MOST_UNDER_WAY = 24
"""More would only mean that the survivor's first second goes into as many TLS handshakes as there are writes waiting."""
QUIET_S = 3.0
GAP_S = 0.5
OUTAGE_LIMIT_S = 120.0


class Service(Protocol):
    """What is written to."""

    async def write(self, key: str) -> int:
        """Write the row ``key`` once, however often it is sent; the term of whoever acknowledged. Raises when it did not."""
        ...

    async def kept(self) -> set[str]:
        """The keys that can be read back now."""
        ...


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One acknowledged write. Seconds of the monotonic clock; ``began`` is the sending that was answered."""

    key: str
    began: float
    ended: float
    term: int


@dataclass
class Books:
    """What was acknowledged, in the order of the answers."""

    acknowledged: list[Acknowledged] = field(default_factory=list)

    def outage_after(self, moment: float) -> float:
        """The longest time without an acknowledgement that touches or follows ``moment``, in seconds."""
        ends = sorted(one.ended for one in self.acknowledged)
        gaps = [after - before for before, after in itertools.pairwise(ends) if after > moment]
        return max(gaps, default=float("inf"))

    def overlapping(self) -> int:
        """Acknowledgements by an older term for writes that were sent after a newer term had acknowledged one."""
        newest, marks = -1, list[tuple[float, int]]()
        for one in sorted(self.acknowledged, key=lambda ack: ack.ended):
            if one.term > newest:
                newest = one.term
                marks.append((one.ended, newest))
        return sum(any(one.began > since and one.term < term for since, term in marks) for one in self.acknowledged)

    def steady(self, seconds: float, after: float) -> bool:
        """Whether acknowledgements came for the last ``seconds``, all after ``after``, with no gap above ``GAP_S``."""
        now, gap_s = time.monotonic(), min(GAP_S, seconds / 2)
        since = now - seconds
        ends = sorted(one.ended for one in self.acknowledged[-2000:] if one.ended > since)
        return since >= after and all(b - a <= gap_s for a, b in itertools.pairwise([since, *ends, now]))

    def lost(self, kept: set[str]) -> list[str]:
        """Acknowledged, but not there."""
        return [one.key for one in self.acknowledged if one.key not in kept]


class Client:
    """Writes on and on between ``start`` and ``stop``."""

    def __init__(
        self,
        service: Service,
        prefix: str,
        *,
        every_s: float = EVERY_S,
        on_acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        self._service = service
        self._prefix = prefix
        self._every_s = every_s
        self._told = on_acknowledged
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacer: asyncio.Task[None] | None = None
        self._stopping = False
        self.books = Books()
        self.sent = 0

    def start(self) -> None:
        """Begin to write."""
        self._pacer = asyncio.create_task(self._pace())

    async def stop(self, limit_s: float = OUTAGE_LIMIT_S) -> None:
        """Send nothing new and wait until everything that was sent is acknowledged, at most ``limit_s``; then give up."""
        self._stopping = True
        if self._pacer is not None:
            await self._pacer
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def unanswered(self) -> int:
        """Writes under way, or waiting to be sent again."""
        return len(self._tasks)

    async def _pace(self) -> None:
        due = time.monotonic()
        while not self._stopping:
            if len(self._tasks) < MOST_UNDER_WAY:
                self.sent += 1
                task = asyncio.create_task(self._write(f"{self._prefix}-{self.sent:07d}"))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            due = max(due + self._every_s, time.monotonic())  # a busy machine is no reason for a burst
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _write(self, key: str) -> None:
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(ATTEMPT_S):
                    term = await self._service.write(key)
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001  whatever went wrong, this write is not acknowledged and goes out again
                await asyncio.sleep(RETRY_S)
            else:
                self.books.acknowledged.append(Acknowledged(key, began, time.monotonic(), term))
                self._told()
                return

    async def steady(self, seconds: float = QUIET_S, *, after: float = 0.0, limit_s: float = OUTAGE_LIMIT_S) -> None:
        """See ``until_steady``."""
        await until_steady(self.books, seconds, after=after, limit_s=limit_s)


async def until_steady(books: Books, seconds: float, *, after: float = 0.0, limit_s: float = OUTAGE_LIMIT_S) -> None:
    """Wait until acknowledgements have come for ``seconds``, all of them after ``after``, without a gap.

    Raises:
        TimeoutError: the service does not serve within ``limit_s``.
    """
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if books.steady(seconds, after):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"no steady service within {limit_s:.0f} s")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of all lie (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(round(share * len(ranked), 9)) - 1)] if ranked else float("nan")
