"""Clients that misbehave over real TLS. While each attack runs, an ordinary request is still answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.plugin_api.http import PUBLIC, Reply, Request, Route, ServerSentEvent
from tests.api.harness import ApiUnderTest, api_under_test, eventually, read_to_end, status_of, still_answering

LIMIT = 100_000
KEEP_ALIVE_S = 1.0
BODY_TIMEOUT_S = 1.0

made = [0]


async def take(request: Request) -> Reply:
    return Reply(body={"size": len(await request.raw_body())})


async def flood(_request: Request) -> Reply:
    async def events() -> AsyncIterator[ServerSentEvent]:
        while True:
            made[0] += 1
            yield ServerSentEvent("block", "x" * 10_000)

    return Reply(stream=events())


ROUTES = [
    Route("POST", "/take", PUBLIC, take, "Take a body", max_body_bytes=LIMIT),
    Route("POST", "/login", PUBLIC, take, "Take a stranger's body"),
    Route("GET", "/flood", PUBLIC, flood, "More than anybody reads"),
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    limits = {
        "handshake_timeout_s": 1.0,
        "keep_alive_timeout_s": KEEP_ALIVE_S,
        "body_timeout_s": BODY_TIMEOUT_S,
        "max_body_bytes": LIMIT,
        "drain_s": 0.5,
    }
    async with api_under_test(tmp_path, ROUTES, api=limits) as served:
        yield served


async def test_a_header_that_drips_is_cut_off(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()

        async def drip() -> None:
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
            while True:
                writer.write(b"X-A: b\r\n")
                await asyncio.sleep(0.1)

        dripping = asyncio.create_task(drip())
        assert await read_to_end(reader) == b""
        dripping.cancel()
        writer.close()


async def test_an_idle_connection_is_closed(api: ApiUnderTest) -> None:
    reader, writer = await api.connect()
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = await read_to_end(reader)
    assert status_of(answer) == 200
    await eventually(lambda: api.server.connections == 0)
    writer.close()


async def test_a_request_that_came_in_time_is_answered_although_the_loop_was_held_up(api: ApiUnderTest) -> None:
    reader, writer = await api.connect()
    await eventually(lambda: api.server.connections == 1)
    await asyncio.sleep(KEEP_ALIVE_S / 4)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(KEEP_ALIVE_S)
    assert status_of(await read_to_end(reader)) == 200
    writer.close()


async def test_a_body_that_stalls_is_408(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()
        writer.write(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        answer = await read_to_end(reader)
        assert status_of(answer) == 408
        assert b'"code":"body.stalled"' in answer
        writer.close()
    await eventually(lambda: api.server.connections == 0)


async def test_a_body_that_drips_is_408_too(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()

        async def drip() -> None:
            writer.write(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 90000\r\n\r\n")
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert status_of(answer) == 408
        dripping.cancel()
        writer.close()


async def test_a_declared_body_too_large_is_413_without_reading_it(api: ApiUnderTest) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()
        writer.write(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000000\r\n\r\nabc")
        answer = await reader.readuntil(b"\r\n\r\n")
        assert status_of(answer) == 413
        assert b"connection: close" in answer.lower()
        writer.close()


async def test_strangers_may_not_send_much(api: ApiUnderTest) -> None:
    async with api.client() as client:
        assert (await client.post("/login", content=bytes(64 * 1024))).status_code == 200
        assert (await client.post("/login", content=bytes(64 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize("http2", [False, True])
async def test_a_chunked_body_too_large_is_413(api: ApiUnderTest, http2: bool) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(50_000)

    async with still_answering(api), api.client(http2=http2) as client:
        answer = await client.post("/take", content=endless())
        assert answer.status_code == 413
        assert answer.json()["code"] == "body.too_large"
        assert answer.json()["details"]["limit_bytes"] == LIMIT


async def test_a_connection_cut_in_the_middle_of_a_body_leaves_nothing_behind(api: ApiUnderTest) -> None:
    for _ in range(20):
        _, writer = await api.connect()
        writer.write(b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        await writer.drain()
        writer.transport.abort()
    await eventually(lambda: api.server.connections == 0)
    assert b"prontuario_http_requests_running 0.0" in api.metrics.render()


async def test_a_reader_who_does_not_read_costs_bounded_memory(api: ApiUnderTest) -> None:
    made[0] = 0
    async with still_answering(api):
        reader, writer = await api.connect()
        reader._limit = 1000  # type: ignore[attr-defined]
        writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = -1
        while seen != made[0]:
            seen = made[0]
            await asyncio.sleep(0.5)
        assert 0 < made[0] * 10_000 < 64 << 20
        writer.transport.abort()
    await eventually(lambda: api.server.connections == 0)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Na me: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 2\r\n\r\nab",
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-Length: 2\r\n\r\nab",
        b"POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\nab",
        b"POST /take HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(9000)) + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_malformed_requests_are_refused(api: ApiUnderTest, request_bytes: bytes) -> None:
    async with still_answering(api):
        reader, writer = await api.connect()
        writer.write(request_bytes)
        answer = await read_to_end(reader)
        assert answer == b"" or status_of(answer) in {400, 404, 414, 431, 501}
        writer.close()
    await eventually(lambda: api.server.connections == 0)


async def test_smuggling_by_two_lengths_is_refused(api: ApiUnderTest) -> None:
    """Transfer-Encoding wins over Content-Length and nothing after the body is taken for a request (RFC 9112 §6.3)."""
    reader, writer = await api.connect()
    writer.write(
        b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    answer = await read_to_end(reader)
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert b'"size":4' not in answer
    writer.close()


async def test_cleartext_upgrade_to_http2_is_ignored(api: ApiUnderTest) -> None:
    reader, writer = await api.connect()
    writer.write(
        b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    assert status_of(await reader.readuntil(b"\r\n\r\n")) == 200
    writer.close()


async def test_pipelined_requests_are_answered_in_order(api: ApiUnderTest) -> None:
    reader, writer = await api.connect()
    one = b"POST /take HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
    writer.write(b"".join(one % (n, b"a" * n) for n in range(1, 30)))
    answer = await read_to_end(reader)
    assert [int(part.split(b"}")[0]) for part in answer.split(b'"size":')[1:]] == list(range(1, 30))
    writer.close()


async def test_thousands_of_query_parameters_are_refused(api: ApiUnderTest, tmp_path: Path) -> None:
    async def read(request: Request) -> Reply:
        return Reply(body=len(request.query_items))

    (tmp_path / "query").mkdir()
    async with (
        api_under_test(tmp_path / "query", [Route("GET", "/q", PUBLIC, read, "Query")]) as other,
        other.client() as client,
    ):
        assert (await client.get("/q?" + "&".join(["a=1"] * 400))).json() == 400
        refused = await client.get("/q?" + "&".join(["a=1"] * 3000))
    assert refused.status_code == 422
