"""One client connection: Hypercorn's protocols with our limits, and the client's certificate for the handlers.

Hypercorn 0.18 checks client certificates but keeps them to itself, and trusts its clients more than a hospital may:
this module carries the certificate into ``scope["state"]`` and closes the holes named at each class. It builds on
Hypercorn's internals; ``tests/api/test_core_hypercorn_pin.py`` fails when they change.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, cast

import h2.events
import h2.exceptions
import h2.settings
import h11
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h11._headers import Headers
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config as HypercornConfig
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.events import Response
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from hypercorn.typing import AppWrapper, ConnectionState
from hypercorn.utils import parse_socket_addr

from appliance.api.task_group import BoundedTaskGroup
from appliance.telemetry.logs import get_logger

PEER_CERTIFICATE: Final = "peer_certificate"
"""Key of ``scope["state"]``: the client's certificate in DER, or None."""
WRITE_STALL_S: Final = 60.0
"""A client that takes nothing for so long is gone."""
RESETS_ALLOWED: Final = 100
"""Streams that a client may cancel beyond the number it let finish (CVE-2023-44487, rapid reset)."""
TOO_BIG_LINGER_S: Final = 1.0
FIRST_FINAL_STATUS: Final = 200
LAST_LOOK_S: Final = 0.2
"""From the end of the idle time to the end of the connection."""

_log = get_logger("api")


class Http1(H11Protocol):
    """HTTP/1.1 without cleartext upgrades, without WebSocket compression, with a WebSocket buffer that can't grow."""

    hang_up: Callable[[], None]
    _held_head = b""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Over TLS the protocol is chosen by ALPN; ``Upgrade: h2c`` is ignored (RFC 9113 §3.1)."""

    async def _create_stream(self, request: h11.Request) -> None:
        # A compressed message may inflate a thousandfold before its size is looked at.
        if any(name == b"sec-websocket-extensions" for name, _ in request.headers):
            request = _without_extensions(request)
        await super()._create_stream(request)
        if isinstance(self.stream, WSStream):
            self.stream.buffer = _StrictBuffer(self.config.websocket_max_message_size, self)

    async def stream_send(self, event: StreamEvent) -> None:
        """Final heads are ours and were checked when they were made: h11 need not validate every header once more."""
        if not isinstance(event, Response) or event.status_code < FIRST_FINAL_STATUS:
            await super().stream_send(event)
            return
        every = (*event.headers, *self.config.response_headers("h11"))
        headers = Headers([(name, name, value) for name, value in every])
        await self._send_h11_event(h11.Response(headers=headers, status_code=event.status_code))

    async def _send_h11_event(self, event: Any) -> None:
        """A head whose body follows at once travels with it: one TLS record and one system call instead of three."""
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response) and any(name == b"content-length" for name, _ in event.headers):
            self._held_head = data
            return
        if self._held_head:
            data, self._held_head = self._held_head + data, b""
        if data:
            await self.send(RawData(data=data))

    def message_too_big(self) -> None:
        """The close frame 1009 is on its way; end the connection soon, whatever the client still sends."""
        asyncio.get_running_loop().call_later(TOO_BIG_LINGER_S, self.hang_up)


def _without_extensions(request: h11.Request) -> h11.Request:
    kept = [(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"]
    return h11.Request(method=request.method, headers=kept, target=request.target, http_version=request.http_version)


class _StrictBuffer(WebsocketBuffer):
    """Hypercorn's buffer writes before it measures and goes on after it refused; this one forgets and stays shut."""

    def __init__(self, max_length: int, owner: Http1) -> None:
        super().__init__(max_length)
        self._owner = owner
        self._refused = False

    def extend(self, event: Any) -> None:
        if self._refused:
            raise FrameTooLargeError
        if self.length + len(event.data) > self.max_length:
            self._refused = True
            self.clear()
            self._owner.message_too_big()
            raise FrameTooLargeError
        super().extend(event)


