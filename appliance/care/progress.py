"""Events of a dictation to whoever listens now: in this process only, bounded, and never waited for.

The truth is in the record: a listener first reads the state and then follows. One that is too slow loses the oldest
events and is told so with ``resync``, upon which it reads the state again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec

QUEUE_LIMIT = 256
_ROUND_S: Final = 0.4
"""The dispatcher tells all requests of a dictation at once, the first of them first: that one is the dictation's place."""
_MOVING_S: Final = 3.0
"""While one utterance is being heard, the next ones' places say nothing about the dictation."""


class Event(msgspec.Struct, frozen=True):
    """``name``: chunk, state, segment, partial, live, queue, note, or resync. ``data`` is JSON-able."""

    name: str
    data: dict[str, Any]


class Subscription:
    """One listener's queue. Iterating never ends by itself."""

    def __init__(self, limit: int) -> None:
        self._queue: asyncio.Queue[Event] = asyncio.Queue(limit)
        self._lost = False

    def offer(self, event: Event) -> None:
        """Put without waiting; the oldest gives way."""
        if self._queue.full():
            self._queue.get_nowait()
            self._lost = True
        self._queue.put_nowait(event)

    async def events(self) -> AsyncIterator[Event]:
        """Events as they come; ``resync`` first when some were lost."""
        while True:
            event = await self._queue.get()
            if self._lost:
                self._lost = False
                yield Event("resync", {})
            yield event


class _Standing:
    """One dictation's place in a model's queue, from what its requests are told."""

    def __init__(self, tell: Callable[[int], None], now: Callable[[], float]) -> None:
        self._tell = tell
        self._now = now
        self._moved_at = self._told_at = float("-inf")
        self.place: int | None = None

    def told(self, position: int) -> None:
        """One of its requests stands at ``position``; 0: it is being worked on."""
        now = self._now()
        if position == 0:
            self._moved_at = now
            if self.place is not None:
                self.place = None
                self._tell(0)
        elif now - self._moved_at >= _MOVING_S and now - self._told_at >= _ROUND_S:
            self._told_at = now
            if position != self.place:
                self.place = position
                self._tell(position)


class Broker:
    """Subscriptions by topic (a dictation's id). Use from one event loop. ``now``: seconds of a monotonic clock."""

    def __init__(self, limit: int = QUEUE_LIMIT, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._topics: dict[str, set[Subscription]] = {}
        self._standings: dict[str, _Standing] = {}

    @contextlib.contextmanager
    def queueing(self, topic: str) -> Iterator[Callable[[int], None]]:
        """For ``CallOptions.on_queue`` of a dictation's requests: listeners get ``queue`` events with the place, while it waits."""

        def tell(position: int) -> None:
            self.publish(topic, "queue", position=position)

        standing = self._standings[topic] = _Standing(tell, self._now)
        try:
            yield standing.told
        finally:
            if self._standings.get(topic) is standing:
                del self._standings[topic]

    def place(self, topic: str) -> int | None:
        """Where the dictation waits for a model, 1 for the next one; None when it does not wait."""
        standing = self._standings.get(topic)
        return standing.place if standing is not None else None

    def publish(self, topic: str, name: str, **data: Any) -> None:
        """Tell every listener of ``topic``."""
        for subscription in tuple(self._topics.get(topic, ())):
            subscription.offer(Event(name, data))

    @contextlib.contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Listen from now on, until the block ends."""
        subscription = Subscription(self._limit)
        self._topics.setdefault(topic, set()).add(subscription)
        try:
            yield subscription
        finally:
            listeners = self._topics[topic]
            listeners.discard(subscription)
            if not listeners:
                del self._topics[topic]

    @property
    def listeners(self) -> int:
        """How many listen, over all topics."""
        return sum(map(len, self._topics.values()))
