"""Server-sent events (WHATWG HTML §9.2): framing, heartbeats, and a clear last word when the node drains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import msgspec

from appliance.api.errors import as_answer
from appliance.plugin_api.http import ServerSentEvent

HEARTBEAT_S: Final = 15.0
_HEARTBEAT: Final = b": heartbeat\n\n"
_RECONNECT: Final = b'event: reconnect\nretry: 1000\ndata: {"retry_after":1}\n\n'
_REVOKED: Final = b'event: revoked\ndata: {"code":"auth.revoked"}\n\n'


def frame(event: ServerSentEvent) -> bytes:
    """One event on the wire; ``data`` is JSON, so it never holds a raw line break."""
    lines = [f"event: {_one_line(event.event)}"]
    if event.id is not None:
        lines.append(f"id: {_one_line(event.id)}")
    return "\n".join(lines).encode() + b"\ndata: " + msgspec.json.encode(event.data) + b"\n\n"


async def event_stream(
    items: AsyncIterator[Any],
    *,
    draining: asyncio.Event,
    may_continue: Callable[[], Awaitable[bool]],
    heartbeat_s: float = HEARTBEAT_S,
    language: str = "pt",
    route: str = "",
) -> AsyncIterator[bytes]:
    """``items`` (events, or bytes already framed) as a body that never falls silent.

    A stream of ``ServerSentEvent`` ends with ``reconnect`` when the node drains; one of bytes (a model's answer) may finish
    within the drain time. Every ``heartbeat_s`` the right to listen is checked again: a revoked session hears ``revoked``.
    A failure inside the stream becomes its last event, ``error``.
    """
    pump = _Pump(items, draining)
    clock = asyncio.get_running_loop().time
    checked = clock()
    try:
        while (outcome := await pump.next(heartbeat_s)) is not _END:
            if clock() - checked >= heartbeat_s:
                checked = clock()
                if not await may_continue():
                    outcome = _REVOKED
            yield frame(outcome) if isinstance(outcome, ServerSentEvent) else outcome
            if outcome is _RECONNECT or outcome is _REVOKED:
                return
    except Exception as error:  # noqa: BLE001  the API boundary: the status line is long gone, so the stream must say it
        answer = as_answer(error, route)
        yield frame(ServerSentEvent("error", {"code": answer.kind.code, "detail": answer.sentence(language)}))
    finally:
        await pump.close()


_END: Final = object()


class _Pump:
    """Waits for the next item, the drain (``_RECONNECT``) or the ``_HEARTBEAT``, whichever is first; then ``_END``."""

    def __init__(self, items: AsyncIterator[Any], draining: asyncio.Event) -> None:
        self._items = items
        self._next: asyncio.Task[Any] | None = None
        self._drained = asyncio.ensure_future(draining.wait())
        self._raw = False

    async def next(self, heartbeat_s: float) -> Any:
        if self._next is None:
            self._next = asyncio.ensure_future(self._take())
        watched = {self._next} if self._raw else {self._next, self._drained}
        done, _ = await asyncio.wait(watched, timeout=heartbeat_s, return_when=asyncio.FIRST_COMPLETED)
        if self._next in done:
            item, self._next = self._next.result(), None
            self._raw = isinstance(item, bytes)
            return item
        return _RECONNECT if done else _HEARTBEAT

    async def _take(self) -> Any:
        try:
            return await anext(self._items)
        except StopAsyncIteration:
            return _END

    async def close(self) -> None:
        self._drained.cancel()
        if self._next is not None:
            self._next.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._next
        closing = getattr(self._items, "aclose", None)
        if closing is not None:
            await closing()


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
