"""The warm copy as the record-to-be: everything that was received, or a refusal, or, on an operator's order, what there is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.cluster.ltx import LEVELS, listing
from appliance.cluster.model import NOTHING, Position
from appliance.cluster.receiver import Receiver
from appliance.config import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.pair.following import KEPT_EPOCHS, Following
from appliance.daemon.pair.reign import Reign
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.migrate import Migration
from appliance.store.sqlite import inspect

THING = Migration(1, "thing", "CREATE TABLE thing (id INTEGER PRIMARY KEY) STRICT;")
ROWS = 6
LOSS_DRAIN_S = 4.0
"""Enough for a copy of six rows to come as far as it can."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    return paths


async def receive(paths: Paths, epoch: int, far: Path) -> list[int]:
    """What a primary of ``epoch`` would have sent: ``ROWS`` rows, one a TXID; the TXID that covers each row."""
    far.mkdir(parents=True)
    litestream = Litestream(far / "record.sqlite", paths.replica(epoch), far / "run", log_file=far / "litestream.log")
    database = await Database.open(
        far / "record.sqlite", StoreConfig(barrier_timeout_s=90), barrier=litestream.barrier, migrations=[THING]
    )
    await litestream.start()
    covered: list[int] = []
    for number in range(ROWS):

        def insert(tx: Transaction, number: int = number) -> None:
            tx.execute("INSERT INTO thing (id) VALUES (?)", (number,))

        await database.write(insert)
        covered.append(await litestream.barrier.sync())
    await database.close()
    await litestream.stop()
    return covered


def things(query: Query) -> list[int]:
    return [int(row["id"]) for row in query.all("SELECT id FROM thing ORDER BY id")]


def lose(replica: Path, txid: int) -> None:
    """Every file that holds ``txid``."""
    for file in listing(replica, LEVELS):
        if file.first <= txid <= file.last:
            file.path(replica).unlink()


async def made(paths: Paths, epoch: int) -> Following:
    receiver = Receiver(paths.replicas)
    if receiver.epoch < epoch:
        await receiver.fence(epoch)
    await receiver.look()
    return Following(paths, receiver, Reign(paths), loss_drain_s=LOSS_DRAIN_S)


async def test_everything_received_becomes_a_checked_database(paths: Paths, tmp_path: Path) -> None:
    covered = await receive(paths, 3, tmp_path / "far")
    following = await made(paths, 3)
    await following.follow(3)
    await following.follow(3)
    follower = following.follower
    assert follower is not None
    path, position = await following.finish()
    assert position.epoch == 3
    assert position.txid >= covered[-1]
    assert inspect(path, things) == list(range(ROWS))
    assert following.follower is None
    assert (await following.health()).status == "not_configured"


async def test_a_file_missing_below_others_is_a_failure_until_an_operator_takes_what_there_is(
    paths: Paths, tmp_path: Path
) -> None:
    covered = await receive(paths, 3, tmp_path / "far")
    lost = 3
    lose(paths.replica(3), covered[lost])
    following = await made(paths, 3)
    await following.follow(3)
    try:
        with pytest.raises(ProntuarioError) as caught:
            await following.finish()
        assert caught.value.kind.code == "cluster.not_drained"
        assert caught.value.details["wanted"] == covered[-1]
        assert following.follower is not None, "it goes on following: the file may still come"
        path, position = await following.finish(accept_loss=True)
        assert position == Position(3, covered[lost] - 1)
        assert inspect(path, things) == list(range(lost))
    finally:
        await following.stop()


async def test_a_hole_that_the_warm_copy_has_passed_already_costs_nothing(paths: Paths, tmp_path: Path) -> None:
    covered = await receive(paths, 3, tmp_path / "far")
    following = await made(paths, 3)
    await following.follow(3)
    follower = following.follower
    assert follower is not None
    async with asyncio.timeout(90):
        while follower.at < following.held.txid:  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(0.02)
    whole = following.held
    await following.stop()
    lose(paths.replica(3), covered[2])
    again = await made(paths, 3)
    assert again.held < whole
    try:
        await again.follow(3)
        path, position = await again.finish()
        assert position == whole
        assert inspect(path, things) == list(range(ROWS))
    finally:
        await again.stop()


async def test_what_was_held_before_the_fence_can_still_be_opened(paths: Paths, tmp_path: Path) -> None:
    await receive(paths, 3, tmp_path / "far")
    receiver = Receiver(paths.replicas)
    await receiver.fence(3)
    await receiver.look()
    following = Following(paths, receiver, Reign(paths))
    before = following.held
    following.keep_in_mind()
    await receiver.fence(4)
    assert following.held == before, "the new epoch has no image yet"
    restarted = Following(paths, Receiver(paths.replicas), Reign(paths))
    assert restarted.held == before
    path, position = await restarted.finish()
    assert position == before
    assert inspect(path, things) == list(range(ROWS))


async def test_an_own_record_stands_where_its_spool_ends(paths: Paths, tmp_path: Path) -> None:
    following = await made(paths, 1)
    assert following.own() == NOTHING
    reign = Reign(paths)
    reign.begin(2)
    paths.database.touch()
    covered = await receive(paths, 2, tmp_path / "far")
    own = Following(paths, Receiver(paths.replicas), Reign(paths)).own()
    assert own == Position(2, max(file.last for file in listing(paths.replica(2))))
    assert own.txid >= covered[-1]


async def test_files_of_long_gone_epochs_go_and_the_last_ones_stay(paths: Paths, tmp_path: Path) -> None:
    newest = 9
    await receive(paths, newest, tmp_path / "far")
    for epoch in range(1, newest):
        (paths.replica(epoch) / "ltx").mkdir(parents=True)
    following = await made(paths, newest)
    await following.follow(newest)
    await following.stop()
    left = sorted(int(path.name) for path in paths.replicas.glob("[0-9]" * 8))
    assert left == list(range(newest - KEPT_EPOCHS, newest + 1))
