"""POST of JSON over kept-alive HTTP/1.1 connections (RFC 9112) to one host: what etcd's gateway needs, no more.

Written for cancellation: a call that is given up aborts its connection at once, so nothing leaks and no late answer can be
taken for another call's.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any, Final
from urllib.parse import urlsplit

_MAX_BODY: Final = 16 << 20
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpWire:
    """Connections to ``base`` (``http://`` or ``https://``); as many as calls are under way."""

    def __init__(self, base: str, tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._name = parts.netloc
        self._tls = tls if parts.scheme == "https" else None
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, answer).

        Raises:
            OSError, EOFError, ValueError: no answer, or not HTTP, or not JSON.
        """
        reader, writer = await self._connection()
        try:
            content = json.dumps(body).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: {self._name}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
            status, kept, answer = await _answer(reader)
        except BaseException:
            writer.transport.abort()
            raise
        if kept:
            self._idle.append((reader, writer))
        else:
            writer.transport.abort()
        decoded: dict[str, Any] = json.loads(answer)
        return status, decoded

    async def close(self) -> None:
        """Drop what is idle."""
        while self._idle:
            _, writer = self._idle.pop()
            writer.transport.abort()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn

    async def _connection(self) -> _Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        server_hostname = self._host if self._tls is not None else None
        return await asyncio.open_connection(self._host, self._port, ssl=self._tls, server_hostname=server_hostname)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """(status, whether the connection may be used again, body)."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    kept = headers.get("connection", "").lower() != "close"
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return status, kept, await reader.readexactly(_bounded(int(headers.get("content-length", "0"))))
    body = b""
    while size := _bounded(int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)):
        body += (await reader.readexactly(size + 2))[:-2]
        _bounded(len(body))
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass  # trailers of the gateway
    return status, kept, body


def _bounded(size: int) -> int:
    if not 0 <= size <= _MAX_BODY:
        raise ValueError("unreasonable answer")
    return size
