"""The HTTPS door: accepts, limits, drains. One asyncio loop (uvloop in production), TLS 1.3, HTTP/1.1 and HTTP/2."""

from __future__ import annotations

import asyncio
import errno
import gc
import resource
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol
from wsgiref.handlers import format_date_time

import h2.config
import h2.connection
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config as HypercornConfig
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app

from appliance.api.connection import Connection
from appliance.api.tls import CertificateFiles, reload_certificate, server_context
from appliance.config.model import Api
from appliance.telemetry.logs import get_logger

HEADER_LIMIT_BYTES: Final = 32 * 1024
QUEUED_MESSAGES: Final = 4
H2_STREAMS: Final = 100
H2_FRAME_BYTES: Final = 64 * 1024
REFUSALS_AT_ONCE: Final = 32
REFUSAL_WAIT_S: Final = 1.0
TLS_CLOSE_S: Final = 2.0
WEBSOCKET_PING_S: Final = 20.0
BACKLOG: Final = 512
SPARE_DESCRIPTORS: Final = 512
GC_THRESHOLD: Final = 20_000
CLOSED_TO_COLLECT: Final = 256
"""A closed TLS connection is a cycle of 150 objects with 100 KB of OpenSSL's memory, which the collector does not count: left to
itself it lets ten thousand of them lie."""

_log = get_logger("api")
_FULL_BODY: Final = (
    '{"type":"urn:prontuario:error:busy","title":"Service Unavailable","status":503,"code":"busy",'
    '"detail":"O servidor está cheio.","next_step":"Tente de novo em instantes."}'
).encode()
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n"
    b"content-type: application/problem+json\r\ncontent-length: %d\r\n\r\n%s"
) % (len(_FULL_BODY), _FULL_BODY)


class DrainableApplication(Protocol):
    """An ASGI application that can be told to wind up its streams."""

    @property
    def asgi(self) -> ASGIFramework: ...

    def drain(self) -> None: ...


