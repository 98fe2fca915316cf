"""The two halves of a pair for benches, out of the appliance's own parts: real Litestream, real TLS, no roles and no etcd.

The sync key changes only when the mode does, so a key in memory does not flatter a healthy pair.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from appliance.cluster.follow import Follower
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.level_mirror import LevelMirror
from appliance.cluster.ltx import working_folder
from appliance.cluster.model import LeaseView
from appliance.cluster.paired_barrier import PairedBarrier
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_server import PeerServer
from appliance.cluster.receiver import Receiver
from appliance.cluster.shipper import Shipper
from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.security.node_authority import NodeFiles, client_side, prepare_node, server_side
from appliance.store.database import Database
from appliance.store.litestream import Litestream

FOR_EVER = 1e12


def certificates(folder: Path) -> tuple[NodeFiles, NodeFiles]:
    """Those of ``a`` and ``b``."""
    now = datetime.now(UTC)
    first, second = (prepare_node(folder, [name], now, file_name=name) for name in ("a", "b"))
    return first, second


class SyncKey:
    """The sync key in memory. ``turns`` counts how often the pair fell apart: 0 in a good run."""

    def __init__(self) -> None:
        self.peer_in_sync = False
        self.turns = 0

    async def mark_out_of_sync(self) -> None:
        """At once."""
        self.peer_in_sync = False
        self.turns += 1

    async def mark_in_sync(self) -> None:
        """At once."""
        self.peer_in_sync = True


@dataclass
class Times:
    """Seconds that confirmations took, in all and of that waiting for the peer."""

    confirm: list[float] = field(default_factory=list)
    ship: list[float] = field(default_factory=list)

    def clear(self) -> None:
        """Begin a new measurement."""
        self.confirm.clear()
        self.ship.clear()


class TimedShipper(Shipper):
    """Notes how long the peer lets us wait."""

    times: Times

    async def wait_held(self, txid: int, deadline_s: float) -> None:
        """As the shipper does."""
        began = time.perf_counter()
        await super().wait_held(txid, deadline_s)
        self.times.ship.append(time.perf_counter() - began)


class TimedBarrier(PairedBarrier):
    """Notes how long a group waits at the barrier."""

    times: Times

    async def confirm(self) -> None:
        """As the barrier does."""
        began = time.perf_counter()
        await super().confirm()
        self.times.confirm.append(time.perf_counter() - began)


class Primary:
    """Node ``a`` in ``epoch``, shipping to ``port`` on loopback."""

    def __init__(self, home: Path, mine: NodeFiles, port: int, epoch: int = 1, *, ship_deadline_s: float = 5.0) -> None:
        self.paths = Paths(home)
        database, spool = self.paths.database, self.paths.replica(epoch)
        spool.parent.mkdir(parents=True, exist_ok=True)
        self.times, self.sync = Times(), SyncKey()
        self._litestream = Litestream(database, spool, home / "run")
        context = client_side(mine)
        self._links = [PeerLink("127.0.0.1", port, context, name="b") for _ in range(2)]
        self._shipper = TimedShipper(epoch, spool, working_folder(database), self._links[0], node="a")
        self._shipper.times = self.times
        self._mirror = LevelMirror(epoch, spool, self._links[1])
        self.barrier = TimedBarrier(
            self._litestream.barrier,
            self._shipper,
            lease=lambda: LeaseView(epoch, FOR_EVER),
            sync=self.sync,
            clock=LeaseClock(),
            ship_deadline_s=ship_deadline_s,
        )
        self.barrier.times = self.times
        self._spool = spool

    async def start(self, stack: AsyncExitStack) -> Database:
        """Open the record and begin to ship; closed in the right order by ``stack``."""
        database = await Database.open(self.paths.database, StoreConfig(), barrier=self.barrier)
        self.barrier.count_with(lambda: database.changes_committed)
        await self._litestream.start()
        for link in self._links:
            link.start()
        self._shipper.start()
        self._mirror.start()
        self.barrier.start()
        closing = [link.close for link in self._links]
        closing += [self._litestream.stop, self._mirror.close, self._shipper.close, self.barrier.close]
        for close in closing:
            stack.push_async_callback(close)
        stack.push_async_callback(database.close)
        return database

    async def paired(self, limit_s: float = 120.0) -> None:
        """Wait until acknowledged means on both. Raises ``TimeoutError``."""
        async with asyncio.timeout(limit_s):
            while self.barrier.mode != "paired" or not self.sync.peer_in_sync:  # noqa: ASYNC110  nothing tells it
                await asyncio.sleep(0.05)

    @property
    def position(self) -> int:
        """The highest TXID known here."""
        return self._shipper.local

    def level_0_files(self) -> int:
        """How many files of level 0 the spool keeps: they must not pile up."""
        return sum(1 for _ in (self._spool / "ltx" / "0").glob("*.ltx"))


class Standby:
    """Node ``b``: a receiver behind real TLS and the warm copy that follows it."""

    def __init__(self, home: Path, mine: NodeFiles, epoch: int = 1) -> None:
        self.paths = Paths(home)
        for folder in (self.paths.replicas, self.paths.warm_copies):
            folder.mkdir(parents=True, exist_ok=True)
        self.receiver = Receiver(self.paths.replicas)
        self.server = PeerServer("127.0.0.1", 0, server_side(mine), self.receiver.handlers())
        self._epoch = epoch
        self.follower: Follower | None = None

    async def start(self, stack: AsyncExitStack) -> int:
        """Receive and follow; the port."""
        await self.receiver.fence(self._epoch)
        await self.server.start()
        stack.push_async_callback(self.server.close)
        held = self.receiver
        follower = Follower(held.folder, self.paths.warm_copies / f"{self._epoch:08d}", lambda: held.position.txid)
        await follower.start()
        stack.push_async_callback(follower.close)
        self.follower = follower
        return self.server.port
