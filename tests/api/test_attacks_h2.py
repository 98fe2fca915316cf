from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.connection
import h2.events
import h2.exceptions
import pytest

from appliance.api.connection import RESETS_ALLOWED
from appliance.plugin_api.http import PUBLIC, Reply, Request, Route
from tests.api.harness import ApiUnderTest, api_under_test, eventually, still_answering


@dataclass
class Tally:
    running: int = 0
    most: int = 0


tally = Tally()


async def slow(_request: Request) -> Reply:
    tally.running += 1
    tally.most = max(tally.most, tally.running)
    try:
        await asyncio.sleep(30)
    finally:
        tally.running -= 1
    return Reply()


async def refuse(_request: Request) -> Reply:
    return Reply(204)


ROUTES = [
    Route("GET", "/slow", PUBLIC, slow, "Slow"),
    Route("POST", "/refuse", PUBLIC, refuse, "Answers without reading"),
]


class Client:
    """A bare HTTP/2 client that may break every rule."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = h2.connection.H2Connection()
        self.h2.initiate_connection()
        self.events: list[Any] = []
        self.gone = False
        self.flush()

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def request(self, path: bytes, method: bytes = b"GET", *, end: bool = True) -> int:
        stream = int(self.h2.get_next_available_stream_id())
        headers = [(b":method", method), (b":path", path), (b":scheme", b"https"), (b":authority", b"x")]
        self.h2.send_headers(stream, headers, end_stream=end)
        return stream

    async def listen(self) -> None:
        try:
            while data := await self.reader.read(65536):
                self.events.extend(self.h2.receive_data(data))
                self.flush()
        except (ConnectionError, h2.exceptions.ProtocolError):
            pass
        self.gone = True

    def got(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def was_reset(self, stream: int) -> bool:
        return any(event.stream_id == stream for event in self.got(h2.events.StreamReset))

    def status(self, stream: int) -> int | None:
        for event in self.got(h2.events.ResponseReceived):
            if event.stream_id == stream:
                return int(dict(event.headers)[b":status"])
        return None


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    tally.running = tally.most = 0
    async with api_under_test(tmp_path, ROUTES, api={"drain_s": 0.5, "keep_alive_timeout_s": 2.0}) as served:
        yield served


@pytest.fixture
async def client(api: ApiUnderTest) -> AsyncIterator[Client]:
    client = Client(*await api.connect(alpn=("h2",)))
    listening = asyncio.create_task(client.listen())
    yield client
    listening.cancel()
    client.writer.close()


async def test_rapid_reset_ends_the_connection(api: ApiUnderTest, client: Client) -> None:
    async with still_answering(api):
        for _ in range(20 * RESETS_ALLOWED):
            if client.gone or client.got(h2.events.ConnectionTerminated):
                break
            stream = client.request(b"/slow")
            client.h2.reset_stream(stream)
            client.flush()
            await asyncio.sleep(0)
        await eventually(lambda: client.gone)
    assert tally.most <= 2 * RESETS_ALLOWED + 110
    await eventually(lambda: tally.running == 0)
    await eventually(lambda: api.server.connections == 0)


async def test_an_ordinary_client_may_cancel_now_and_then(client: Client) -> None:
    for _ in range(50):
        client.h2.reset_stream(client.request(b"/slow"))
    live = client.request(b"/health/live")
    client.flush()
    await eventually(lambda: client.status(live) == 200)
    assert not client.gone


async def test_streams_at_once_are_bounded(api: ApiUnderTest, client: Client) -> None:
    await eventually(lambda: bool(client.got(h2.events.RemoteSettingsChanged)))
    assert client.h2.remote_settings.max_concurrent_streams == 100
    for _ in range(100):
        client.request(b"/slow")
    client.flush()
    await eventually(lambda: tally.running == 100)
    with pytest.raises(h2.exceptions.TooManyStreamsError):
        client.request(b"/slow")


async def test_a_body_after_the_answer_does_not_break_the_connection(api: ApiUnderTest, client: Client) -> None:
    stream = client.request(b"/refuse", b"POST", end=False)
    client.flush()
    await eventually(lambda: client.status(stream) == 204)
    await eventually(lambda: any(event.stream_id == stream for event in client.got(h2.events.StreamEnded)))
    with contextlib.suppress(h2.exceptions.StreamClosedError):  # the server may have reset it by now
        for _ in range(3):
            client.h2.send_data(stream, bytes(10_000))
            client.flush()
            await asyncio.sleep(0.05)
    live = client.request(b"/health/live")
    client.flush()
    await eventually(lambda: client.status(live) == 200)
    assert not client.gone


async def test_websockets_are_not_offered_over_http2(api: ApiUnderTest, client: Client) -> None:
    await eventually(lambda: bool(client.got(h2.events.RemoteSettingsChanged)))
    assert client.h2.remote_settings.enable_connect_protocol == 0
    for extra in ([], [(b":protocol", b"websocket"), (b":path", b"/slow"), (b":scheme", b"https")]):
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, [(b":method", b"CONNECT"), (b":authority", b"x"), *extra])
        client.flush()
        await eventually(lambda stream=stream: client.gone or client.was_reset(stream))
    assert tally.running == 0


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/a%00b", "/ação".encode("latin-1"), b"nothing", b"*"])
async def test_bad_paths_hurt_only_themselves(api: ApiUnderTest, client: Client, path: bytes) -> None:
    async with still_answering(api):
        stream = client.request(path)
        client.flush()
        await eventually(lambda: client.gone or client.status(stream) is not None)
        assert client.status(stream) in {None, 400, 404}


async def test_garbage_ends_the_connection(api: ApiUnderTest, client: Client) -> None:
    async with still_answering(api):
        client.writer.write(b"\x00\xff\xff\xff" * 1000)
        await eventually(lambda: client.gone)


async def test_a_flood_of_continuations_ends_the_connection(api: ApiUnderTest, client: Client) -> None:
    """CVE-2024-27316: headers that never end."""
    async with still_answering(api):
        header = b"\x00\x00\x08\x01\x00\x00\x00\x00\x01" + b"\x82\x84\x87\x41\x01x\x00\x00"
        client.writer.write(header)
        for _ in range(2000):
            if client.gone:
                break
            client.writer.write(b"\x00\x40\x00\x09\x00\x00\x00\x00\x01" + bytes(0x4000))
            await asyncio.sleep(0)
        await eventually(lambda: client.gone)


async def test_a_header_bomb_is_refused(api: ApiUnderTest, client: Client) -> None:
    """A few bytes of HPACK that unfold into megabytes (CVE-2016-6581)."""
    async with still_answering(api):
        stream = client.h2.get_next_available_stream_id()
        headers = [(b":method", b"GET"), (b":path", b"/health/live"), (b":scheme", b"https"), (b":authority", b"x")]
        client.h2.send_headers(stream, [*headers, *[(b"x-a", b"y" * 3000)] * 3000], end_stream=True)
        client.flush()
        await eventually(lambda: client.gone)
        assert client.status(stream) is None
