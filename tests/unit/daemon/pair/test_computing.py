"""Two founded homes, their own certificates and settings: the engines of one answer for the other if both say so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args

import pytest

from appliance.cluster.compute_sharing import State
from appliance.cluster.peer_messages import Answer, Call
from appliance.config import Paths, load_config
from appliance.daemon.pair.computing import _TOLD, Computing
from appliance.daemon.pair.founding import found_for_development
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.pair.plan import PairPlan, Place
from appliance.daemon.ports import free_ports
from appliance.engines.fleet import EngineFleet
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.tracing import SILENT

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
PATIENCE_S = 100.0
Half = tuple[Computing, EngineFleet, Neighbour]
Make = Callable[..., Awaitable[tuple[Half, Half]]]


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110  another process or node has to act
            await asyncio.sleep(0.02)


@pytest.fixture
async def make_two(tmp_path: Path) -> AsyncIterator[Make]:
    """Nodes ``a`` and ``b``, each with one engine of a single slot; ``shares`` says which of them share."""
    async with AsyncExitStack() as stack:

        def place(name: str) -> Place:
            api, peer, admin, client, etcd_peer = free_ports(5)
            return Place(
                name=name, host="127.0.0.1", api_port=api, peer_port=peer, admin_port=admin, etcd_client_port=client,
                etcd_peer_port=etcd_peer,
            )  # fmt: skip

        async def half(name: str, *, share: bool) -> Half:
            paths = Paths(tmp_path / name)
            fleet = EngineFleet()
            fleet.add(fleet.make(EngineSpec("echo", ECHO, max_running=1), "toy"))
            stack.push_async_callback(fleet.stop, 0.0)
            await fleet.start()
            neighbour = Neighbour(paths, load_config(paths.config))
            computing = Computing(neighbour, fleet, share=share, tracer=SILENT)
            await neighbour.start()
            stack.push_async_callback(neighbour.close)
            computing.start()
            stack.push_async_callback(computing.close)
            return computing, fleet, neighbour

        async def make(*, shares: str = "ab") -> tuple[Half, Half]:
            await found_for_development(tmp_path, PairPlan(first=place("a"), second=place("b")))
            return await half("a", share="a" in shares), await half("b", share="b" in shares)

        yield make


async def test_each_node_s_requests_are_answered_by_the_other_s_engine_when_its_own_is_full(make_two: Make) -> None:
    halves = await make_two()
    for computing, fleet, _ in halves:
        await until(lambda computing=computing: computing.told().both)  # type: ignore[misc]
        engine = fleet.engine("echo")
        full = asyncio.ensure_future(anext(engine.submit("mute", b"", CallOptions(user="one", idempotent=False))))
        await until(lambda engine=engine: engine.running == 1)  # type: ignore[misc]
        assert [piece async for piece in engine.submit("echo", b"x", CallOptions(user="two"))] == [b"x"]
        full.cancel()
        await asyncio.gather(full, return_exceptions=True)


async def test_a_node_that_is_set_not_to_share_neither_lends_nor_borrows(make_two: Make) -> None:
    (a, fleet, _), (b, _, _) = await make_two(shares="a")
    await until(lambda: "não compartilha" in a.told().pt)
    assert (a.told().both, b.told().both, fleet.engine("echo").far_room) == (False, False, 0)
    assert "share_inference" in b.told().en


async def test_the_dead_node_s_share_is_gone_and_said(make_two: Make) -> None:
    (a, fleet, _), (b, _, neighbour) = await make_two()
    await until(lambda: a.told().both)
    await b.close()
    await neighbour.close()
    await until(lambda: "não responde" in a.told().pt)
    assert fleet.engine("echo").far_room == 0


async def test_services_with_one_answer_and_with_many_are_told_apart(make_two: Make) -> None:
    (_, _, a), (_, _, b) = await make_two(shares="")

    async def one(verb: str, body: bytes) -> bytes:
        return verb.encode() + body

    b.services["one"] = one
    async with asyncio.timeout(PATIENCE_S):
        await a.bulk.wait_up()
        assert await a.call("one", "verb ", b"body") == b"verb body"
        with pytest.raises(ProntuarioError) as refused:
            await a.bulk.ask(Call("compute", "offers", b""), Answer, deadline_s=PATIENCE_S)
    assert refused.value.kind.code == "cluster.peer_misunderstood"


def test_every_state_has_words_in_both_languages() -> None:
    assert set(_TOLD) == set(get_args(State))
    assert all(pt and en and pt != en for pt, en in _TOLD.values())
