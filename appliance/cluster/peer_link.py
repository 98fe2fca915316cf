"""The way to the other node: one connection, kept up with back-off, many questions under way at a time."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, TypeVar

from appliance.cluster.peer_messages import (
    MAX_FRAME_BYTES,
    Cancel,
    Downward,
    FrameError,
    Question,
    Refusal,
    Request,
    Response,
    read_downward,
    to_frame,
)
from appliance.cluster.peer_ways import CONNECT_S, Ways
from appliance.cluster.replication_errors import PEER_AWAY, PEER_MISUNDERSTOOD
from appliance.plugin_api.errors import ProntuarioError, catalogue
from appliance.telemetry.logs import get_logger

log = get_logger("peer")
R = TypeVar("R", bound=Response)
_SILENCE_S: Final = 3.0
"""After an unanswered question and no word for so long the connection is given up: a cut cable says nothing."""
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_QUEUED_BYTES: Final = 8 << 20


class PeerLink:
    """A client of the peer's ``PeerServer``. ``start`` it; it connects by itself, again and again.

    ``name`` is the peer's: its certificate must carry it. ``other_way`` is a second address of the same peer, used while
    ``host`` is silent. ``on_up`` and ``on_down`` are told when the connection stands and when it is gone; they must not wait.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        *,
        name: str,
        other_way: str = "",
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._ways = Ways((host, other_way), port, tls, name, frame_limit=2 * MAX_FRAME_BYTES, connect_s=connect_s)
        self._on_up = on_up
        self._on_down = on_down
        self._writer: asyncio.StreamWriter | None = None
        self._number = 0
        self._waiting: dict[int, asyncio.Queue[Downward | None]] = {}
        self._up = asyncio.Event()
        self._idle = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.last_heard_s: float | None = None
        """When the peer last said anything (``time.monotonic``)."""

    @property
    def is_up(self) -> bool:
        """Whether the connection stands now. A peer that froze shows only by not answering."""
        return self._up.is_set()

    @property
    def way(self) -> str:
        """The peer's address by which the connection stands, or is tried next."""
        return self._ways.now

    async def wait_up(self) -> None:
        """Return once the connection stands."""
        await self._up.wait()

    def start(self) -> None:
        """Begin to connect."""
        self._keeper = asyncio.create_task(self._keep_up(), name="peer link")

    async def close(self) -> None:
        """Hang up; whoever waits for an answer gets ``cluster.peer_away``."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None

    async def ask(self, question: Question, kind: type[R], *, deadline_s: float) -> R:
        """The response to ``question``, within ``deadline_s`` seconds from now.

        Questions leave in the order of the calls. Cancelling tells the peer that nobody waits any more.

        Raises:
            ProntuarioError: ``cluster.peer_away`` (503): not connected, or it did not answer in time: whether it did what
                it was asked is not known. Or whatever the peer refused with.
        """
        began = time.monotonic()
        with self._asking(question) as (number, replies):
            try:
                async with asyncio.timeout(deadline_s):
                    await self._drain()
                    message = await replies.get()
            except TimeoutError:
                self._say(Cancel(number))
                self._mind_silence(began)
                raise PEER_AWAY(retry_after=1.0) from None
            except asyncio.CancelledError:
                self._say(Cancel(number))
                raise
        response, _ = _opened(message)
        if not isinstance(response, kind):
            raise PEER_MISUNDERSTOOD(question=type(question).__name__)
        return response

    async def stream(self, question: Question, kind: type[R], *, silence_s: float) -> AsyncIterator[R]:
        """The responses to ``question`` one by one; ``silence_s`` is the longest wait for the next one. Raises like ``ask``."""
        with self._asking(question) as (number, replies):
            more = False
            try:
                async with asyncio.timeout(silence_s):
                    await self._drain()
                more = True
                while more:
                    async with asyncio.timeout(silence_s):
                        message = await replies.get()
                    more = False  # a refusal ends it
                    response, more = _opened(message)
                    if isinstance(response, kind):
                        yield response
            except TimeoutError:
                raise PEER_AWAY(retry_after=1.0) from None
            finally:
                if more:
                    self._say(Cancel(number))

    # -- one question ---------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _asking(self, question: Question) -> Iterator[tuple[int, asyncio.Queue[Downward | None]]]:
        if self._writer is None or self._writer.is_closing():  # uvloop raises RuntimeError on a write to a closed one
            raise PEER_AWAY(retry_after=1.0)
        self._number += 1
        number = self._number
        replies = self._waiting[number] = asyncio.Queue()
        self._idle.clear()
        try:
            self._writer.write(to_frame(Request(number, question)))
            yield number, replies
        finally:
            self._waiting.pop(number, None)
            if not self._waiting:
                self._idle.set()

    async def _drain(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):  # the reader notices too, and tells everybody
                await self._writer.drain()

    def _say(self, message: Cancel) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(to_frame(message))

    def _mind_silence(self, since: float) -> None:
        silent_s = time.monotonic() - max(since, self.last_heard_s or 0.0)
        if silent_s > _SILENCE_S and self._writer is not None:
            log.warning("the peer is silent; connecting anew")
            self._writer.transport.abort()

    # -- the connection -------------------------------------------------------------------------------------------------
    async def _keep_up(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            fresh_way = False
            try:
                await self._one_connection()
            except (ConnectionResetError, asyncio.IncompleteReadError, FrameError) as error:
                # The peer itself hung up: it is to be had on the same cable again soon.
                log.info("no link to the peer", error=type(error).__name__)
                self._ways.prefer()
            except (OSError, TimeoutError) as error:
                level = log.debug if isinstance(error, ConnectionRefusedError) else log.info
                level("no link to the peer", error=type(error).__name__)
                fresh_way = self._ways.turn()
            except RuntimeError:
                # uvloop's word for a connection that broke under somebody's hands; the keeper must outlive it.
                log.exception("the link to the peer broke in the middle of something")
            if time.monotonic() - began > _LONGEST_PAUSE_S:
                pause_s = _FIRST_PAUSE_S
            if not fresh_way:
                await asyncio.sleep(pause_s * random.uniform(0.8, 1.2))  # noqa: S311  spreads attempts, hides nothing
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _one_connection(self) -> None:
        reader, writer = await self._ways.open()
        back = asyncio.create_task(self._go_back(writer), name="back to the cable") if self._ways.detour else None
        try:
            writer.transport.set_write_buffer_limits(high=_QUEUED_BYTES)
            self._writer = writer
            self._up.set()
            self._on_up()
            while True:
                message = await read_downward(reader)
                self.last_heard_s = time.monotonic()
                if waiting := self._waiting.get(message.number):
                    waiting.put_nowait(message)
        finally:
            if back is not None:
                back.cancel()
            self._lose(writer)

    async def _go_back(self, detour: asyncio.StreamWriter) -> None:
        """Leave the detour as soon as the cable is whole, between two questions so that none is lost."""
        log.warning("the cable to the peer is silent; the LAN is used")
        await self._ways.wait_for_the_first()
        while self._waiting:
            await self._idle.wait()
        log.warning("the cable to the peer is whole again")
        detour.transport.abort()

    def _lose(self, writer: asyncio.StreamWriter) -> None:
        was_up = self._writer is not None
        self._writer = None
        self._up.clear()
        writer.transport.abort()
        for waiting in self._waiting.values():
            waiting.put_nowait(None)
        if was_up:
            self._on_down()


def _opened(message: Downward | None) -> tuple[Response | None, bool]:
    if message is None:
        raise PEER_AWAY(retry_after=1.0)
    if isinstance(message, Refusal):
        kind = catalogue().get(message.code)
        if kind is None:
            raise PEER_MISUNDERSTOOD(question=message.code)
        raise ProntuarioError(kind, retry_after=message.retry_after, details=message.details)
    return message.response, message.more
