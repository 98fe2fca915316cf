"""Primary and standby with real Litestream, real TLS and real SQLite."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.cluster.ltx import level_folder, listing
from appliance.cluster.model import LeaseView, Position
from appliance.cluster.peer_messages import PutLtx
from appliance.plugin_api.errors import ProntuarioError
from tests.cluster.replication.conftest import Maker, paired, until
from tests.cluster.replication.nodes import restored


async def test_what_is_acknowledged_by_both_is_restorable_from_the_standby_alone(
    make_pair: Maker, tmp_path: Path
) -> None:
    primary, standby = await make_pair()
    await primary.write(0)
    assert primary.log == ["acknowledged 0 alone"]  # right after a promotion the key names only this node
    await paired(primary)
    await asyncio.gather(*(primary.write(n) for n in range(1, 60)))
    for n in range(60, 80):
        await primary.write(n)
    assert primary.shipper.held == standby.receiver.position
    assert await restored(standby.receiver.folder, tmp_path / "restored") == set(range(80))
    assert all(line.endswith("by both") for line in primary.log[2:])


async def test_the_mark_is_written_before_the_first_lone_acknowledgement_and_removed_at_equality(
    make_pair: Maker,
) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.5)
    await paired(primary)
    await primary.write(1)
    await standby.stop()
    await primary.write(2)
    await primary.write(3)
    assert primary.log == ["in", "acknowledged 1 by both", "out", "acknowledged 2 alone", "acknowledged 3 alone"]
    assert primary.barrier.unreplicated_rows == 2
    await standby.start()
    await until(lambda: primary.log[-1] == "in")
    assert (primary.barrier.mode, primary.barrier.unreplicated_rows) == ("paired", 0)
    await primary.write(4)
    assert primary.log[-1] == "acknowledged 4 by both"


async def test_it_is_not_called_paired_before_the_key_names_the_peer(make_pair: Maker) -> None:
    """The peer holds everything and is waited for, but were this node to die now, nobody could take over."""
    primary, _ = await make_pair()
    primary.sync.cut = True
    await until(lambda: "in failed" in primary.log)
    await primary.write(1)
    assert not primary.sync.peer_in_sync
    assert primary.barrier.mode == "degraded"
    primary.sync.cut = False
    await paired(primary)
    assert primary.sync.peer_in_sync


async def test_nothing_is_acknowledged_alone_while_the_mark_can_not_be_written(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.3)
    await paired(primary)
    primary.sync.cut = True
    await standby.stop()
    with pytest.raises(ProntuarioError):
        await primary.write(1)
    assert primary.log == ["in", "out failed"]
    assert primary.barrier.mode == "paired"
    await standby.start()
    await until(lambda: primary.shipper.caught_up)
    await primary.write(2)  # with the peer it needs no mark
    assert primary.log[-1] == "acknowledged 2 by both"


async def test_a_lease_that_ends_while_the_peer_writes_is_no_acknowledgement(make_pair: Maker) -> None:
    primary, standby = await make_pair()
    await paired(primary)
    await primary.write(1)
    before = primary.shipper.held
    assert before is not None
    real = standby.receiver._on_put

    async def then_time_passes(put: object) -> object:
        answer = await real(put)  # type: ignore[arg-type]
        primary.clock.now_s = 201.0
        return answer

    assert standby.server is not None
    standby.server.handlers[PutLtx] = then_time_passes  # type: ignore[assignment]
    with pytest.raises(ProntuarioError) as caught:
        await primary.write(2)
    assert caught.value.kind.code == "store.unconfirmed"
    assert standby.receiver.position > before  # it was kept there, but nobody may say so
    assert primary.barrier.mode == "read-only"
    for useless in (None, LeaseView(2, 900.0)):
        primary.lease = useless
        assert primary.barrier.mode == "read-only"
    primary.lease = LeaseView(1, 900.0)
    await primary.write(3)


async def test_a_slow_peer_slows_the_writers_and_loses_nothing(make_pair: Maker) -> None:
    primary, standby = await make_pair()
    await paired(primary)
    real = standby.receiver._on_put
    under_way, most = 0, 0

    async def slowly(put: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return await real(put)  # type: ignore[arg-type]

    assert standby.server is not None
    standby.server.handlers[PutLtx] = slowly  # type: ignore[assignment]

    async def writer(start: int) -> None:
        for n in range(start, start + 10):
            await primary.write(n, "y" * 20_000)

    await asyncio.gather(*(writer(n * 10) for n in range(20)))
    assert most <= 32
    assert sum(line.endswith("by both") for line in primary.log) == 200
    assert "out" not in primary.log


async def test_a_peer_that_was_away_gets_everything_after_its_return(make_pair: Maker, tmp_path: Path) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.3)
    await paired(primary)
    await standby.stop()
    for n in range(40):
        await primary.write(n)
        await asyncio.sleep(0.1)  # Litestream compacts and deletes level 0 meanwhile
    assert len(listing(primary.paths.replica(1), (0,))) < 40
    await standby.start()
    await until(lambda: primary.log[-1] == "in")
    assert await restored(standby.receiver.folder, tmp_path / "restored") == set(range(40))


async def test_a_hole_at_the_receiver_lowers_its_answer_and_is_mended(make_pair: Maker, tmp_path: Path) -> None:
    primary, standby = await make_pair()
    await paired(primary)
    for n in range(30):
        await primary.write(n)
    whole = standby.receiver.position
    for level in (0, 1, 9):
        for path in list(level_folder(standby.receiver.folder, level).glob("*.ltx"))[:2]:
            path.unlink()
    assert await standby.receiver.look() < whole
    await until(lambda: standby.receiver.position >= whole)
    await primary.write(30)
    assert await restored(standby.receiver.folder, tmp_path / "restored") == set(range(31))


async def test_level_0_does_not_pile_up_at_the_receiver(make_pair: Maker, tmp_path: Path) -> None:
    primary, standby = await make_pair()
    await paired(primary)
    n = 0
    while len(listing(standby.receiver.folder, (1,))) < 9:
        await primary.write(n)
        n += 1
        await asyncio.sleep(0.02)
    await until(lambda: primary.mirror.complete)
    assert len(listing(standby.receiver.folder, (0,))) < n
    assert standby.receiver.position == Position(1, primary.shipper.local)
    assert await restored(standby.receiver.folder, tmp_path / "restored") == set(range(n))


async def test_a_fenced_primary_acknowledges_nothing_any_more(make_pair: Maker) -> None:
    primary, standby = await make_pair(ship_deadline_s=0.3)
    await paired(primary)
    await primary.write(1)
    held = standby.receiver.position
    await standby.receiver.fence(2)
    primary.sync.cut = True  # the new primary's epoch made its compare-and-swap fail
    with pytest.raises(ProntuarioError):
        await primary.write(2)
    await until(lambda: primary.shipper.trouble == "cluster.stale_epoch")
    assert "acknowledged 2" not in " ".join(primary.log)
    assert max(file.last for file in listing(standby.paths.replica(1))) <= held.txid
