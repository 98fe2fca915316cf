"""``appliance.api.connection`` stands on Hypercorn's internals: a new version has to pass here before it may be used."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import h11
import pytest
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WebsocketBuffer, WSStream
from quart.asgi import ASGIHTTPConnection, ASGIWebsocketConnection

from appliance.api.connection import Connection, Http1, Http2


def test_versions_are_the_ones_that_were_read() -> None:
    assert version("hypercorn") == "0.18.0"
    assert version("quart") == "0.22.0"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (TCPServer, "__init__", "self app loop config context state reader writer"),
        (TCPServer, "run", "self"),
        (TCPServer, "protocol_send", "self event"),
        (TCPServer, "_read_data", "self"),
        (TCPServer, "_close", "self"),
        (TaskGroup, "spawn_app", "self app config scope send"),
        (TaskGroup, "spawn", "self func args"),
        (H11Protocol, "_check_protocol", "self event"),
        (H11Protocol, "_create_stream", "self request"),
        (H11Protocol, "__init__", "self app config context task_group connection_state ssl client server send"),
        (H2Protocol, "__init__", "self app config context task_group connection_state ssl client server send"),
        (H2Protocol, "_handle_events", "self events"),
        (WebsocketBuffer, "extend", "self event"),
        (ASGIHTTPConnection, "handle_messages", "self request receive"),
        (ASGIHTTPConnection, "_send_response", "self send response"),
        (ASGIHTTPConnection, "_create_request_from_scope", "self send"),
        (ASGIWebsocketConnection, "handle_messages", "self receive"),
    ],
)
def test_what_we_override_is_still_there(owner: type, name: str, parameters: str) -> None:
    assert " ".join(inspect.signature(getattr(owner, name)).parameters) == parameters


@pytest.mark.parametrize(
    ("owner", "name", "fragment"),
    [
        (HTTPStream, "handle", '"state": event.state.copy()'),
        (WSStream, "handle", '"state": event.state.copy()'),
        (WSStream, "_handle_events", "self.buffer.extend(event)"),
        (WSStream, "_handle_events", "except FrameTooLargeError"),
        (H11Protocol, "_create_stream", "self.stream = WSStream("),
        (H11Protocol, "_handle_events", "await self._check_protocol(event)"),
        (H11Protocol, "_handle_events", "await self.send(Updated(idle=False))"),
        (H11Protocol, "_maybe_recycle", "await self.send(Updated(idle=True))"),
        (H11Protocol, "_maybe_recycle", "self.context.terminated.is_set()"),
        (H2Protocol, "_handle_events", "self.streams[event.stream_id].handle("),
        (H2Protocol, "handle", "await self._handle_events(events)"),
    ],
)
def test_what_we_rely_on_is_still_said(owner: type, name: str, fragment: str) -> None:
    assert fragment in inspect.getsource(getattr(owner, name))


def test_ours_are_still_theirs() -> None:
    assert issubclass(Connection, TCPServer)
    assert issubclass(Http1, H11Protocol)
    assert issubclass(Http2, H2Protocol)


def test_header_names_arrive_in_lower_case() -> None:
    request = h11.Request(method="GET", target="/", headers=[("Host", "x"), ("Sec-WebSocket-Extensions", "y")])
    assert [name for name, _ in request.headers] == [b"host", b"sec-websocket-extensions"]
