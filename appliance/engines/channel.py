"""The core's end of a child's socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

from appliance.engines.frames import FrameError, FrameReader, FrameWriter
from appliance.engines.shared_block import BlockError
from appliance.plugin_api.messages import FromEngine, ToEngine

_HIGH_WATER_BYTES: Final = 4 << 20


class Channel(asyncio.Protocol):
    """Frames over a connected socket.

    ``writable`` is False while the child reads too slowly; ``on_writable`` is called when it has caught up. Reading never
    stops: answers are handed on at once, and whoever keeps them bounds them.
    """

    def __init__(
        self,
        prefix: str,
        *,
        on_message: Callable[[FromEngine], None],
        on_writable: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._writer = FrameWriter(f"{prefix}p")
        self._reader: FrameReader[FromEngine] = FrameReader(FromEngine, f"{prefix}c")  # type: ignore[arg-type]
        self._on_message = on_message
        self._on_writable = on_writable
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self.writable = True

    async def connect(self, sock: socket.socket) -> None:
        """Take over ``sock`` (connected, AF_UNIX)."""
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self, sock=sock)

    def send(self, message: ToEngine) -> None:
        """Queue a message; ignored once the child is gone.

        Raises:
            FrameTooLargeError: the payload fits nowhere; nothing was sent.
        """
        if self._transport is not None:
            self._transport.write(self._writer.frame(message))

    def close(self) -> None:
        """Hang up and remove the shared memory that nobody will read."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
        self._writer.blocks.clear()
        self._reader.blocks.clear()

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        # The loop promises a read-write transport for a socket; uvloop's is no subclass of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Bytes from the child."""
        try:
            for message in self._reader.feed(data):
                self._on_message(message)
        except (FrameError, BlockError):
            self._on_lost("protocol")

    def connection_lost(self, _error: Exception | None) -> None:
        """EOF or reset."""
        self._transport = None
        self._on_lost("hung up")

    def pause_writing(self) -> None:
        """The child reads too slowly."""
        self.writable = False

    def resume_writing(self) -> None:
        """The child has caught up."""
        self.writable = True
        self._on_writable()
