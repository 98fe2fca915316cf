"""Events of a dictation to whoever listens now: in this process only, bounded, and never waited for.

The truth is in the record: a listener first reads the state and then follows. One that is too slow loses the oldest
events and is told so with ``resync``, upon which it reads the state again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

QUEUE_LIMIT = 256


class Event(msgspec.Struct, frozen=True):
    """``name``: chunk, state, segment, note, or resync. ``data`` is JSON-able."""

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


class Broker:
    """Subscriptions by topic (a dictation's id). Use from one event loop."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._topics: dict[str, set[Subscription]] = {}

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
