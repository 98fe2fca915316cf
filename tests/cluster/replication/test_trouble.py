"""What a primary does when its epoch can't be copied whole, when it is on its way out, and when two marks meet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.cluster.ltx import LtxFile, level_folder
from appliance.cluster.model import Position
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.shipper import SPOOL_HOLE, Shipper
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.node_authority import NodeFiles, client_side
from tests.cluster.replication.conftest import Maker, paired, until
from tests.cluster.replication.nodes import Standby


def ltx_body(txid: int, filling: bytes = b"pages") -> bytes:
    """What the receiver takes for the file of that TXID."""
    return b"LTX1" + bytes(12) + txid.to_bytes(8, "big") + txid.to_bytes(8, "big") + bytes(80) + filling


def spool_file(folder: Path, txid: int) -> None:
    path = LtxFile(txid, txid, 0).path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ltx_body(txid))


@pytest.fixture
async def lone_shipper(tmp_path: Path, r_certificates: dict[str, NodeFiles]) -> AsyncIterator[tuple[Shipper, Standby]]:
    """Ships a spool that the test fills by hand: epoch 1, no Litestream."""
    standby = Standby(tmp_path / "b", r_certificates)
    await standby.receiver.fence(1)
    await standby.start()
    link = PeerLink("127.0.0.1", standby.port, client_side(r_certificates["a"]), name="b")
    shipper = Shipper(1, tmp_path / "spool", tmp_path / "working", link, node="a", hole_s=0.5)
    link.start()
    shipper.start()
    yield shipper, standby
    await shipper.close()
    await link.close()
    await standby.stop()


async def test_a_hole_in_the_spool_is_told_until_something_closes_it(
    lone_shipper: tuple[Shipper, Standby], tmp_path: Path
) -> None:
    shipper, standby = lone_shipper
    for txid in (1, 2, 4, 5):
        spool_file(tmp_path / "spool", txid)
    await until(lambda: shipper.trouble == SPOOL_HOLE)
    assert shipper.held == standby.receiver.position == Position(1, 2), "never past the hole"
    assert not shipper.caught_up
    await standby.stop()
    await standby.start()
    await until(lambda: shipper.held == Position(1, 2))
    assert shipper.trouble == SPOOL_HOLE, "a greeting does not mend it"
    spool_file(tmp_path / "spool", 3)
    await until(lambda: shipper.caught_up)
    assert shipper.trouble is None
    assert shipper.held == Position(1, 5)


async def test_another_body_under_a_name_that_is_taken_stays_a_trouble(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.5)
    await paired(primary)
    await primary.write(1)
    foreign = LtxFile(standby.receiver.position.txid + 1, standby.receiver.position.txid + 1, 0)
    (level_folder(standby.receiver.folder, 0) / foreign.name).write_bytes(b"not what the primary will send")
    await until(lambda: primary.shipper.held is not None and primary.shipper.held.txid >= foreign.last)
    await standby.stop()
    (level_folder(standby.receiver.folder, 0) / foreign.name).rename(standby.receiver.folder / "kept")
    await standby.start()
    await until(lambda: primary.shipper.held is not None and primary.shipper.held.txid < foreign.last)
    (standby.receiver.folder / "kept").rename(level_folder(standby.receiver.folder, 0) / foreign.name)
    await primary.write(2)
    await until(lambda: primary.shipper.trouble == "cluster.other_body")
    await until(lambda: primary.barrier.mode == "degraded")  # without waiting for a writer's deadline
    await primary.write(3)
    assert primary.log[-1] == "acknowledged 3 alone"
    assert primary.shipper.trouble == "cluster.other_body", "a greeting does not mend it"


async def test_whoever_is_leaving_never_takes_the_peer_out_of_the_key(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.2)
    await paired(primary)
    primary.barrier.leave()
    await standby.stop()
    with pytest.raises(ProntuarioError) as caught:
        await primary.write(1)
    assert caught.value.kind.code == "store.unconfirmed"
    assert "out" not in primary.log
    assert primary.sync.peer_in_sync
    await standby.start()
    await primary.write(2)
    assert primary.log[-1] == "acknowledged 2 by both"
    primary.barrier.stay()
    await standby.stop()
    await primary.write(3)
    assert primary.log[-2:] == ["out", "acknowledged 3 alone"]


async def test_a_slow_peer_gets_its_time_from_whoever_is_leaving(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.2)
    await paired(primary)
    await standby.stop()
    writing = asyncio.create_task(primary.write(1))
    await asyncio.sleep(0.05)
    primary.barrier.leave()  # with a write under way
    await asyncio.sleep(0.5)
    await standby.start()
    await writing
    assert primary.log[-1] == "acknowledged 1 by both"
    assert "out" not in primary.log


async def test_a_primary_alone_names_its_peer_before_it_leaves(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.3)
    await paired(primary)
    await standby.stop()
    await primary.write(1)
    assert primary.barrier.mode == "degraded"
    primary.barrier.leave()
    with pytest.raises(ProntuarioError):
        await primary.barrier.name_peer()
    assert primary.barrier.waits_for_peer, "from now on every write waits for the peer: it may have been named"
    await standby.start()
    await until(lambda: primary.shipper.caught_up)
    await primary.barrier.name_peer()
    assert primary.sync.peer_in_sync
    assert primary.log[-1] == "in"


async def test_a_mark_that_is_under_way_and_one_that_says_the_opposite_do_not_pass_each_other(make_pair: Maker) -> None:
    """The peer is about to be named while a write gives it up: whoever comes second draws the consequence."""
    primary, _ = await make_pair()
    await paired(primary)
    slow = asyncio.Event()
    real = primary.sync._mark

    async def mark(word: str, *, named: bool) -> None:
        if word == "out":
            await slow.wait()
        await real(word, named=named)

    primary.sync._mark = mark  # type: ignore[method-assign]
    giving_up = asyncio.create_task(primary.barrier.peer_failed())
    await asyncio.sleep(0.05)
    primary.sync.peer_in_sync = False  # what an operator's mark-lost does: the watch wants to name it again
    await asyncio.sleep(1.0)
    slow.set()
    await giving_up
    for n in range(5):
        await primary.write(n)
    words = [line for line in primary.log if line in {"in", "out"} or "alone" in line]
    named = False
    for word in words:
        named = {"in": True, "out": False}.get(word, named)
        assert not (named and "alone" in word), f"acknowledged alone while the peer was named: {words}"


async def test_a_mark_whose_fate_is_unknown_is_made_again(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.3)
    await paired(primary)
    await standby.stop()
    await primary.write(1)
    primary.sync.cut = True
    await standby.start()
    await until(lambda: "in failed" in primary.log)
    assert not primary.barrier._alone, "the key may name the peer"
    primary.sync.cut = False
    await until(lambda: primary.log[-1] == "in")
    assert primary.sync.peer_in_sync


async def test_txids_that_begin_anew_are_never_taken_for_held(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.5)
    await paired(primary)
    for n in range(5):
        await primary.write(n)
    before = standby.receiver.position
    real = primary.litestream.barrier.sync

    async def anew() -> int:
        await real()
        return 1

    primary.litestream.barrier.sync = anew  # type: ignore[method-assign]
    with pytest.raises(ProntuarioError) as caught:
        await primary.write(5)
    assert caught.value.kind.code == "store.unconfirmed"
    assert primary.shipper.trouble == "cluster.other_body"
    assert standby.receiver.position >= before