async def serve(
    app: DrainableApplication,
    config: Api,
    files: CertificateFiles,
    shutdown: asyncio.Event,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Serve ``app`` until ``shutdown`` is set, then drain within ``config.drain_s`` seconds and return.

    ``on_ready`` is called with the real port once connections are accepted (port 0 lets the system choose).

    Raises:
        OSError: the address is taken or not ours.
        ssl.SSLError: the certificate files do not fit.
    """
    server = Server(app, config, files)
    server.start()
    _calm_the_collector()
    if on_ready is not None:
        on_ready(server.port)
    stop = asyncio.ensure_future(shutdown.wait())
    try:
        await asyncio.wait({stop, server.accepting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        await server.drain()
    if not shutdown.is_set():
        server.accepting.result()


class Server:
    """A listening socket and its connections."""

    accepting: asyncio.Task[None]

    def __init__(self, app: DrainableApplication, config: Api, files: CertificateFiles) -> None:
        self._app = app
        self._wrapped = wrap_app(app.asgi, 0, "asgi")
        self._config = config
        self._files = files
        self._tls = server_context(files)
        self._hypercorn = _hypercorn_config(config)
        self._context = WorkerContext(None)
        self._connections: dict[asyncio.Task[None], Connection | None] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._closed = 0
        self._socket = _listen(config.host, config.port)

    @property
    def port(self) -> int:
        """The port that clients reach."""
        return int(self._socket.getsockname()[1])

    @property
    def connections(self) -> int:
        """Open connections, those still in their handshake included."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to accept."""
        _raise_descriptor_limit(self._config.max_connections)
        self.accepting = asyncio.create_task(self._accept_forever(), name="accept")

    def reload_certificate(self) -> None:
        """Use the renewed certificate in the same files for new connections."""
        reload_certificate(self._tls, self._files)

    async def drain(self) -> None:
        """Stop accepting, let running requests end within ``drain_s``, then cut what is left."""
        self.accepting.cancel()
        with suppress(asyncio.CancelledError, OSError):
            await self.accepting
        self._socket.close()
        self._app.drain()
        await self._context.terminated.set()
        for connection in list(self._connections.values()):
            if connection is not None:
                connection.drain()
        await self._wait(self._config.drain_s)
        for task, connection in list(self._connections.items()):
            if connection is not None:
                connection.abort()
            task.cancel()
        await self._wait(TLS_CLOSE_S)

    async def _wait(self, seconds: float) -> None:
        tasks = {*self._connections, *self._refusals}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _accept_forever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    _log.error("no room for another connection", count=self.connections)
                    await asyncio.sleep(0.2)
                    continue
                if error.errno == errno.ECONNABORTED:
                    continue
                raise
            self._admit(accepted)

    def _admit(self, accepted: socket.socket) -> None:
        if len(self._connections) < self._config.max_connections:
            task = asyncio.create_task(self._run(accepted), name="connection")
            self._connections[task] = None
            task.add_done_callback(self._ended)
        elif len(self._refusals) < REFUSALS_AT_ONCE:
            refusal = asyncio.create_task(self._refuse(accepted), name="refusal")
            self._refusals.add(refusal)
            refusal.add_done_callback(self._refusals.discard)
        else:
            accepted.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        self._closed += 1
        if self._closed >= CLOSED_TO_COLLECT:
            self._closed = 0
            gc.collect()

    async def _run(self, accepted: socket.socket) -> None:
        streams = await self._handshake(accepted)
        if streams is None:
            return
        connection = Connection(self._wrapped, self._hypercorn, self._context, *streams)
        task = asyncio.current_task()
        if task is not None:
            self._connections[task] = connection
        with suppress(asyncio.CancelledError):
            await connection.run()

    async def _handshake(self, accepted: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            _keep_alive(accepted)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=self._config.handshake_timeout_s,
                ssl_shutdown_timeout=TLS_CLOSE_S,
            )
        except (OSError, ssl.SSLError, TimeoutError):
            accepted.close()
            return None
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _refuse(self, accepted: socket.socket) -> None:
        """Say that we are full, in the client's protocol, instead of leaving it in the dark."""
        streams = await self._handshake(accepted)
        if streams is None:
            return
        reader, writer = streams
        with suppress(OSError, TimeoutError, RuntimeError):
            await asyncio.wait_for(reader.read(HEADER_LIMIT_BYTES), REFUSAL_WAIT_S)
            tls = writer.get_extra_info("ssl_object")
            writer.write(_goaway() if tls.selected_alpn_protocol() == "h2" else _FULL)
            await asyncio.wait_for(writer.drain(), REFUSAL_WAIT_S)
            writer.close()
            await asyncio.wait_for(writer.wait_closed(), REFUSAL_WAIT_S)


def _calm_the_collector() -> None:
    """What was made at start stays; scanning it again every few hundred requests costs a tenth of each of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])


def _goaway() -> bytes:
    connection = h2.connection.H2Connection(config=h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    connection.close_connection(error_code=0xB)  # ENHANCE_YOUR_CALM, RFC 9113 §7
    return connection.data_to_send()


class _HypercornConfig(HypercornConfig):
    """Formats the Date header once a second instead of once a request."""

    _date = (0, b"")

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        del protocol
        now = int(time.time())
        if self._date[0] != now:
            self._date = (now, format_date_time(now).encode("ascii"))
        return [(b"date", self._date[1])]


def _hypercorn_config(config: Api) -> HypercornConfig:
    made = _HypercornConfig()
    made.accesslog = None
    made.errorlog = None
    made.include_server_header = False
    made.keep_alive_timeout = config.keep_alive_timeout_s
    made.h11_max_incomplete_size = HEADER_LIMIT_BYTES
    made.h2_max_concurrent_streams = H2_STREAMS
    made.h2_max_header_list_size = HEADER_LIMIT_BYTES
    made.h2_max_inbound_frame_size = H2_FRAME_BYTES
    made.keep_alive_max_requests = 100_000
    made.max_app_queue_size = QUEUED_MESSAGES
    made.websocket_max_message_size = config.max_websocket_message_bytes
    made.websocket_ping_interval = WEBSOCKET_PING_S
    return made


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _keep_alive(accepted: socket.socket) -> None:
    """Notice a phone that left the building: dead peers cost a descriptor for ever otherwise."""
    accepted.setblocking(False)
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    user_timeout = getattr(socket, "TCP_USER_TIMEOUT", None)
    if user_timeout is not None:
        accepted.setsockopt(socket.IPPROTO_TCP, user_timeout, 60_000)


def _raise_descriptor_limit(connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _log.warning("the system allows fewer open files than connections", count=allowed)
