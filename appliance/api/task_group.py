"""Runs the application for each request of a connection, with a bounded queue that can't dead-lock.

Hypercorn's own queue blocks for ever when an application answers without having read the body: the reader waits for
the queue, and closing the stream waits behind it. Here a finished application's queue swallows what still arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from appliance.telemetry.logs import get_logger

_log = get_logger("api")


class _Inbox:
    """Messages from the client to one application call; at most ``limit`` wait. One reader, one writer."""

    __slots__ = ("_limit", "_messages", "_open", "_reader", "_writer")

    def __init__(self, limit: int) -> None:
        self._messages: deque[ASGIReceiveEvent] = deque()
        self._limit = limit
        self._open = True
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def put(self, message: ASGIReceiveEvent) -> None:
        leaving = message["type"] in {"http.disconnect", "websocket.disconnect"}
        while self._open and not leaving and len(self._messages) >= self._limit:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._open:
            self._messages.append(message)
            _wake(self._reader)

    async def get(self) -> ASGIReceiveEvent:
        while not self._messages:
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        message = self._messages.popleft()
        _wake(self._writer)
        return message

    def close(self) -> None:
        self._open = False
        _wake(self._writer)


def _wake(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)


class BoundedTaskGroup(TaskGroup):
    """Hypercorn's task group with our queue. Its helpers (HTTP/2 sending, WebSocket pings) end with the connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._helpers: list[asyncio.Task[None]] = []

    def spawn(self, func: Callable[..., Any], *args: Any) -> None:
        """Hypercorn's pinger would sleep on for its whole interval after the connection is gone, and hold it open."""
        self._helpers.append(self._task_group.create_task(func(*args)))

    def stop_helpers(self) -> None:
        """The connection is over: nobody is left to ping or to send to."""
        for helper in self._helpers:
            helper.cancel()

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        inbox = _Inbox(config.max_app_queue_size)
        self._task_group.create_task(_call(app, scope, inbox, send))
        return inbox.put


async def _call(
    app: AppWrapper, scope: Scope, inbox: _Inbox, send: Callable[[ASGISendEvent | None], Awaitable[None]]
) -> None:
    try:
        await app(scope, inbox.get, send, _no_threads, _no_threads)
    except Exception as error:  # noqa: BLE001  the outermost API boundary: one request's failure stays its own
        _log.error("request failed outside the application", exc_info=error)
    finally:
        inbox.close()
        await send(None)


def _no_threads(*_: Any) -> Any:
    raise NotImplementedError("the application is asynchronous throughout")
