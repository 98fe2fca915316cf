from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from appliance.plugin_api.errors import CONFLICT
from appliance.plugin_api.http import PUBLIC, Reply, Request, Route, WebSocketRoute, WebSocketSession
from tests.api.harness import ApiUnderTest, Phone, api_under_test, eventually

ended: list[str] = []


async def echo(session: WebSocketSession) -> None:
    await session.send({"who": session.principal.username, "room": session.parameters["room"], **session.query})
    while (message := await session.receive()) is not None:
        if message == "conflict":
            raise CONFLICT(what="Note/1")
        if message == "bug":
            raise ValueError("Maria de Souza")
        if message == "bye":
            await session.close(3001, "as you wish")
            return
        await session.send(message if isinstance(message, bytes) else {"said": message})
    ended.append(session.parameters["room"])


async def talk_only(session: WebSocketSession) -> None:
    try:
        while True:
            await session.send({"tick": True})
            await asyncio.sleep(0.01)
    finally:
        ended.append("talker")


async def open_to_all(session: WebSocketSession) -> None:
    await session.send("welcome")


async def of_a_patient(session: WebSocketSession) -> None:
    session.about(patient="Patient/7", resource="Dictation/1")
    for word in ("dor", "há dois dias"):
        await session.send(word)
    await session.receive()


async def live(_request: Request) -> Reply:
    return Reply(body="http")


ROUTES = [
    WebSocketRoute("/api/echo/{room}", "dictation.write", echo, "Echo"),
    WebSocketRoute("/api/talk", "dictation.write", talk_only, "Talk"),
    WebSocketRoute("/api/patient", "dictation.write", of_a_patient, "Of a patient"),
    WebSocketRoute("/api/public", PUBLIC, open_to_all, "For all"),
    Route("GET", "/api/echo/{room}", "record.read", live, "The same address over HTTP"),
]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiUnderTest]:
    async with api_under_test(tmp_path, ROUTES) as served:
        yield served


def dial(api: ApiUnderTest, path: str, phone: Phone | None = None, **options: Any) -> Any:
    headers = {"Authorization": f"Bearer {phone.token}"} if phone else {}
    options.setdefault("additional_headers", headers)
    return websockets.connect(
        f"wss://127.0.0.1:{api.port}{path}", ssl=api.tls(phone), proxy=None, max_size=None, **options
    )


async def reply_to(socket: ClientConnection, message: str | bytes) -> Any:
    await socket.send(message)
    answer = await socket.recv()
    return answer if isinstance(answer, bytes) else json.loads(answer)


async def test_a_conversation(api: ApiUnderTest) -> None:
    phone = await api.phone()
    async with dial(api, "/api/echo/7?lang=pt", phone) as socket:
        assert json.loads(await socket.recv()) == {"who": "physician.1", "room": "7", "lang": "pt"}
        assert await reply_to(socket, "olá") == {"said": "olá"}
        assert await reply_to(socket, b"\x00\x01") == b"\x00\x01"
        assert await reply_to(socket, b"") == b""
        assert await reply_to(socket, "") == {"said": ""}
        big = bytes(3_000_000)
        assert await reply_to(socket, big) == big
    await eventually(lambda: "7" in ended)
    (row,) = await api.audit_rows(route="/api/echo/{room}")
    assert (row.event.user_id, row.event.method, row.event.status) == (phone.user_id, "WEBSOCKET", 101)


async def test_whose_data_a_conversation_shows_is_recorded_before_it_is_shown(api: ApiUnderTest) -> None:
    phone = await api.phone()
    async with dial(api, "/api/patient", phone) as socket:
        assert json.loads(await socket.recv()) == "dor"
        shown = await api.audit_rows(route="/api/patient")
        assert json.loads(await socket.recv()) == "há dois dias"
    events = [row.event for row in await api.audit_rows(route="/api/patient")]
    assert [(one.method, one.status, one.patient, one.resource) for one in events] == [
        ("WEBSOCKET", 101, None, ""),
        ("WEBSOCKET", 101, "Patient/7", "Dictation/1"),
    ]
    assert [row.event for row in shown] == events, "recorded before the first word left, and once"
    assert {one.user_id for one in events} == {phone.user_id}


async def test_the_same_address_may_speak_http_too(api: ApiUnderTest) -> None:
    async with api.client(await api.phone()) as client:
        assert (await client.get("/api/echo/7")).json() == "http"
        assert (await client.get("/api/talk")).status_code == 404


async def test_a_browser_sends_its_token_as_a_subprotocol(api: ApiUnderTest) -> None:
    phone = await api.phone()
    offered = [Subprotocol("prontuario"), Subprotocol(f"bearer.{phone.token}")]
    async with dial(api, "/api/echo/1", phone, additional_headers={}, subprotocols=offered) as socket:
        assert socket.subprotocol == "prontuario"
        assert json.loads(await socket.recv())["who"] == "physician.1"


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/api/echo/1", None, 401),
        ("/api/echo/1", "auditor", 403),
        ("/api/nowhere", "physician", 404),
        ("/api/%00", "physician", 400),
    ],
)
async def test_refusals_come_before_the_handshake(api: ApiUnderTest, path: str, role: str | None, status: int) -> None:
    phone = await api.phone(role) if role else None
    with pytest.raises(InvalidStatus) as refused:
        await dial(api, path, phone)
    response = refused.value.response
    assert response.status_code == status
    assert json.loads(response.body or b"{}")["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    rows = [row.event.status for row in await api.audit_rows(route="/api/echo/{room}")]
    assert rows == ([403] if role == "auditor" else [])


async def test_a_public_socket_needs_no_token(api: ApiUnderTest) -> None:
    async with dial(api, "/api/public") as socket:
        assert json.loads(await socket.recv()) == "welcome"


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [("conflict", 4409, "conflict"), ("bug", 4500, "internal"), ("bye", 3001, "as you wish")],
)
async def test_the_close_code_tells_what_happened(api: ApiUnderTest, said: str, code: int, reason: str) -> None:
    async with dial(api, "/api/echo/1", await api.phone()) as socket:
        await socket.recv()
        await socket.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)


async def test_draining_closes_with_service_restart(api: ApiUnderTest) -> None:
    phone = await api.phone()
    async with dial(api, "/api/echo/drained", phone) as socket:
        await socket.recv()
        drained = asyncio.create_task(api.server.drain())
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        await drained
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "reconnect")
    assert "drained" in ended


async def test_a_handler_that_only_talks_ends_when_its_client_is_gone(api: ApiUnderTest) -> None:
    ended.clear()
    socket = await dial(api, "/api/talk", await api.phone())
    await socket.recv()
    socket.transport.abort()
    await eventually(lambda: "talker" in ended)


async def test_a_revoked_session_is_closed(tmp_path: Path) -> None:
    async with api_under_test(tmp_path, ROUTES, recheck_s=0.2) as api:
        phone = await api.phone()
        async with dial(api, "/api/echo/revoked", phone) as socket:
            await socket.recv()
            await asyncio.sleep(0.5)
            assert await reply_to(socket, "still here") == {"said": "still here"}
            await api.store.write(lambda tx: api.identity.end_sessions(tx, "lost phone", user_id=phone.user_id))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "auth.revoked")
