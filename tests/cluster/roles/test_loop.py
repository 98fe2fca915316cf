"""Two role loops with fake hands over three real etcd members."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cluster import operator
from appliance.cluster.errors import CONFIRMATION, NO_PROMOTION
from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.cluster.events import Timeline
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.model import Role
from appliance.cluster.roles import RoleLoop, RoleSettings
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.etcd_set import EtcdSet, make_set
from tests.fakes.node_hands import FakeHands

pytestmark = [
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed"),
    pytest.mark.timeout(300),
]
PATIENCE_S = 90.0
TTL_S = 4


@dataclass
class Side:
    loop: RoleLoop
    hands: FakeHands
    client: EtcdClient
    task: asyncio.Task[None]

    async def stop(self) -> None:
        await self.loop.stop(20)
        await self.task
        await self.client.close()


@dataclass
class Both:
    etcd: EtcdSet
    a: Side
    b: Side


def start(etcd: EtcdSet, name: str, peer: str, timeline: Path) -> Side:
    client, hands = etcd.client(name), FakeHands(name)
    settings = RoleSettings(node=name, peer=peer, ttl_s=TTL_S, heartbeat_s=0.3)
    loop = RoleLoop(settings, hands, EtcdKeys(client), LeaseClock(), timeline=Timeline(timeline))
    return Side(loop, hands, client, asyncio.create_task(loop.run()))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  another process has to act
            await asyncio.sleep(0.02)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Both]:
    etcd = make_set(tmp_path)
    etcd.start()
    sides: list[Side] = []
    try:
        await etcd.wait_ready()
        first = etcd.client()
        await EtcdKeys(first).initialise("a")
        await first.close()
        sides = [start(etcd, "a", "b", tmp_path / "a.jsonl"), start(etcd, "b", "a", tmp_path / "b.jsonl")]
        await until(lambda: sides[0].loop.role is Role.PRIMARY and "follow 1" in sides[1].hands.did)
        yield Both(etcd, *sides)
    finally:
        for side in sides:
            if not side.task.done():
                await side.stop()
        etcd.stop()


async def name_b_in_sync(pair: Both) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await pair.a.loop.sync.mark_in_sync()
            except ProntuarioError:
                await asyncio.sleep(0.1)


async def test_promotion_fences_drains_and_opens_in_this_order(pair: Both) -> None:
    wanted = ["fence 1", "drain", "open 1"]
    assert [what for what in pair.a.hands.did if what in wanted] == wanted
    await until(lambda: pair.a.hands.address_until is not None)
    assert pair.b.loop.role is Role.STANDBY
    assert pair.b.hands.address_until is None
    status = operator.status(pair.a.loop)
    assert (status.leader, status.mode, status.in_sync) == ("a", "paired", None)
    assert [event.kind for event in status.events] == ["promoted"]


async def test_planned_handover_moves_the_service_and_back_only_on_order(pair: Both) -> None:
    with pytest.raises(ProntuarioError, match="not in sync"):
        await operator.handover(pair.b.loop, "ana")
    await name_b_in_sync(pair)
    await operator.handover(pair.b.loop, "ana")
    await until(lambda: pair.b.loop.role is Role.PRIMARY)
    await until(lambda: "set aside 1.1" in pair.a.hands.did and "follow 2" in pair.a.hands.did)
    steps = [what for what in pair.a.hands.did if what in {"quiesce", "close", "set aside 1.1", "follow 2"}]
    assert steps == ["quiesce", "close", "set aside 1.1", "follow 2"]
    assert pair.a.loop.role is Role.STANDBY
    assert pair.a.hands.address_until is None
    assert pair.b.loop.epoch == 2


async def test_a_standby_in_sync_takes_over_when_the_primary_is_gone(pair: Both) -> None:
    await name_b_in_sync(pair)
    pair.a.task.cancel()
    pair.a.loop.keeper.drop()  # kill -9: nobody revokes anything
    await asyncio.wait({pair.a.task})
    await until(lambda: pair.b.loop.role is Role.PRIMARY)
    assert pair.b.loop.epoch >= 2


async def test_a_standby_out_of_sync_asks_the_operator_instead(pair: Both) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await operator.promote(pair.b.loop, "ana", "b")
    assert caught.value.kind is NO_PROMOTION
    pair.a.task.cancel()
    pair.a.loop.keeper.drop()
    await asyncio.wait({pair.a.task})
    await until(lambda: pair.b.loop.prompt == "not_in_sync")
    assert pair.b.loop.role is Role.STANDBY
    with pytest.raises(ProntuarioError) as caught:
        await operator.promote(pair.b.loop, "ana", "yes")
    assert caught.value.kind is CONFIRMATION
    await operator.promote(pair.b.loop, "ana", "b")
    await until(lambda: pair.b.loop.role is Role.PRIMARY)
    assert "promoted_with_loss" in [event.kind for event in pair.b.loop.timeline.latest()]


async def test_a_lost_node_is_counted_as_such_once_its_name_is_typed_and_the_timeline_says_so(pair: Both) -> None:
    with pytest.raises(ProntuarioError, match="b answers"):
        await operator.mark_lost(pair.a.loop, "b", "ana", "b")
    pair.a.hands.peer_reachable = False
    with pytest.raises(ProntuarioError) as caught:
        await operator.mark_lost(pair.a.loop, "b", "ana")
    assert caught.value.details["reason_code"] == "only_here"
    await operator.mark_lost(pair.a.loop, "b", "ana", "b")

    def reason() -> str:
        why = operator.status(pair.a.loop).reason
        return why.code if why else ""

    await until(lambda: reason() == "marked_lost")
    assert pair.a.loop.timeline.latest()[-1].kind == "counted_lost"
    with pytest.raises(ProntuarioError, match="a leads"):
        await operator.mark_lost(pair.b.loop, "a", "ana", "a")


async def test_without_voters_the_primary_stops_acknowledging_and_comes_back(pair: Both) -> None:
    for name in ("a", "b", "w"):
        pair.etcd.kill(name, signal.SIGSTOP)
    await until(lambda: not pair.a.loop.keeper.valid())
    await until(lambda: pair.a.loop.role is Role.FENCED and pair.a.hands.address_until is None)
    assert pair.a.loop.lease() is None
    assert operator.status(pair.a.loop).mode == "read-only"
    assert pair.a.hands.open_in == 1, "reading goes on"
    for name in ("a", "b", "w"):
        pair.etcd.kill(name, signal.SIGCONT)
    await until(lambda: pair.a.loop.role is Role.PRIMARY and pair.a.loop.epoch > 1)
    assert pair.b.loop.role is not Role.PRIMARY


async def test_slow_hands_do_not_cost_the_lease(pair: Both) -> None:
    pair.a.hands.slow_s = TTL_S * 1.5
    await name_b_in_sync(pair)
    await operator.handover(pair.a.loop, "ana")
    await until(lambda: pair.a.hands.doing == "quiesce")
    while "quiesce" not in pair.a.hands.did:  # one job alone outlasts a lease; what follows it gives the lease up
        assert pair.a.loop.role is Role.DRAINING
        assert pair.a.loop.keeper.valid()
        await asyncio.sleep(TTL_S / 10)
    pair.a.hands.slow_s = 0.0  # what follows proves nothing more
    await until(lambda: pair.b.loop.role is Role.PRIMARY)


async def test_a_failed_handover_leaves_the_primary_serving(pair: Both) -> None:
    pair.a.hands.failing = {"quiesce"}
    await name_b_in_sync(pair)
    await operator.handover(pair.a.loop, "ana")
    await until(lambda: "resume" in pair.a.hands.did and pair.a.loop.role is Role.PRIMARY)
    assert pair.b.loop.role is Role.STANDBY
