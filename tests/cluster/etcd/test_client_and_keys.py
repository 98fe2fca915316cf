"""The client and the pair's transactions against three real members."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.cluster.errors import NO_QUORUM, READ_ONLY
from appliance.cluster.etcd_client import EtcdClient, delete, equals, put
from appliance.cluster.etcd_keys import EtcdKeys, Request, Sync
from appliance.cluster.http_wire import HttpWire
from appliance.cluster.lease import LeaseKeeper
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.model import Drill, Position
from appliance.cluster.sync_key import EtcdSync
from appliance.cluster.voters import Voters
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.etcd_set import EtcdSet, make_set, make_tls

pytestmark = [
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed"),
    pytest.mark.timeout(300),
]
PATIENT_S = 20.0


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[EtcdSet]:
    made = make_set(tmp_path)
    made.start()
    try:
        await made.wait_ready()
        yield made
    finally:
        made.stop()


@pytest.fixture
async def client(etcd: EtcdSet) -> AsyncIterator[EtcdClient]:
    made = etcd.client()
    yield made
    await made.close()


async def gone(keys: EtcdKeys) -> None:
    async with asyncio.timeout(60):
        while (await keys.view(PATIENT_S)).leader is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def patient_read(client: EtcdClient) -> bytes:
    """What is below ``/t/x``, however long an election takes."""
    async with asyncio.timeout(90):
        while True:
            try:
                return (await client.read("/t/", PATIENT_S)).keys["x"].value
            except ProntuarioError:
                continue


async def test_a_transaction_counts_only_when_its_comparison_holds(client: EtcdClient) -> None:
    assert (await client.txn([equals("/t/k", create_revision=0)], [put("/t/k", b"1")], deadline_s=PATIENT_S))[0]
    assert not (await client.txn([equals("/t/k", create_revision=0)], [put("/t/k", b"2")], deadline_s=PATIENT_S))[0]
    seen = await client.read("/t/", PATIENT_S)
    assert seen.keys["k"].value == b"1"
    assert seen.keys["k"].lease == 0
    assert (await client.txn([equals("/t/k", mod_revision=seen.keys["k"].mod_revision)], [delete("/t/k")]))[0]
    assert (await client.read("/t/", PATIENT_S)).keys == {}


async def test_of_many_candidates_exactly_one_takes_the_lead(client: EtcdClient) -> None:
    keys = EtcdKeys(client)
    assert await keys.initialise("a")
    assert await keys.initialise("a"), "the same node may repeat it"
    assert not await keys.initialise("b")
    seen = await keys.view(PATIENT_S)
    leases = [await client.grant(60, PATIENT_S) for _ in range(6)]
    won = await asyncio.gather(*(keys.take_lead(seen, f"n{i}", lease, "") for i, lease in enumerate(leases)))
    assert sorted(epoch for epoch in won if epoch is not None) == [1]
    view = await keys.view(PATIENT_S)
    assert view.epoch == 1
    assert view.leader is not None
    assert view.leader.node == f"n{won.index(1)}"
    await client.revoke(view.leader.lease, PATIENT_S)
    await gone(keys)
    stale = await keys.take_lead(seen, "late", leases[0], "")
    assert stale is None, "what was seen before another epoch must not count"
    assert await keys.take_lead(await keys.view(PATIENT_S), "next", leases[(won.index(1) + 1) % 6], "") == 2


async def test_a_lease_lives_while_it_is_kept_and_takes_its_key_along(client: EtcdClient) -> None:
    keys, clock = EtcdKeys(client), LeaseClock()
    await keys.initialise("a")
    keeper = LeaseKeeper(client, clock, ttl_s=5)
    lease = await keeper.obtain()
    epoch = await keys.take_lead(await keys.view(PATIENT_S), "a", lease, "")
    assert epoch == 1
    keeper.lead(epoch)
    first = keeper.view()
    assert first is not None
    async with asyncio.timeout(60):
        while (now := keeper.view()) is not None and now.expires == first.expires:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert keeper.valid()
    abandoned = keeper.drop()
    assert abandoned == lease
    assert keeper.view() is None
    assert not keeper.valid()
    await gone(keys)
    assert not await client.keep_alive(lease, PATIENT_S)


async def test_a_member_that_dies_or_hangs_is_passed_over(etcd: EtcdSet, client: EtcdClient) -> None:
    await client.txn([], [put("/t/x", b"kept")], deadline_s=PATIENT_S)
    etcd.kill("a", signal.SIGSTOP)
    try:
        assert await patient_read(client) == b"kept"
    finally:
        etcd.kill("a", signal.SIGCONT)
    etcd.kill("a")
    assert await patient_read(client) == b"kept"
    etcd.kill("b")
    with pytest.raises(ProntuarioError) as caught:
        await client.read("/t/", 2.5)
    assert caught.value.kind is NO_QUORUM
    etcd.start("a", "b")
    await etcd.wait_ready()
    assert await patient_read(client) == b"kept"


async def test_a_stranger_without_our_certificate_gets_nothing(etcd: EtcdSet, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = make_tls(tmp_path / "other", "stranger")
    context = etcd.members["a"].tls.client_context()  # type: ignore[union-attr]
    context.load_cert_chain(stranger.certificate, stranger.key)
    wire = HttpWire(etcd.members["a"].client_url, context)
    with pytest.raises((OSError, EOFError)):
        await wire.post("/v3/maintenance/status", {})
    await wire.close()


async def test_the_sync_key_is_written_only_by_who_leads(client: EtcdClient) -> None:
    keys, clock = EtcdKeys(client), LeaseClock()
    await keys.initialise("a")
    keeper = LeaseKeeper(client, clock, ttl_s=30)
    sync = EtcdSync(keys, keeper, "a", "b", clock)
    with pytest.raises(ProntuarioError) as caught:
        await sync.mark_out_of_sync()
    assert caught.value.kind is READ_ONLY
    lease = await keeper.obtain()
    assert await keys.take_lead(await keys.view(PATIENT_S), "a", lease, "") == 1
    keeper.lead(1)
    with pytest.raises(ProntuarioError):
        await sync.mark_in_sync()  # the epoch is not claimed yet
    assert sync.peer_in_sync, "unknown counts as named"
    await sync.claim(1, Position(0, 7))
    assert not sync.peer_in_sync
    await keys.ask("lost", Request("b", "ana", "", 1))
    await sync.mark_in_sync()
    assert sync.peer_in_sync
    view = await keys.view(PATIENT_S)
    assert view.lost is None, "a node in sync is not lost"
    assert view.sync is not None
    assert (view.sync.epoch, view.sync.holders, view.sync.base) == (1, ("a", "b"), Position(0, 7))
    late = Sync(1, ("a",), Position(0, 7), view.sync.revision - 1)
    assert await keys.write_sync(lease, late) is None, "an older request must not be applied any more"
    revision = view.sync.revision
    await sync.mark_in_sync()
    again = (await keys.view(PATIENT_S)).sync
    assert again is not None
    assert again.revision > revision, "even an unchanged mark makes older requests void"
    await keeper.release()
    with pytest.raises(ProntuarioError):
        await sync.mark_out_of_sync()


async def test_etcds_leader_moves_away_from_the_active_node(etcd: EtcdSet) -> None:
    client = etcd.client("a")
    try:
        members = await client.members(PATIENT_S)
        leader = next(member for member in members if member.id == member.leader)
        name = next(n for n, member in etcd.members.items() if member.client_url == leader.endpoint)
    finally:
        await client.close()
    active = etcd.client(name)
    try:
        voters = Voters(active, 3)
        async with asyncio.timeout(60):
            while voters.healthy < 3:
                await voters.look(leads=True)
        async with asyncio.timeout(60):
            while (now := await active.members(PATIENT_S))[0].leader in {None, leader.id}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert now[0].leader != now[0].id
    finally:
        await active.close()


async def test_requests_and_drills_are_kept_until_forgotten(client: EtcdClient) -> None:
    keys = EtcdKeys(client)
    order = Request("b", "ana", "2026-01-01T00:00:00.000Z", 3)
    await keys.ask("handover", order)
    await keys.record_drill(Drill("2026-01-02T00:00:00.000Z", 1.2, ok=True))
    view = await keys.view(PATIENT_S)
    assert view.handover == order
    assert view.drill is not None
    assert view.drill.outage_s == pytest.approx(1.2)
    await keys.forget("handover")
    assert (await keys.view(PATIENT_S)).handover is None
