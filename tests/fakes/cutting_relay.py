"""A TCP relay in front of a real node, with a hand on the wire: it cuts or holds what goes over it; nothing happens to the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class CuttingRelay:
    """Forwards bytes to ``host:port``; ``cut`` ends every connection at once, ``cut_after`` after so many bytes from clients.

    ``hold`` keeps every byte back, as a peer that froze does, until ``release``; while it is ``away`` nobody gets through.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._countdown: list[int] = []
        self.port = 0
        self.cuts = 0
        self.away = False
        self._flows = asyncio.Event()
        self._flows.set()
        self.connections = 0

    def cut_after(self, *sizes: int) -> None:
        """Cut when the clients have sent ``sizes[0]`` bytes, again after ``sizes[1]`` more, and so on."""
        self._countdown.extend(sizes)

    def cut(self) -> None:
        """End every connection now, without a word."""
        self.cuts += 1
        for task in self._tasks:
            task.cancel()

    def hold(self) -> None:
        """From now on nothing arrives, and nothing is refused either."""
        self._flows.clear()

    def release(self) -> None:
        """What was held arrives now, and all that follows."""
        self._flows.set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        far_writer: asyncio.StreamWriter | None = None
        try:
            if self.away:
                return
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            ways = [(reader, far_writer, True), (far_reader, writer, False)]
            await _first_to_end([asyncio.create_task(self._forward(*way)) for way in ways])
        except (asyncio.CancelledError, OSError):
            pass  # cut, or the node is not there: the client sees the same broken connection
        finally:
            for end in (writer, far_writer):
                if end is not None:
                    end.transport.abort()
            self._tasks.discard(task)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counted: bool) -> None:
        while piece := await source.read(16384):
            await self._flows.wait()
            if counted and self._countdown:
                self._countdown[0] -= len(piece)
                if self._countdown[0] <= 0:
                    self._countdown.pop(0)
                    self.cut()
                    await asyncio.sleep(0)
            sink.write(piece)
            await sink.drain()


async def _first_to_end(ways: list[asyncio.Task[None]]) -> None:
    """Wait until one way has ended, then end the other."""
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


@asynccontextmanager
async def cutting_relay(host: str, port: int) -> AsyncIterator[CuttingRelay]:
    """A relay on a free port of loopback until the end of the block."""
    relay = CuttingRelay(host, port)
    listener = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    relay.port = listener.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        listener.close()
        relay.cut()
        await asyncio.sleep(0)
