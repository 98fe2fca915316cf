"""One epoch of a record that is open for writing: what it sends, what it promises, and that it leaves nothing open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cluster.ltx import listing, reach
from appliance.daemon.pair.primacy import Primacy
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from tests.unit.daemon.pair.two_nodes import Node, founded, make_node, read_vows, until

EPOCH = 4


@dataclass
class Reigning:
    primacy: Primacy
    a: Node
    b: Node

    async def open(self) -> None:
        await self.primacy.open()
        await self.b.neighbour.receiver.fence(EPOCH)

    async def write(self, name: str) -> None:
        def change(tx: Transaction) -> None:
            tx.execute("CREATE TABLE IF NOT EXISTS store_vow (name TEXT PRIMARY KEY) STRICT")
            tx.execute("INSERT INTO store_vow (name) VALUES (?)", (name,))

        await self.primacy.database.write(change)


@pytest.fixture
async def reigning(tmp_path: Path) -> AsyncIterator[Reigning]:
    first, second = await founded(tmp_path)
    async with AsyncExitStack() as stack:
        a, b = await make_node(stack, first), await make_node(stack, second)
        a.lead(EPOCH)
        primacy = Primacy(a.ground, EPOCH)
        stack.push_async_callback(primacy.close)
        yield Reigning(primacy, a, b)


async def test_the_peer_holds_all_that_was_acknowledged_before_a_handover(reigning: Reigning) -> None:
    await reigning.open()
    await until(lambda: reigning.a.key.peer_in_sync)
    for name in ("one", "two"):
        await reigning.write(name)
    assert reigning.primacy.barrier.mode == "paired"
    position = await reigning.primacy.everything_held()
    assert position == reigning.primacy.position
    assert (await reigning.b.neighbour.receiver.look()) == position
    assert reach(listing(reigning.a.paths.replica(EPOCH))) <= position.txid
    assert reigning.primacy.trouble == ""


async def test_a_handover_names_the_peer_in_the_key_even_if_it_was_out_of_sync(reigning: Reigning) -> None:
    await reigning.primacy.open()
    reigning.a.key.cut = True  # the peer holds everything, but nobody could be told
    await reigning.b.neighbour.receiver.fence(EPOCH)
    await reigning.write("alone")
    with pytest.raises(ProntuarioError):
        await reigning.primacy.everything_held()
    assert reigning.a.key.asked == []
    reigning.a.key.cut = False
    await until(lambda: reigning.primacy.shipper.caught_up)
    await reigning.primacy.everything_held()
    assert reigning.a.key.asked[-1] == "in"


async def test_without_the_peer_nothing_is_promised(reigning: Reigning) -> None:
    await reigning.primacy.open()  # the peer's fence is lower: it takes nothing of this epoch
    await reigning.write("alone")
    with pytest.raises(ProntuarioError, match=r"cluster\.peer_away"):
        await reigning.primacy.everything_held()
    assert reigning.primacy.barrier.mode == "degraded"
    assert reigning.primacy.barrier.unreplicated_rows > 0


async def test_an_epoch_begins_with_an_empty_path_and_a_closed_one_leaves_nothing_open(reigning: Reigning) -> None:
    paths = reigning.a.paths
    stray = paths.replica(EPOCH) / "ltx" / "0" / "left-by-an-attempt-that-failed"
    stray.parent.mkdir(parents=True)
    stray.touch()
    await reigning.open()
    assert not stray.exists()
    await reigning.write("kept")
    assert reigning.a.ground.blobs.other is not None
    await reigning.primacy.close()
    await reigning.primacy.close()
    assert reigning.a.ground.blobs.other is None
    again = Primacy(reigning.a.ground, EPOCH + 1)
    reigning.a.lead(EPOCH + 1)
    await again.open()  # nothing of the first one holds the database or Litestream's lock
    try:
        assert await again.database.read(read_vows) == ["kept"]
        assert again.position.epoch == EPOCH + 1
    finally:
        await again.close()


async def test_a_record_that_can_not_be_opened_leaves_nothing_open(reigning: Reigning) -> None:
    database = reigning.a.paths.database
    whole = database.read_bytes()
    database.write_bytes(b"no database at all" * 1000)
    with pytest.raises(Exception, match=r"."):  # SQLite's own, or the store's
        await reigning.primacy.open()
    assert reigning.a.ground.blobs.other is None
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    database.write_bytes(whole)
    again = Primacy(reigning.a.ground, EPOCH)
    await again.open()
    await again.close()


async def test_model_packs_follow_the_record(reigning: Reigning) -> None:
    pack = reigning.a.paths.models / "speech" / "tiny" / "weights.safetensors"
    pack.parent.mkdir(parents=True, exist_ok=True)
    pack.write_bytes(b"weights" * 1000)
    await reigning.b.neighbour.receiver.fence(EPOCH)
    assert not reigning.primacy.models_copied
    await reigning.primacy.open()
    await until(lambda: reigning.primacy.models_copied)
    arrived = reigning.b.paths.models / pack.relative_to(reigning.a.paths.models)
    assert arrived.read_bytes() == pack.read_bytes()
