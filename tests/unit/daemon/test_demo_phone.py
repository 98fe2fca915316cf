"""The demonstration's phone and two nodes: it asks the other one when the first is away, with the same key."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from appliance.daemon.demo.phone import Phone, RefusedError
from appliance.daemon.ports import free_ports
from tests.fakes import crooked_server as crooked
from tests.fakes.crooked_server import CrookedServer, Hospital, crooked_server


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return crooked.hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture
async def server(hospital: Hospital) -> AsyncIterator[CrookedServer]:
    async with crooked_server(hospital) as one:
        yield one


def url(port: int) -> str:
    return f"https://127.0.0.1:{port}"


@asynccontextmanager
async def phone_to(hospital: Hospital, *ports: int) -> AsyncIterator[Phone]:
    phone = Phone(hospital.client | {"api": url(ports[0])}, [url(port) for port in ports[1:]] and list(map(url, ports)))
    try:
        yield phone
    finally:
        await phone.close()


async def test_a_phone_with_one_address_asks_there(hospital: Hospital, server: CrookedServer) -> None:
    async with phone_to(hospital, server.port) as phone:
        assert phone.address == url(server.port)
        assert await phone.post("/api/x", {"a": 1}) == {"path": "/api/x"}
    assert len(server.effects) == 1


async def test_a_dead_node_is_left_for_the_other_and_stays_left(hospital: Hospital, server: CrookedServer) -> None:
    (dead,) = free_ports(1)
    async with phone_to(hospital, dead, server.port) as phone:
        assert await phone.post("/api/x", {"a": 1}) == {"path": "/api/x"}
        assert phone.address == url(server.port)
        await phone.post("/api/y", {})
    assert [seen.path for seen in server.seen] == ["/api/x", "/api/y"]


async def test_a_standby_sends_the_phone_to_the_primary_with_the_same_key(
    hospital: Hospital, server: CrookedServer
) -> None:
    async with crooked_server(hospital) as standby:
        standby.script.append(crooked.refuse(503))
        async with phone_to(hospital, standby.port, server.port) as phone:
            await phone.post("/api/x", {"a": 1})
        assert [seen.key for seen in standby.seen] == [seen.key for seen in server.seen]
    assert list(server.effects.values()) == [b'{"a": 1}']


async def test_what_the_primary_refuses_for_good_is_told(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.refuse(422))
    async with phone_to(hospital, server.port) as phone:
        with pytest.raises(RefusedError) as refused:
            await phone.post("/api/x", {})
    assert refused.value.status == 422


async def test_a_503_that_only_a_person_can_mend_is_not_repeated(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.refuse(503, "image.not_configured"))
    async with phone_to(hospital, server.port) as phone:
        with pytest.raises(RefusedError, match="not_configured"):
            await phone.post("/api/x", {})
    assert len(server.seen) == 1


async def test_connections_are_probed_so_that_a_moved_address_is_noticed(
    hospital: Hospital, server: CrookedServer
) -> None:
    async with phone_to(hospital, server.port) as phone:
        await phone.get("/api/x")
        pool = phone._http._transport._pool  # type: ignore[attr-defined]
        stream = pool.connections[0]._connection._network_stream
        line: socket.socket = stream.get_extra_info("socket")
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
