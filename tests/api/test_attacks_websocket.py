from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from appliance.plugin_api.http import PUBLIC, WebSocketRoute, WebSocketSession
from tests.api.harness import ApiUnderTest, api_under_test, eventually, read_to_end, status_of, still_answering

LIMIT = 100_000
PING, CLOSE = b"\x89\x00", b"\x88"
received: list[int] = []
gates: list[asyncio.Event] = []

UPGRADE = (
    b"GET /listen HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def listen(session: WebSocketSession) -> None:
    while (message := await session.receive()) is not None:
        received.append(len(message))
        await gates[-1].wait()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    gates.append(asyncio.Event())
    gates[-1].set()
    received.clear()
    limits = {"max_websocket_message_bytes": LIMIT, "drain_s": 0.5, "keep_alive_timeout_s": 1.0}
    route = WebSocketRoute("/listen", PUBLIC, listen, "Listen")
    async with api_under_test(tmp_path, [route], api=limits) as served:
        yield served


def frame(payload: bytes, *, opcode: int = 2, final: bool = True, compressed: bool = False) -> bytes:
    first = (0x80 if final else 0) | (0x40 if compressed else 0) | opcode
    size = len(payload)
    if size < 126:
        length = struct.pack("!B", 0x80 | size)
    elif size < 65536:
        length = struct.pack("!BH", 0x80 | 126, size)
    else:
        length = struct.pack("!BQ", 0x80 | 127, size)
    return bytes([first]) + length + bytes(4) + payload  # a mask of zeros leaves the payload as it is


async def upgraded(api: ApiUnderTest, extra: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
    reader, writer = await api.connect()
    writer.write(UPGRADE + extra + b"\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert status_of(head) == 101
    return reader, writer, head


async def test_a_message_too_large_is_1009(api: ApiUnderTest) -> None:
    async with (
        still_answering(api),
        websockets.connect(f"wss://127.0.0.1:{api.port}/listen", ssl=api.tls(), proxy=None) as socket,
    ):
        await socket.send(bytes(LIMIT))
        await socket.send(bytes(LIMIT + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009
    assert received == [LIMIT]


async def test_a_client_that_goes_on_after_1009_is_cut_off(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer, _ = await upgraded(api)
        writer.write(frame(bytes(60_000), final=False))

        async def go_on() -> None:
            while True:
                writer.write(frame(bytes(60_000), opcode=0, final=False))
                await writer.drain()
                await asyncio.sleep(0.01)

        going = asyncio.create_task(go_on())
        assert b"\x03\xf1" in await read_to_end(reader)  # 1009
        going.cancel()
        writer.close()
    assert received == []
    await eventually(lambda: api.server.connections == 0)


async def test_compression_is_not_offered(api: ApiUnderTest) -> None:
    """100 kB of zeros would be 100 bytes on the wire, 100 MB would be 100 kB."""
    reader, writer, head = await upgraded(api, b"Sec-WebSocket-Extensions: permessage-deflate\r\n")
    assert b"permessage-deflate" not in head.lower()
    packed = zlib.compress(bytes(10_000_000))
    writer.write(frame(packed, compressed=True))
    assert (await read_to_end(reader)).removeprefix(PING)[:1] in {CLOSE, b""}
    writer.close()
    assert received == []


async def test_messages_for_a_busy_handler_wait_outside(api: ApiUnderTest) -> None:
    """The queue is bounded: what does not fit stays in the sender's TCP window."""
    gates[-1].clear()
    async with still_answering(api):
        _, writer, _ = await upgraded(api)
        stalled = False
        for _ in range(2000):
            writer.write(frame(bytes(90_000)))
            try:
                async with asyncio.timeout(1.0):
                    await writer.drain()
            except TimeoutError:
                stalled = True
                break
        assert stalled
        assert len(received) == 1
        gates[-1].set()
        await eventually(lambda: len(received) > 10)
        writer.transport.abort()
    await eventually(lambda: api.server.connections == 0)


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff" * 500,
        frame(b"\xff\xfe", opcode=1),
        frame(b"", opcode=0),
        frame(b"x" * 200, opcode=9),
        frame(b"\x00", opcode=8),
        b"\x82\x05hello",
    ],
)
async def test_broken_frames_close_the_connection(api: ApiUnderTest, junk: bytes) -> None:
    async with still_answering(api):
        reader, writer, _ = await upgraded(api)
        writer.write(junk)
        assert (await read_to_end(reader)).removeprefix(PING)[:1] in {CLOSE, b""}
        writer.close()
    await eventually(lambda: api.server.connections == 0)


@pytest.mark.parametrize("version", [b"12", b"99", b"x"])
async def test_other_versions_are_refused(api: ApiUnderTest, version: bytes) -> None:
    reader, writer = await api.connect()
    writer.write(UPGRADE.replace(b"Version: 13", b"Version: " + version) + b"\r\n")
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 400
    writer.close()


async def test_data_before_the_handshake_is_refused(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()
        writer.write(UPGRADE.replace(b"/listen", b"/nowhere") + b"\r\n" + frame(bytes(1000)) * 50)
        assert status_of(await reader.readuntil(b"\r\n\r\n")) in {400, 404}
        writer.close()
    await eventually(lambda: api.server.connections == 0)
