"""The phones' connections carry the options that make them notice a server which vanished without a word."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.daemon.demo.alive import NOTICED_S, socket_options, watch
from appliance.daemon.demo.phone import Phone
from tests.fakes import crooked_server as crooked
from tests.fakes.crooked_server import CrookedServer, Hospital, crooked_server
from tests.fakes.phone import ReferencePhone

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the limit has another name there")


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return crooked.hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture
async def server(hospital: Hospital) -> AsyncIterator[CrookedServer]:
    async with crooked_server(hospital) as one:
        yield one


def options_of(line: Any) -> list[tuple[int, int, int]]:
    return [(level, name, line.getsockopt(level, name)) for level, name, _ in socket_options()]


def test_a_silent_end_is_given_up_after_seconds_not_minutes() -> None:
    with socket.socket() as line:
        for option in socket_options():
            line.setsockopt(*option)
        assert options_of(line) == socket_options()
    assert NOTICED_S < 10


@ON_LINUX
@pytest.mark.parametrize("kind", ["demonstration", "reference"])
async def test_every_call_of_a_phone_goes_over_such_a_connection(
    hospital: Hospital, server: CrookedServer, kind: str
) -> None:
    client = hospital.client | {"api": f"https://127.0.0.1:{server.port}"}
    phone = Phone(client) if kind == "demonstration" else ReferencePhone(client, http2=False)
    try:
        async with phone._http.stream("POST", client["api"] + "/api/x", json={}) as answer:
            line = answer.extensions["network_stream"].get_extra_info("socket")
            assert options_of(line) == socket_options()
            await answer.aread()
    finally:
        await phone.close()


@ON_LINUX
async def test_a_connection_that_is_there_already_can_be_watched() -> None:
    over = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    watch(writer.transport)
    assert options_of(writer.get_extra_info("socket")) == socket_options()
    writer.close()
    await writer.wait_closed()
    await over.wait()
    server.close()
