"""The record open for writing in one epoch: Litestream on the epoch's own path, the shipper, the barrier of the pair."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from appliance.cluster.blob_shipping import BlobShipping
from appliance.cluster.file_sync import Digests, send_folder
from appliance.cluster.hands import SyncAuthority
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.level_mirror import LevelMirror
from appliance.cluster.ltx import forget_litestream, working_folder
from appliance.cluster.model import LeaseView, Position
from appliance.cluster.paired_barrier import PairedBarrier
from appliance.cluster.replication_errors import PEER_AWAY
from appliance.cluster.shipper import HOPELESS, Shipper
from appliance.config import Config, Paths
from appliance.daemon.pair.neighbour import MODELS, Neighbour
from appliance.operations.packs.shelf import Shelf
from appliance.operations.packs.travelling import as_signed
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.blobs import BlobStore
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("pair")
MODELS_EVERY_S: Final = 60.0
QUIESCE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What every reign of this node stands on."""

    paths: Paths
    config: Config
    metrics: Metrics
    neighbour: Neighbour
    blobs: BlobStore
    lease: Callable[[], LeaseView | None]
    sync: Callable[[], SyncAuthority]


class Primacy:
    """Made by ``open``; ``close`` it. ``database`` takes writes as long as the lease lasts."""

    def __init__(self, ground: Ground, epoch: int) -> None:
        self.epoch = epoch
        self._ground = ground
        self._stack = AsyncExitStack()
        paths, config, neighbour = ground.paths, ground.config, ground.neighbour
        spool: Path = paths.replica(epoch)
        self._litestream = Litestream(
            paths.database, spool, paths.run, log_file=paths.logs / "litestream.log", metrics=ground.metrics
        )
        self.shipper = Shipper(epoch, spool, working_folder(paths.database), neighbour.link, node=config.cluster.node)
        self._mirror = LevelMirror(epoch, spool, neighbour.bulk)
        self.barrier = PairedBarrier(
            self._litestream.barrier,
            self.shipper,
            lease=ground.lease,
            sync=ground.sync(),
            clock=LeaseClock(),
            ship_deadline_s=config.cluster.ship_deadline_s,
            catch_up=self._catch_up,
        )
        self._shipping = BlobShipping(
            epoch, paths.blobs, neighbour.bulk, self.barrier, ship_deadline_s=config.cluster.ship_deadline_s
        )
        self._database: Database | None = None
        self._models: asyncio.Task[None] | None = None
        self.models_copied = False
        """Whether the peer is known to have this node's model packs."""

    @property
    def database(self) -> Database:
        """The open database."""
        assert self._database is not None, "not open"  # noqa: S101
        return self._database

    @property
    def litestream(self) -> Litestream:
        """What replicates it."""
        return self._litestream

    @property
    def position(self) -> Position:
        """What this node has written in this epoch, as far as it became an LTX file."""
        return Position(self.epoch, self.shipper.local)

    @property
    def trouble(self) -> str:
        """Why the peer can never hold all of this epoch; empty: nothing is known that would keep it from that."""
        trouble = self.shipper.trouble
        return trouble if trouble is not None and trouble in HOPELESS else ""

    async def open(self) -> None:
        """Open the database that lies in its place; its TXIDs begin at 1 again, with a whole image.

        Raises:
            ProntuarioError: a part could not be opened; nothing is left open then.
        """
        paths, config = self._ground.paths, self._ground.config
        try:
            await to_the_end(_prepare, paths, self.epoch)
            self._stack.push_async_callback(self._litestream.stop)
            if not paths.database.exists():  # the pair's very first record: Litestream wants to find one
                await (await Database.open(paths.database, config.store)).close()
            # Litestream takes as long to start as the database to open: side by side.
            starting = asyncio.create_task(self._litestream.start(), name="litestream starts")
            self._stack.push_async_callback(_end, starting)
            self._database = await Database.open(
                paths.database, config.store, barrier=self.barrier, metrics=self._ground.metrics
            )
            self.barrier.count_with(lambda: self.database.changes_committed)
            self._stack.push_async_callback(self._mirror.close)
            self._stack.push_async_callback(self.shipper.close)
            self._stack.push_async_callback(self.barrier.close)
            self._stack.push_async_callback(self._database.close)
            await starting
            self.shipper.start()
            self._mirror.start()
            self.barrier.start()
        except BaseException:
            await self.close()
            raise
        self._ground.blobs.other = self._shipping
        self._models = asyncio.create_task(self._copy_models(), name="models to the peer")

    async def close(self) -> None:
        """Answer who waits, then close everything in the reverse order. Safe to call twice."""
        self._ground.blobs.other = None
        if self._models is not None:
            self._models.cancel()
            await asyncio.wait({self._models})
            self._models = None
        await self._stack.aclose()

    async def everything_held(self) -> Position:
        """Return once the peer holds all that was committed before this call, and the sync key names it.

        Raises:
            ProntuarioError: ``cluster.peer_away``: not within ``QUIESCE_S``; ``cluster.read_only``: the key is out of reach.
        """
        try:
            async with asyncio.timeout(QUIESCE_S):  # a full disk: Litestream would be asked for ever
                txid = await self._litestream.barrier.sync()
        except TimeoutError:
            raise PEER_AWAY(retry_after=1.0) from None
        await self.shipper.wait_held(txid, QUIESCE_S)
        await self.barrier.name_peer()
        return Position(self.epoch, txid)

    async def _catch_up(self) -> None:
        await self._shipping.catch_up()

    async def _copy_models(self) -> None:
        """Model packs follow the record: the other node must be able to do the same work."""
        digests, bulk, paths = Digests(), self._ground.neighbour.bulk, self._ground.paths
        fit = partial(as_signed, Shelf(paths.models, paths.pack_keys))
        while True:
            try:
                await bulk.wait_up()
                await send_folder(bulk, self.epoch, MODELS, paths.models, digests, choose=fit)
                self.models_copied = True
            except (ProntuarioError, OSError) as error:
                code = error.kind.code if isinstance(error, ProntuarioError) else "os"
                log.info("model packs wait for the peer", code=code)
            await asyncio.sleep(MODELS_EVERY_S)


async def _end(starting: asyncio.Task[None]) -> None:
    """Its failure was told where it was awaited, or something worse was."""
    starting.cancel()
    await asyncio.wait({starting})


def _prepare(paths: Paths, epoch: int) -> None:
    """The epoch's path is empty (an attempt of this very epoch that failed acknowledged nothing) and Litestream begins anew."""
    shutil.rmtree(paths.replica(epoch), ignore_errors=True)
    forget_litestream(paths.database)
