"""Streams of many people through the whole HTTPS API, each with the moments at which it was told something."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx
from node import BenchNode

from tests.fakes.phone_line import IDLE_S

TIMEOUT_S = 600
LOOKS, LOOK_EVERY_S = 6000, 0.05
PICTURE_S = 1.0
"""How old the engine list may be (``appliance.api.admin_live.FRESH_S``)."""
ANSWER = "answer"


def http(client: dict[str, str]) -> httpx.AsyncClient:
    """A phone."""
    context = ssl.create_default_context(cafile=client["ca"])
    context.load_cert_chain(client["cert"], client["key"])
    limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_S)
    headers = {"Authorization": f"Bearer {client['token']}"}
    return httpx.AsyncClient(base_url=client["api"], verify=context, headers=headers, timeout=TIMEOUT_S, limits=limits)


@asynccontextmanager
async def people(node: BenchNode, count: int) -> AsyncIterator[list[httpx.AsyncClient]]:
    """So many physicians, each with a phone of their own."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(http(node.client(f"dra.caos{number}"))) for number in range(count)]


@dataclass
class Stream:
    """What one stream was told. Times are of ``time.monotonic``."""

    began: float = field(default_factory=time.monotonic)
    pieces: list[float] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    end: str = "cut"
    """``answer``, an error's code, or ``cut`` when it just stopped."""
    ended: float = float("inf")

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    @property
    def first_s(self) -> float:
        """The wait for the first piece."""
        return self.pieces[0] - self.began if self.pieces else float("inf")

    def told_between(self, begin: float, end: float) -> bool:
        """Whether it had ended by ``end``, or was told anything after ``begin`` and until then."""
        return self.ended <= end or any(begin <= moment <= end for moment in (*self.pieces, *self.places))

    def content_since(self, moment: float) -> float:
        """Seconds from ``moment`` to its next piece or its end."""
        return max(0.0, min([*(at for at in self.pieces if at >= moment), self.ended]) - moment)


def ends(streams: Sequence[Stream]) -> Counter[str]:
    """How they ended."""
    return Counter(one.end for one in streams)


def unclear(streams: Sequence[Stream]) -> int:
    """How many just stopped."""
    return sum(one.end.startswith("cut") for one in streams)


async def chat(phone: httpx.AsyncClient, model: str, prompt: str, tokens: int) -> Stream:
    """One streamed completion."""
    ask = [{"role": "user", "content": prompt}]
    body = {"model": model, "messages": ask, "stream": True, "max_tokens": tokens, "temperature": 0}
    stream = Stream()
    try:
        async with phone.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                stream.end = json.loads(await answer.aread())["error"]["code"]
            async for line in answer.aiter_lines():
                _hear(stream, line)
    except httpx.HTTPError as error:
        stream.end = f"cut ({type(error).__name__})"
    stream.ended = time.monotonic()
    return stream


def _hear(stream: Stream, line: str) -> None:
    now = time.monotonic()
    if line.startswith(": queue"):
        stream.places.append(now)
    elif line == "data: [DONE]":
        stream.end = ANSWER
    elif line.startswith("data: {"):
        data = json.loads(line[6:])
        if "error" in data:
            stream.end = data["error"]["code"]
        else:
            stream.pieces.append(now)


async def plugin(phone: httpx.AsyncClient, **query: str) -> Stream:
    """One stream of the chaos plugin."""
    stream = Stream()
    try:
        async with phone.stream("GET", "/api/plugins/chaos_plugin/stream", params=query) as answer:
            if answer.status_code != 200:
                stream.end = f"http {answer.status_code}"
            async for line in answer.aiter_lines():
                told = json.loads(line)
                if "end" in told:
                    stream.end = told["end"]
                else:
                    stream.pieces.append(time.monotonic())
    except httpx.HTTPError as error:
        stream.end = f"cut ({type(error).__name__})"
    stream.ended = time.monotonic()
    return stream


async def engine_row(it: httpx.AsyncClient, name: str) -> dict[str, object]:
    """The engine as IT's people see it."""
    rows = (await it.get("/api/admin/engines")).json()
    found: dict[str, object] = next(row for row in rows if row["name"] == name)
    return found


async def ready_pid(it: httpx.AsyncClient, name: str) -> int:
    """The child's pid once it is ready."""
    for _ in range(LOOKS):
        row = await engine_row(it, name)
        if row["status"] == "ready" and row["pid"]:
            return int(str(row["pid"]))
        await asyncio.sleep(LOOK_EVERY_S)
    raise SystemExit(f"the engine {name} never became ready")


async def restarted(it: httpx.AsyncClient, name: str, old_pid: int) -> tuple[float, float]:
    """(the last moment at which the next child can't have been ready, the first at which it was seen ready)."""
    before = time.monotonic()
    for _ in range(LOOKS):
        asked = time.monotonic()
        row = await engine_row(it, name)
        if row["status"] == "ready" and row["pid"] and row["pid"] != old_pid:
            return before, time.monotonic()
        before = asked - PICTURE_S
        await asyncio.sleep(LOOK_EVERY_S)
    raise SystemExit(f"the engine {name} never came back")
