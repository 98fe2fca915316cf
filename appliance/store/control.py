"""A keep-alive HTTP/1.1 client over a Unix socket, as small as Litestream's control interface needs it."""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec

_MAX_ANSWER_BYTES: Final = 1 << 20


class ControlError(OSError):
    """The other side answered, but not with what was asked for."""


class ControlClient:
    """One connection, one request at a time; it is opened when needed and again after any failure."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The JSON object that ``path`` answers.

        Raises:
            OSError: nobody listens, the connection broke, or (``ControlError``) the answer's status is not 200.
        """
        content = b"" if body is None else msgspec.json.encode(body)
        request = (
            f"{method} {path} HTTP/1.1\r\nHost: litestream\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        ).encode() + content
        async with self._turn:
            finished = False
            try:
                status, answer = await self._exchange(request)
                decoded: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
                finished = True
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
                raise ControlError("the answer is broken") from error
            finally:
                if not finished:  # also after a cancellation: the late answer must not meet the next question
                    await self.close()
        if status != HTTPStatus.OK:
            raise ControlError(f"status {status}: {decoded.get('error')}")
        return decoded

    async def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._socket), limit=_MAX_ANSWER_BYTES)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if "content-length" not in headers:
            raise ControlError("an answer without a length")
        answer = await reader.readexactly(int(headers["content-length"]))
        return int(head[0].split(" ", 2)[1]), answer
