"""The record as it was at the fence, read over the peer's call in pieces: exactly that, and an error rather than something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.cluster.model import Position
from appliance.cluster.replication_errors import COPY_DAMAGED
from appliance.config import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.pair import fence_image
from appliance.daemon.pair.fence_image import FenceImages, fetch_image
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.migrate import Migration
from appliance.store.sqlite import inspect

THING = Migration(1, "thing", "CREATE TABLE thing (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;")
EPOCH = 3
BODY = bytes(200_000)


@dataclass
class Leader:
    """What a node received in ``EPOCH`` and then took over with: its history ends at ``base``."""

    paths: Paths
    base: Position
    images: FenceImages
    asked: int = 0

    async def ask(self, body: bytes) -> bytes:
        self.asked += 1
        return await self.images.serve(fence_image.READ, body)

    @property
    def left_over(self) -> list[Path]:
        return list((self.paths.home / "data" / "fence").glob("*"))


@pytest.fixture
async def leader(tmp_path: Path) -> Leader:
    paths = Paths(tmp_path / "b")
    paths.database.parent.mkdir(parents=True)
    litestream = Litestream(
        paths.database, paths.replica(EPOCH), paths.home / "run", log_file=paths.home / "litestream.log"
    )
    config = StoreConfig(barrier_timeout_s=60.0)
    async with await Database.open(paths.database, config, barrier=litestream.barrier, migrations=[THING]) as database:
        await litestream.start()
        try:
            for number in range(5):
                await database.write(lambda tx, number=number: put(tx, number))  # type: ignore[misc]
            base = Position(EPOCH, await litestream.barrier.sync())
        finally:
            await litestream.stop()
    return Leader(paths, base, FenceImages(paths))


def put(tx: Transaction, number: int) -> None:
    tx.execute("INSERT INTO thing VALUES (?, ?)", (number, BODY))


def rows(database: Path) -> list[int]:
    def read(query: Query) -> list[int]:
        return [int(str(row["id"])) for row in query.all("SELECT id FROM thing ORDER BY id")]

    return inspect(database, read)


async def test_what_comes_is_the_record_at_the_fence_and_nothing_stays_behind(leader: Leader, tmp_path: Path) -> None:
    image = tmp_path / "fence.sqlite"
    await fetch_image(leader.ask, leader.base, image)
    assert rows(image) == [0, 1, 2, 3, 4]
    assert leader.asked > 2, "it came in pieces"
    assert leader.left_over == []


async def test_an_earlier_fence_has_less(leader: Leader, tmp_path: Path) -> None:
    image = tmp_path / "fence.sqlite"
    await fetch_image(leader.ask, Position(EPOCH, leader.base.txid - 2), image)
    assert rows(image) == [0, 1, 2]


async def test_it_can_be_asked_for_again_after_a_break(leader: Leader, tmp_path: Path) -> None:
    async def breaks(body: bytes) -> bytes:
        if leader.asked == 1:
            raise ConnectionError
        return await leader.ask(body)

    image = tmp_path / "fence.sqlite"
    with pytest.raises(ConnectionError):
        await fetch_image(breaks, leader.base, image)
    await fetch_image(leader.ask, leader.base, image)
    assert rows(image) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("beyond", [Position(EPOCH, 10_000), Position(EPOCH + 1, 1)])
async def test_a_history_that_is_not_here_is_refused(leader: Leader, tmp_path: Path, beyond: Position) -> None:
    for _ in range(2):
        with pytest.raises(ProntuarioError) as caught:
            await fetch_image(leader.ask, beyond, tmp_path / "fence.sqlite")
        assert caught.value.kind is COPY_DAMAGED


async def test_pieces_that_do_not_make_a_database_are_refused(tmp_path: Path) -> None:
    pieces = [b"SQLite format 3\0" + bytes(5000), b""]

    async def ask(_body: bytes) -> bytes:
        return pieces.pop(0)

    with pytest.raises(Exception, match=r"database|copy|malformed|damaged"):
        await fetch_image(ask, Position(1, 1), tmp_path / "fence.sqlite")
