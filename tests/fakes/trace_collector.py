"""A collector of traces on loopback: real HTTP, an answer as the test wants it, and what it was sent, byte for byte."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from appliance.config.model import Tracing

PATIENCE_S = 60.0


@dataclass
class Collector:
    """``status`` and ``answer`` are sent; while ``hangs`` is set, nothing is. ``heads`` and ``bodies``: what came."""

    status: str = "200 OK"
    answer: bytes = b"{}"
    hangs: bool = False
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0
    _visits: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def spans(self) -> list[dict[str, Any]]:
        """Every span that was accepted, in the order of its end, attributes as a plain mapping."""
        return list(spans_of(self.bodies))

    def settings(self, **changed: Any) -> Tracing:
        """``[tracing]`` that sends everything here, soon."""
        fields = {"enabled": True, "endpoint": f"http://127.0.0.1:{self.port}/v1/traces", "sample_ratio": 1.0}
        return Tracing(**(fields | {"every_s": 0.02, "timeout_s": 30.0, "flush_s": 10.0} | changed))

    async def until_spans(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.spans) < count:  # noqa: ASYNC110  the sender is another task
                await asyncio.sleep(0.01)
        return self.spans

    async def until_asked(self, times: int) -> None:
        """Wait for so many requests, answered or not."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.heads) < times:  # noqa: ASYNC110  the sender is another task
                await asyncio.sleep(0.01)

    def let_go(self) -> None:
        """Hang up on who still waits."""
        for writer in self._visits:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = await reader.readexactly(int(fields["content-length"]))
            self.heads.append(head)
            if self.hangs:
                await reader.read()  # until the other side gives up
                return
            if self.status.startswith("200"):
                self.bodies.append(body)
            says = (
                f"HTTP/1.1 {self.status}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {len(self.answer)}\r\n\r\n"
            )
            writer.write(says.encode() + self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._visits.discard(writer)
            writer.close()


@asynccontextmanager
async def collector(*, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Collector]:
    """One that listens."""
    one = Collector(**options)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls) as server:
        one.port = server.sockets[0].getsockname()[1]
        try:
            yield one
        finally:
            one.let_go()


def spans_of(bodies: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    """The spans of some requests."""
    for body in bodies:
        for resource in json.loads(body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield span | {"attributes": {one["key"]: plain(one["value"]) for one in span["attributes"]}}


def plain(value: dict[str, Any]) -> Any:
    """An OTLP value."""
    ((kind, told),) = value.items()
    return int(told) if kind == "intValue" else told
