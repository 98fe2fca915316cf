"""The door for the other node: mutual TLS, one frame after the other, every question handed to who can answer it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from appliance.cluster.peer_messages import (
    MAX_FRAME_BYTES,
    Cancel,
    FrameError,
    Question,
    Refusal,
    Reply,
    Request,
    Response,
    read_upward,
    to_frame,
)
from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.plugin_api.errors import UNAVAILABLE, ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("peer")
Handler = Callable[[Any], Awaitable[Response] | AsyncIterator[Response]]
"""Given a question, it awaits the response, or it yields several. Up to its first ``await`` it runs in order of arrival."""
_IN_FLIGHT: Final = 64
_HANDSHAKE_S: Final = 5.0
_GOODBYE_S: Final = 2.0


class PeerServer:
    """Listens at ``host:port``; ``handlers`` maps kinds of question to who answers them, and may grow at any time.

    ``tls`` demands a certificate of the pair's own authority (``node_authority.server_side``): whoever has one is a node.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext, handlers: Mapping[type[Question], Handler] | None = None
    ) -> None:
        self.handlers: dict[type[Question], Handler] = dict(handlers or {})
        self._host = host
        self._port = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens; useful when it was asked to choose (0)."""
        assert self._server is not None, "not started"  # noqa: S101
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            OSError: the address can't be had.
        """
        self._server = await asyncio.start_server(
            self._welcome,
            self._host,
            self._port,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_S,
            ssl_shutdown_timeout=_GOODBYE_S,
            limit=2 * MAX_FRAME_BYTES,
        )

    async def close(self) -> None:
        """Stop listening and cut every connection; safe to call twice."""
        if self._server is not None:
            self._server.close()
        self.cut()
        if self._visits:
            await asyncio.wait(self._visits)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def cut(self) -> None:
        """End every connection now: after a fence nobody of the old epoch shall wait for an answer."""
        for visit in list(self._visits):
            visit.cancel()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(_Visit(self.handlers, reader, writer).serve(), name="peer visit")
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        visit.add_done_callback(lambda _: writer.transport.abort())  # also when it was cut before its first step


class _Visit:
    """One connection. No more than ``_IN_FLIGHT`` questions are worked on: the rest waits in the socket."""

    def __init__(
        self,
        handlers: Mapping[type[Question], Handler],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._handlers = handlers
        self._reader = reader
        self._writer = writer
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._work: dict[int, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        try:
            while True:
                message = await read_upward(self._reader)
                if isinstance(message, Cancel):
                    self._cancel(message.number)
                    continue
                await self._room.acquire()
                task = asyncio.create_task(self._answer(message), name="peer question")
                self._work[message.number] = task
                task.add_done_callback(partial(self._ended, message.number))
        except FrameError as error:
            log.warning("the peer says what is no message", error=str(error))
        except (OSError, asyncio.IncompleteReadError):
            pass  # it hung up
        finally:
            for task in list(self._work.values()):
                task.cancel()
            self._writer.transport.abort()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    def _ended(self, number: int, _task: asyncio.Task[None]) -> None:
        self._work.pop(number, None)
        self._room.release()

    def _cancel(self, number: int) -> None:
        if number in self._work:
            self._work[number].cancel()

    async def _answer(self, request: Request) -> None:
        try:
            await self._hand_over(request)
        except ProntuarioError as error:
            await self._send(_refusal(request.number, error))
        except OSError as error:
            log.warning("a question of the peer failed", error=type(error).__name__)
            await self._send(_refusal(request.number, UNAVAILABLE(retry_after=1.0, what="peer")))
        except Exception:
            log.exception("a question of the peer broke its handler", kind=type(request.question).__name__)
            await self._send(_refusal(request.number, UNAVAILABLE(retry_after=1.0, what="peer")))
            raise

    async def _hand_over(self, request: Request) -> None:
        handler = self._handlers.get(type(request.question))
        if handler is None:
            raise PEER_MISUNDERSTOOD(question=type(request.question).__name__)
        answer = handler(request.question)
        if isinstance(answer, AsyncIterator):
            async with contextlib.aclosing(answer) as responses:  # type: ignore[type-var]
                async for response in responses:
                    await self._send(Reply(request.number, response, more=True))
            await self._send(Reply(request.number, None, more=False))
        else:
            await self._send(Reply(request.number, await answer, more=False))

    async def _send(self, message: Reply | Refusal) -> None:
        if self._writer.is_closing():
            return  # uvloop raises RuntimeError where asyncio drops what is written
        with contextlib.suppress(ConnectionError):  # it went away; what was asked for is done all the same
            self._writer.write(to_frame(message))
            await self._writer.drain()


def _refusal(number: int, error: ProntuarioError) -> Refusal:
    plain: dict[str, str | int | float | bool | None] = {
        key: value for key, value in error.details.items() if isinstance(value, str | int | float | bool)
    }
    return Refusal(number, error.kind.code, plain, error.retry_after)
