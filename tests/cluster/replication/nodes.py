"""A primary with its real Litestream, and a standby's receiver behind real TLS, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from appliance.cluster.level_mirror import LevelMirror
from appliance.cluster.ltx import working_folder
from appliance.cluster.model import LeaseView
from appliance.cluster.paired_barrier import PairedBarrier
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_server import PeerServer
from appliance.cluster.receiver import Receiver
from appliance.cluster.replication_errors import STALE_EPOCH
from appliance.cluster.shipper import Shipper
from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.security.node_authority import NodeFiles, client_side, server_side
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.litestream_config import program
from appliance.store.migrate import Migration
from appliance.store.sqlite import inspect

THING = Migration(1, "thing", "CREATE TABLE thing (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT;")
PATIENT_S = 60.0


class HandClock:
    """A lease clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def now(self) -> object:
        """Replication must not look at the wall clock: a step of it would bend a lease."""
        raise AssertionError("the wall clock was asked")


class SyncKey:
    """The sync key without etcd: writes down what was asked, in order; may be told to fail."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.peer_in_sync = False
        self.cut = False

    async def mark_out_of_sync(self) -> None:
        await self._mark("out", named=False)

    async def mark_in_sync(self) -> None:
        await self._mark("in", named=True)

    async def _mark(self, word: str, *, named: bool) -> None:
        await asyncio.sleep(0.01)
        if self.cut:
            self.log.append(f"{word} failed")
            raise STALE_EPOCH(epoch=0, fence=0)
        self.peer_in_sync = named
        self.log.append(word)


class Standby:
    """Node ``b``: a receiver behind a server, which may be cut, slowed down and started again."""

    def __init__(self, home: Path, certificates: dict[str, NodeFiles]) -> None:
        self.paths = Paths(home)
        self._certificates = certificates
        self.port = 0
        self.receiver = Receiver(self.paths.replicas)
        self.server: PeerServer | None = None

    async def start(self) -> None:
        self.receiver = Receiver(self.paths.replicas)
        self.server = PeerServer("127.0.0.1", self.port, server_side(self._certificates["b"]), self.receiver.handlers())
        await self.server.start()
        self.port = self.server.port

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()


class Primary:
    """Node ``a``."""

    def __init__(
        self,
        home: Path,
        certificates: dict[str, NodeFiles],
        port: int,
        epoch: int = 1,
        *,
        ship_deadline_s: float = 20.0,
    ) -> None:
        self.paths = Paths(home)
        self.epoch = epoch
        self.log: list[str] = []
        self.sync = SyncKey(self.log)
        self.clock = HandClock()
        self.lease: LeaseView | None = LeaseView(epoch, 200.0)
        database, spool = self.paths.database, self.paths.replica(epoch)
        self.litestream = Litestream(database, spool, home / "run", log_file=home / "litestream.log")
        context = client_side(certificates["a"])
        self.link = PeerLink("127.0.0.1", port, context, name="b")
        self.bulk = PeerLink("127.0.0.1", port, context, name="b")
        self.shipper = Shipper(epoch, spool, working_folder(database), self.link, node="a")
        self.mirror = LevelMirror(epoch, spool, self.bulk)
        self.barrier = PairedBarrier(
            self.litestream.barrier, self.shipper, lease=lambda: self.lease, sync=self.sync, clock=self.clock,  # type: ignore[arg-type]
            ship_deadline_s=ship_deadline_s,
        )  # fmt: skip
        self.database: Database | None = None

    async def start(self, stack: AsyncExitStack) -> None:
        self.database = await Database.open(
            self.paths.database, StoreConfig(barrier_timeout_s=PATIENT_S), barrier=self.barrier, migrations=[THING]
        )
        self.barrier.count_with(lambda: self.database.changes_committed if self.database else 0)
        await self.litestream.start()
        for each in (self.link, self.bulk, self.shipper, self.mirror, self.barrier):
            each.start()
        for close in (
            self.link.close, self.bulk.close, self.litestream.stop, self.mirror.close, self.shipper.close, self.barrier.close,
        ):  # fmt: skip
            stack.push_async_callback(close)
        stack.push_async_callback(self.database.close)

    async def write(self, number: int, body: str = "x") -> None:
        assert self.database is not None

        def change(tx: Transaction) -> None:
            tx.execute("INSERT INTO thing (id, body) VALUES (?, ?)", (number, body))

        await self.database.write(change)
        self.log.append(f"acknowledged {number} {'alone' if self.barrier.mode == 'degraded' else 'by both'}")


def things(query: Query) -> set[int]:
    assert query.one("PRAGMA integrity_check")[0] == "ok"  # type: ignore[index]
    return {int(row["id"]) for row in query.all("SELECT id FROM thing")}


async def restored(folder: Path, to: Path) -> set[int]:
    """What a restore of a replica's folder holds."""
    process = await asyncio.create_subprocess_exec(
        *[str(program()), "restore", "-o", str(to), folder.as_uri()], stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return await asyncio.to_thread(inspect, to, things)


def code_of(call: Callable[[], object]) -> str:
    try:
        call()
    except ProntuarioError as error:
        return error.kind.code
    return ""
