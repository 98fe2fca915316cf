"""A small HTTPS server that misbehaves on purpose, request by request, with the hospital's own kind of certificates.

``server.script`` holds what to do with the next requests; when it is empty, requests are answered well. A well answered change
takes effect once for each Idempotency-Key, as the appliance does it.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from appliance.config.model import Config, Paths
from appliance.daemon.enrolment import make_key_and_csr
from appliance.security.authority import Authority


@dataclass
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")


Answer = Callable[["CrookedServer", Seen, asyncio.StreamWriter], Awaitable[bool]]
"""What to do with a request; whether the connection goes on."""


@dataclass
class CrookedServer:
    """``effects`` are the bodies that took effect, by key; ``seen`` is everything that came."""

    port: int = 0
    script: deque[Answer] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    effects: dict[str, bytes] = field(default_factory=dict)
    connections: int = 0
    valid_token: str = "first"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while (request := await _read(reader, number)) is not None:
                self.seen.append(request)
                act = self.script.popleft() if self.script else well
                if not await act(self, request, writer):
                    break
        except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body, connection)


async def say(writer: asyncio.StreamWriter, status: int, body: Any, **headers: str) -> bool:
    content = json.dumps(body).encode()
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n{more}\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    return True


async def well(server: CrookedServer, request: Seen, writer: asyncio.StreamWriter) -> bool:
    """Take effect once, answer 200."""
    if request.path == "/api/token/refresh":
        server.valid_token = "renewed"
        return await say(writer, 200, {"access_token": "renewed", "refresh_token": "next"})
    if request.headers.get("authorization") != f"Bearer {server.valid_token}":
        return await say(writer, 401, {"code": "auth.expired"})
    replayed = request.key in server.effects
    if request.method != "GET":
        server.effects.setdefault(request.key, request.body)
    return await say(writer, 200, {"path": request.path}, idempotency_replayed=str(replayed).lower())


async def break_before(_server: CrookedServer, _request: Seen, _writer: asyncio.StreamWriter) -> bool:
    """Close without doing anything."""
    return False


async def break_after(server: CrookedServer, request: Seen, _writer: asyncio.StreamWriter) -> bool:
    """Take effect, and lose the answer."""
    server.effects.setdefault(request.key, request.body)
    return False


async def break_within(server: CrookedServer, request: Seen, writer: asyncio.StreamWriter) -> bool:
    """Take effect, and lose half of the answer."""
    server.effects.setdefault(request.key, request.body)
    writer.write(b'HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\n{"path"')
    await writer.drain()
    return False


async def hang(_server: CrookedServer, _request: Seen, _writer: asyncio.StreamWriter) -> bool:
    """Say nothing, as a stopped machine does."""
    await asyncio.sleep(3600)
    return False


def refuse(status: int, code: str = "cluster.read_only", **headers: str) -> Answer:
    """Answer with an error."""

    async def act(_server: CrookedServer, _request: Seen, writer: asyncio.StreamWriter) -> bool:
        return await say(writer, status, {"code": code}, **headers)

    return act


def events(*told: tuple[str, Any], ends: bool) -> Answer:
    """A stream of server-sent events that ends properly, or breaks."""

    async def act(_server: CrookedServer, _request: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for name, data in told:
            text = f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
            writer.write(b"%x\r\n%s\r\n" % (len(text), text))
        if ends:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return ends

    return act


@dataclass
class Hospital:
    """A certificate authority with a server's and a phone's certificate; ``client`` is the phone's client file."""

    folder: Path
    server_files: tuple[Path, Path, Path]
    client: dict[str, str]

    def context(self) -> ssl.SSLContext:
        """The server's TLS, which demands a device certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server_files[:2])
        context.load_verify_locations(self.server_files[2])
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def hospital(folder: Path) -> Hospital:
    """Make one, with files in ``folder``."""
    paths, now = Paths(folder / "home"), datetime.now(UTC)
    authority = Authority.open(paths, Config(), now)
    key, csr = make_key_and_csr("ana")
    (folder / "phone.key").write_bytes(key)
    (folder / "phone.pem").write_text(authority.issue_device_certificate(csr, "device-1", now).chain_pem)
    client = {
        "ca": str(paths.ca),
        "cert": str(folder / "phone.pem"),
        "key": str(folder / "phone.key"),
        "token": "first",
        "refresh": "once",
        "user": "ana",
    }
    return Hospital(folder, (authority.server_certificate, authority.server_key, authority.client_authorities), client)


@asynccontextmanager
async def crooked_server(of: Hospital) -> AsyncIterator[CrookedServer]:
    """Serve on a free port of loopback until the end of the block."""
    server, tasks = CrookedServer(), set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        await server.serve(reader, writer)

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=of.context())
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
