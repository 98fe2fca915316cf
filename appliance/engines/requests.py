"""One request while it waits, runs and is read."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from appliance.engines.poison import fingerprint
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.tracing import NOTHING, Span

MOST_BUFFERED_BYTES: Final = 64 << 20
MOST_BUFFERED_PIECES: Final = 100_000


class PendingRequest:
    """Filled by the dispatcher, emptied by the caller's iterator. Equal only to itself."""

    __slots__ = (
        "answered",
        "attempts",
        "buffered_bytes",
        "deadline",
        "ended",
        "error",
        "heard",
        "kind",
        "options",
        "outputs",
        "payload",
        "queued_at",
        "request_id",
        "span",
        "started_at",
        "stays",
        "suspect",
        "timer",
        "waiter",
    )

    def __init__(self, kind: str, payload: bytes, options: CallOptions, deadline: float, span: Span = NOTHING) -> None:
        self.kind = kind
        self.payload = payload
        self.options = options
        self.deadline = deadline
        self.span = span
        self.outputs: deque[bytes] = deque()
        self.buffered_bytes = 0
        self.heard = False  # something has come
        self.answered = False  # something has come that the caller may have read
        self.ended = False
        self.suspect = False
        self.stays = False  # it came back from the other node
        self.attempts = 0
        self.request_id = 0
        self.queued_at = 0.0
        self.started_at = 0.0
        self.error: ProntuarioError | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.waiter: asyncio.Future[None] | None = None

    @property
    def lane(self) -> Lane:
        """Which queue it waits in."""
        return self.options.lane

    @property
    def user(self) -> str:
        """Whose turn it takes."""
        return self.options.user

    def mark(self) -> bytes:
        """Its fingerprint."""
        return fingerprint(self.kind, self.payload)

    def add(self, payload: bytes) -> bool:
        """Keep a piece of the answer; False if the reader is too far behind."""
        self.heard = True
        self.outputs.append(payload)
        self.buffered_bytes += len(payload)
        if not self.options.whole:
            self.answered = True
            self._wake()
        return self.buffered_bytes <= MOST_BUFFERED_BYTES and len(self.outputs) <= MOST_BUFFERED_PIECES

    @property
    def readable(self) -> bool:
        """Whether there is something to take."""
        return bool(self.outputs) and (self.ended or not self.options.whole)

    def forget(self) -> None:
        """It is answered from the beginning again."""
        self.outputs.clear()
        self.buffered_bytes = 0
        self.heard = False

    def take(self) -> bytes:
        """The oldest piece that was not read yet."""
        payload = self.outputs.popleft()
        self.buffered_bytes -= len(payload)
        return payload

    def end(self, error: ProntuarioError | None = None) -> None:
        """No more pieces will come. The first end counts."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        if error is not None and self.options.whole:
            self.forget()
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        self._wake()

    async def changed(self) -> None:
        """Until there is something to take, or the end."""
        if self.readable or self.ended:
            return
        self.waiter = asyncio.get_running_loop().create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def _wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)
