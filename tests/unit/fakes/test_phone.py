"""The reference phone against a server that misbehaves: what reaches the record, how often, and what the phone is told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.daemon.demo.phone import RefusedError
from tests.fakes import crooked_server as crooked
from tests.fakes.crooked_server import CrookedServer, Hospital, crooked_server
from tests.fakes.phone import Heard, Pauses, ReferencePhone, RevokedError, SilentError, StrangerError


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return crooked.hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture
async def server(hospital: Hospital) -> AsyncIterator[CrookedServer]:
    async with crooked_server(hospital) as one:
        yield one


@asynccontextmanager
async def phone_to(hospital: Hospital, *servers: CrookedServer, **options: Any) -> AsyncIterator[ReferencePhone]:
    addresses = [f"https://127.0.0.1:{server.port}" for server in servers]
    phone = ReferencePhone(hospital.client | {"api": addresses[0]}, addresses=addresses, seed=7, **options)
    try:
        yield phone
    finally:
        await phone.close()


async def test_a_call_is_answered_and_told(hospital: Hospital, server: CrookedServer) -> None:
    heard: list[Heard] = []
    async with phone_to(hospital, server, heard=heard.append) as phone:
        assert await phone.post("/api/x", {"a": 1}) == {"path": "/api/x"}
    assert [(one.method, one.path, one.status, one.tries, one.replayed) for one in heard] == [
        ("POST", "/api/x", 200, 1, False)
    ]
    assert list(server.effects) == [heard[0].key]


@pytest.mark.parametrize("trouble", [crooked.break_before, crooked.break_after, crooked.break_within])
async def test_a_broken_connection_is_repeated_with_the_same_key(
    hospital: Hospital, server: CrookedServer, trouble: crooked.Answer
) -> None:
    server.script.extend([trouble, trouble])
    heard: list[Heard] = []
    async with phone_to(hospital, server, heard=heard.append) as phone:
        await phone.post("/api/x", {"a": 1})
    assert len({one.key for one in server.seen}) == 1
    assert [one.connection for one in server.seen] == [1, 2, 3]
    assert list(server.effects.values()) == [b'{"a": 1}']
    assert heard[0].tries == 3
    assert heard[0].replayed is (trouble is not crooked.break_before)


async def test_two_calls_have_two_keys(hospital: Hospital, server: CrookedServer) -> None:
    async with phone_to(hospital, server) as phone:
        await phone.post("/api/x", {"a": 1})
        await phone.post("/api/x", {"a": 1})
    assert len(server.effects) == 2


async def test_a_silent_server_is_left_and_tried_again(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.hang)
    async with phone_to(hospital, server, attempt_s=0.5) as phone:
        await phone.post("/api/x")
    assert [one.connection for one in server.seen] == [1, 2]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_passing_refusal_is_waited_out_on_a_new_connection(
    hospital: Hospital, server: CrookedServer, status: int
) -> None:
    server.script.append(crooked.refuse(status))
    async with phone_to(hospital, server) as phone:
        await phone.post("/api/x")
    assert [one.connection for one in server.seen] == [1, 2]
    assert len(server.effects) == 1


async def test_retry_after_is_respected(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.refuse(503, retry_after="1"))
    heard: list[Heard] = []
    async with phone_to(hospital, server, heard=heard.append) as phone:
        await phone.post("/api/x")
    assert heard[0].ended - heard[0].began >= 1.0


def test_pauses_grow_stay_bounded_and_never_undercut_the_service_s_wish() -> None:
    pauses = Pauses(random.Random(1))
    row = [pauses.next() for _ in range(12)]
    assert row[0] <= 0.1
    assert row[0] < row[3] < row[-1] <= 2.0
    assert pauses.next(5.0) == 5.0


async def test_a_refusal_that_stays_is_told_at_once(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.refuse(422, "invalid"))
    async with phone_to(hospital, server) as phone:
        with pytest.raises(RefusedError) as refused:
            await phone.post("/api/x")
    assert (refused.value.status, refused.value.problem["code"], len(server.seen)) == (422, "invalid", 1)


async def test_patience_ends(hospital: Hospital, server: CrookedServer) -> None:
    server.script.extend([crooked.break_before] * 50)
    async with phone_to(hospital, server, patience_s=0.5) as phone:
        with pytest.raises(SilentError):
            await phone.post("/api/x")
    assert not server.effects


async def test_with_two_addresses_the_phone_goes_to_the_other(hospital: Hospital, server: CrookedServer) -> None:
    async with crooked_server(hospital) as other:
        server.script.extend([crooked.refuse(503), crooked.refuse(503)])
        async with phone_to(hospital, server, other) as phone:
            await phone.post("/api/x")
            await phone.post("/api/y")
    assert len(server.seen) == 1
    assert [one.path for one in other.seen] == ["/api/x", "/api/y"]


async def test_a_node_that_is_gone_is_left_for_the_other(hospital: Hospital, server: CrookedServer) -> None:
    async with crooked_server(hospital) as gone:
        pass
    async with phone_to(hospital, gone, server) as phone:
        await asyncio.gather(*(phone.post("/api/x", {"n": n}) for n in range(10)))
    assert len(server.effects) == 10


async def test_another_hospital_s_server_gets_nothing(
    hospital: Hospital, server: CrookedServer, tmp_path: Path
) -> None:
    stranger = crooked.hospital(tmp_path)
    client = stranger.client | {"api": f"https://127.0.0.1:{server.port}"}
    phone = ReferencePhone(client)
    try:
        with pytest.raises(StrangerError):
            await phone.post("/api/x", {"secret": 1})
    finally:
        await phone.close()
    assert server.seen == []


async def test_an_expired_session_is_renewed_once_for_all_calls(hospital: Hospital, server: CrookedServer) -> None:
    server.valid_token = "renewed"
    async with phone_to(hospital, server) as phone:
        await asyncio.gather(*(phone.post("/api/x", {"n": n}) for n in range(8)))
        assert phone.token == "renewed"
    assert sum(one.path == "/api/token/refresh" for one in server.seen) == 1
    assert len(server.effects) == 8


async def test_a_renewal_survives_a_failover(hospital: Hospital, server: CrookedServer) -> None:
    server.script.extend([crooked.refuse(401, "auth.expired"), crooked.break_before, crooked.refuse(503)])
    async with phone_to(hospital, server) as phone:
        await phone.post("/api/x")
    assert [one.path for one in server.seen] == ["/api/x", *["/api/token/refresh"] * 3, "/api/x"]


async def test_without_a_password_a_refused_renewal_ends_the_session(hospital: Hospital, server: CrookedServer) -> None:
    server.script.extend([crooked.refuse(401), crooked.refuse(401, "auth.refresh_reused")])
    async with phone_to(hospital, server) as phone:
        with pytest.raises(RefusedError, match="refresh_reused"):
            await phone.post("/api/x")


async def test_with_a_password_the_phone_signs_in_again(hospital: Hospital, server: CrookedServer) -> None:
    async def login(_server: CrookedServer, request: crooked.Seen, writer: asyncio.StreamWriter) -> bool:
        assert request.path == "/api/login"
        return await crooked.say(writer, 200, {"access_token": "first", "refresh_token": "r"})

    server.script.extend([crooked.refuse(401), crooked.refuse(401), login])
    async with phone_to(hospital, server, password="segredo") as phone:
        await phone.post("/api/x")
    assert len(server.effects) == 1


async def test_a_stream_that_ends_is_over(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.events(("state", {"n": 1}), ("note", {"n": 2}), ends=True))
    async with phone_to(hospital, server) as phone:
        told = [event async for event in phone.events("d")]
    assert told == [("state", {"n": 1}), ("note", {"n": 2})]
    assert server.seen[0].headers["accept"] == "text/event-stream"


async def test_a_stream_goes_on_after_reconnect_breaks_and_refusals(hospital: Hospital, server: CrookedServer) -> None:
    server.script.extend(
        [
            crooked.events(("state", {"n": 1}), ("reconnect", {"retry_after": 0}), ends=True),
            crooked.refuse(503),
            crooked.events(("state", {"n": 2}), ends=False),
            crooked.refuse(401),
            crooked.well,  # the renewal
            crooked.events(("state", {"n": 3}), ends=True),
        ]
    )
    async with phone_to(hospital, server) as phone:
        told = [data["n"] async for _, data in phone.events("d")]
    assert told == [1, 2, 3]
    assert server.seen[-1].headers["authorization"] == "Bearer renewed"


async def test_a_revoked_session_ends_the_stream(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.events(("revoked", {"code": "auth.revoked"}), ends=True))
    async with phone_to(hospital, server) as phone:
        with pytest.raises(RevokedError):
            _ = [event async for event in phone.events("d")]


async def test_a_stream_one_may_not_hear_is_refused(hospital: Hospital, server: CrookedServer) -> None:
    server.script.append(crooked.refuse(403, "forbidden"))
    async with phone_to(hospital, server) as phone:
        with pytest.raises(RefusedError, match="403"):
            _ = [event async for event in phone.events("d")]
