"""A node that received a history and took over with it: what a returning old primary compares itself with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.cluster.model import Position
from appliance.config import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.pair import fence_image
from appliance.daemon.pair.fence_image import FenceImages
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.migrate import Migration

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


async def make_leader(home: Path) -> Leader:
    """Five things were written in ``EPOCH``; ``home`` has the history and the database."""
    paths = Paths(home)
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
