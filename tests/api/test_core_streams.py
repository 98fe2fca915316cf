from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from appliance.api import streams
from appliance.plugin_api.errors import CONFLICT
from appliance.plugin_api.http import Reply, Request, Route, ServerSentEvent
from tests.api.harness import ApiUnderTest, api_under_test, eventually

closed: list[str] = []


async def count(request: Request) -> Reply:
    async def events() -> AsyncIterator[ServerSentEvent]:
        for number in range(int(request.query.get("n", "3"))):
            yield ServerSentEvent("tick", {"number": number, "text": "a\nb"}, id=str(number))

    return Reply(stream=events())


async def forever(request: Request) -> Reply:
    name = request.query.get("name", "")

    async def events() -> AsyncIterator[ServerSentEvent]:
        try:
            yield ServerSentEvent("hello", None)
            await asyncio.Event().wait()
        finally:
            closed.append(name)

    return Reply(content_type="text/event-stream", stream=events())


async def breaks(request: Request) -> Reply:
    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent("tick", 1)
        if request.query.get("kind") == "conflict":
            raise CONFLICT(what="Note/1")
        raise ValueError("Maria de Souza")

    return Reply(stream=events())


async def framed(_request: Request) -> Reply:
    async def lines() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await asyncio.sleep(0.3)
        yield b"data: [DONE]\n\n"

    return Reply(content_type="text/event-stream", stream=lines())


ROUTES = [
    Route("GET", "/api/count", "record.read", count, "Count"),
    Route("GET", "/api/forever", "record.read", forever, "Never ends"),
    Route("GET", "/api/breaks", "record.read", breaks, "Breaks"),
    Route("POST", "/api/framed", "record.read", framed, "Already framed"),
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with api_under_test(tmp_path, ROUTES) as served:
        yield served


def events_in(text: str) -> list[dict[str, str]]:
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append(fields)
    return found


@pytest.mark.parametrize("http2", [False, True])
async def test_events_are_framed(api: ApiUnderTest, http2: bool) -> None:
    async with api.client(await api.phone(), http2=http2) as client:
        answer = await client.get("/api/count")
    assert answer.headers["content-type"] == "text/event-stream"
    found = events_in(answer.text)
    assert [(event["event"], event["id"]) for event in found] == [("tick", "0"), ("tick", "1"), ("tick", "2")]
    assert json.loads(found[2]["data"]) == {"number": 2, "text": "a\nb"}


async def test_a_failure_inside_a_stream_is_its_last_event(api: ApiUnderTest) -> None:
    async with api.client(await api.phone(), headers={"Accept-Language": "en"}) as client:
        known = events_in((await client.get("/api/breaks?kind=conflict")).text)
        unknown = (await client.get("/api/breaks")).text
    assert known[-1]["event"] == "error"
    assert json.loads(known[-1]["data"])["code"] == "conflict"
    assert json.loads(known[-1]["data"])["detail"].startswith("Somebody changed")
    assert json.loads(events_in(unknown)[-1]["data"])["code"] == "internal"
    assert "Maria" not in unknown


async def first_event(answer: httpx.Response) -> AsyncIterator[str]:
    lines = answer.aiter_lines()
    async for line in lines:
        if line.startswith("event: hello"):
            return lines
    raise AssertionError("the stream said nothing")


async def test_leaving_closes_the_generator(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client, client.stream("GET", "/api/forever?name=left") as answer:
        await first_event(answer)
    await eventually(lambda: "left" in closed)


async def test_draining_ends_event_streams_with_reconnect(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client, client.stream("GET", "/api/forever?name=drained") as answer:
        lines = await first_event(answer)
        drained = asyncio.create_task(api.server.drain())
        rest = [line async for line in lines]
        await drained
    assert "event: reconnect" in rest
    assert "drained" in closed


async def test_draining_lets_an_answer_in_bytes_finish(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client, client.stream("POST", "/api/framed") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 1"
        drained = asyncio.create_task(api.server.drain())
        assert [line async for line in lines if line] == ["data: [DONE]"]
        await drained


async def test_a_silent_stream_has_a_heartbeat() -> None:
    async def silent() -> AsyncIterator[ServerSentEvent]:
        await asyncio.Event().wait()
        yield ServerSentEvent("never", None)

    async def allowed() -> bool:
        return True

    body = streams.event_stream(silent(), draining=asyncio.Event(), may_continue=allowed, heartbeat_s=0.01)
    assert [await anext(body) for _ in range(3)] == [b": heartbeat\n\n"] * 3
    await body.aclose()  # type: ignore[attr-defined]


async def test_a_revoked_session_hears_so() -> None:
    asked = []

    async def busy() -> AsyncIterator[ServerSentEvent]:
        while True:
            yield ServerSentEvent("tick", None)
            await asyncio.sleep(0.005)

    async def allowed() -> bool:
        asked.append(True)
        return len(asked) < 3

    body = streams.event_stream(busy(), draining=asyncio.Event(), may_continue=allowed, heartbeat_s=0.02)
    said = [part async for part in body]
    assert said[-1].startswith(b"event: revoked")
    assert len(asked) == 3


async def test_names_and_ids_cannot_break_the_framing() -> None:
    event = ServerSentEvent("a\nevent: b", "x\n\ny", id="1\r\ndata: z")
    assert streams.frame(event) == b'event: a event: b\nid: 1  data: z\ndata: "x\\n\\ny"\n\n'