class Http2(H2Protocol):
    """HTTP/2 that survives bodies of streams already answered, and hangs up on a rapid reset.

    It offers no WebSockets (RFC 8441): they come over HTTP/1.1, where their limits are.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: self.config.h2_max_concurrent_streams,
                SettingCodes.MAX_HEADER_LIST_SIZE: self.config.h2_max_header_list_size,
                SettingCodes.ENABLE_CONNECT_PROTOCOL: 0,
            },
        )
        self._resets = 0

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                with suppress(h2.exceptions.ProtocolError):
                    self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)
                continue
            if isinstance(event, h2.events.RequestReceived) and (b":method", b"CONNECT") in event.headers:
                self.connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
                continue
            if isinstance(event, h2.events.StreamReset):
                self._resets += 1
                if self._resets > RESETS_ALLOWED + self.keep_alive_requests // 2:
                    self.connection.close_connection(error_code=ErrorCodes.ENHANCE_YOUR_CALM)
                    await self._flush()
                    await self.send(Closed())
                    return
            await super()._handle_events([event])
        await self._flush()


class Connection(TCPServer):
    """Runs one accepted connection until it ends. Never raises for what a client did."""

    def __init__(
        self,
        app: AppWrapper,
        config: HypercornConfig,
        context: WorkerContext,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(app, loop, config, context, {}, reader, writer)
        self._timer: asyncio.TimerHandle | None = None
        self.idle = True

    async def run(self) -> None:
        try:
            group = BoundedTaskGroup(self.loop)
            async with group:
                self._task_group = group
                self.protocol = self._speak(group)  # type: ignore[assignment]
                await self.protocol.initiate()
                self._set_idle(True)
                await self._read_data()
                group.stop_helpers()
        except* OSError:
            pass
        except* Exception as group_error:  # noqa: BLE001  the API boundary: a client that breaks a library breaks only itself
            error = group_error.exceptions[0]
            _log.warning("connection ended by an error", exc_info=error)
            self.abort()
        finally:
            self._disarm()
            await self._close()

    async def _close(self) -> None:
        """A client that vanished (a cut network, a phone that died) never answers the end of TLS: no error of ours."""
        with suppress(TimeoutError):
            await super()._close()

    def _speak(self, group: BoundedTaskGroup) -> Http1 | Http2:
        tls = cast("ssl.SSLObject", self.writer.get_extra_info("ssl_object"))
        socket = self.writer.get_extra_info("socket")
        state = ConnectionState({PEER_CERTIFICATE: tls.getpeercert(binary_form=True)})
        client = parse_socket_addr(socket.family, socket.getpeername())
        server = parse_socket_addr(socket.family, socket.getsockname())
        common = (self.app, self.config, self.context, group, state, True, client, server, self.protocol_send)
        if tls.selected_alpn_protocol() == "h2":
            return Http2(*common)
        http1 = Http1(*common)
        http1.hang_up = self.abort
        return http1

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            async with self.send_lock:
                await self._write(event.data)
        elif isinstance(event, Updated):
            self._set_idle(event.idle)
        elif isinstance(event, Closed):
            await self._close()

    async def _write(self, data: bytes) -> None:
        try:
            self.writer.write(data)
            if self.writer.transport.get_write_buffer_size():
                await asyncio.wait_for(self.writer.drain(), WRITE_STALL_S)
        except TimeoutError:
            self.abort()
            await self.protocol.handle(Closed())
        except (ConnectionError, RuntimeError):
            await self.protocol.handle(Closed())

    def abort(self) -> None:
        """Drop the connection now."""
        self.writer.transport.abort()

    def drain(self) -> None:
        """The node stops: end at once when idle; a running request ends first."""
        if self.idle:
            self._hang_up()

    def _set_idle(self, idle: bool) -> None:
        self._disarm()
        self.idle = idle
        if idle and self.context.terminated.is_set():
            self._hang_up()
        elif idle:
            self._timer = self.loop.call_later(self.config.keep_alive_timeout, self._expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        """Not at once: when the loop was held up, a request may have come in time and lie unread, and timers are due before it."""
        self._timer = self.loop.call_later(LAST_LOOK_S, self._hang_up)

    def _hang_up(self) -> None:
        self.writer.close()
