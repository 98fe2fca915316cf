"""Canary names are sent through every opening of a running API; no log line may ever hold one."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import structlog
import websockets

from appliance.plugin_api.errors import INVALID, NOT_FOUND
from appliance.plugin_api.http import Reply, Request, Route, ServerSentEvent, WebSocketRoute, WebSocketSession
from appliance.plugin_api.storage import Transaction
from appliance.telemetry import logs
from tests.api.harness import ApiUnderTest, api_under_test, read_to_end

CANARY = "Zuleica Quirimbo"
TRACES = ("Zuleica", "Quirimbo", "zuleica", "quirimbo", quote(CANARY))


class Person(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    age: int


async def body(request: Request) -> Reply:
    person = await request.body(Person)
    raise ValueError(f"{person.name} is unknown")


async def write(request: Request) -> Reply:
    raw = (await request.raw_body()).decode()

    def change(tx: Transaction) -> Reply:
        tx.execute("INSERT INTO nothing VALUES (?)", (raw,))
        return Reply()

    return await request.commit(change)


async def read(request: Request) -> Reply:
    if request.query.get("known"):
        raise NOT_FOUND(what=request.parameters["name"])
    if request.query.get("invalid"):
        raise INVALID(field="name", name=request.parameters["name"], reason=request.parameters["name"])
    raise KeyError(request.parameters["name"])


async def stream(request: Request) -> Reply:
    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent("hello", request.parameters["name"])
        raise RuntimeError(request.parameters["name"])

    return Reply(stream=events())


async def unencodable(request: Request) -> Reply:
    return Reply(body={request.parameters["name"]: object()}, headers={"X-Name": f"{request.parameters['name']}\n"})


async def talk(session: WebSocketSession) -> None:
    raise RuntimeError(f"{session.parameters['name']} {await session.receive()!r}")


ROUTES = [
    Route("POST", "/api/body", "record.write", body, "Body"),
    Route("POST", "/api/write", "record.write", write, "Write"),
    Route("GET", "/api/read/{name}", "record.read", read, "Read"),
    Route("GET", "/api/hot/{name}", "record.read", read, "Read, hot", hot=True),
    Route("GET", "/api/stream/{name}", "record.read", stream, "Stream"),
    Route("GET", "/api/unencodable/{name}", "record.read", unencodable, "Unencodable"),
    WebSocketRoute("/api/talk/{name}", "record.read", talk, "Talk"),
]


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    file = tmp_path / "core.jsonl"
    logs.configure(level="debug", file=file)
    logging.getLogger().setLevel(logging.DEBUG)
    yield file
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)
    structlog.reset_defaults()


async def walk(api: ApiUnderTest) -> list[int]:
    name = quote(CANARY)
    statuses = []
    phone = await api.phone()
    async with api.client(phone, headers={"X-Patient": CANARY, "User-Agent": CANARY}) as client:

        async def send(method: str, path: str, **options: Any) -> None:
            statuses.append((await client.request(method, path, **options)).status_code)

        for sent in ({"name": CANARY, "age": 3}, {"name": CANARY, "age": CANARY}, {"name": "x", CANARY: 1}, [CANARY]):
            await send("POST", "/api/body", json=sent)
        await send("POST", "/api/body", content=f'{{"{CANARY}"'.encode())
        for key in ("k", CANARY):
            await send("POST", "/api/write", content=CANARY, headers={"Idempotency-Key": key})
        for kind in ("read", "hot"):
            for query in ("", "?known=1", "?invalid=1", f"?name={name}"):
                await send("GET", f"/api/{kind}/{name}{query}")
        for path in (f"/api/stream/{name}", f"/api/unencodable/{name}", f"/{name}/{name}", f"/docs/{name}"):
            await send("GET", path)
        await send("GET", f"/api/read/{name}", headers={"Authorization": f"Bearer {name}"})
    url = f"wss://127.0.0.1:{api.port}/api/talk/{name}"
    headers = {"Authorization": f"Bearer {phone.token}"}
    async with websockets.connect(url, ssl=api.tls(phone), proxy=None, additional_headers=headers) as socket:
        await socket.send(CANARY)
        await socket.wait_closed()
    return statuses


async def test_no_log_line_holds_a_canary(log_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with api_under_test(tmp_path, ROUTES, api={"keep_alive_timeout_s": 1.0}) as api:
        statuses = await walk(api)
        reader, writer = await api.connect(alpn=("h2",))
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + CANARY.encode() * 100)
        await read_to_end(reader)
        writer.close()
        reader, writer = await api.connect()
        writer.write(f"GET /{CANARY} HTTP/1.1\r\nHost: {CANARY}\r\n\r\n".encode())
        await read_to_end(reader)
        writer.close()
    assert 500 in statuses
    assert 422 in statuses
    written = log_file.read_text(encoding="utf-8")
    assert sum('"incident"' in line for line in written.splitlines()) >= 6
    for text in (written, capsys.readouterr().err):
        assert [trace for trace in TRACES if trace in text] == []
    incidents = [json.loads(line) for line in written.splitlines() if '"incident"' in line]
    assert {"KeyError", "ValueError", "RuntimeError"} <= {line["error"] for line in incidents}
    assert all(line["route"].startswith("/api/") for line in incidents)


async def test_no_audit_event_and_no_metric_holds_a_canary(tmp_path: Path) -> None:
    async with api_under_test(tmp_path, ROUTES) as api:
        await walk(api)
        rows = await api.audit_rows()
        told = api.metrics.render().decode() + msgspec.json.encode(rows).decode()
    assert len(rows) > 10
    assert [trace for trace in TRACES if trace in told] == []
