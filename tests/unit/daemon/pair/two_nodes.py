"""Two founded homes in one process: real cores, Litestream, receivers and mutual TLS; only etcd and the role loop are left out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from appliance.cluster.errors import READ_ONLY
from appliance.cluster.lease_clock import steady_s
from appliance.cluster.model import LeaseView, Position
from appliance.config import Config, Paths, load_config
from appliance.daemon.assembly import Core, assemble
from appliance.daemon.pair.divergences import Comparison
from appliance.daemon.pair.fitness import Fitness
from appliance.daemon.pair.following import Following
from appliance.daemon.pair.founding import found_for_development
from appliance.daemon.pair.hands import Hands
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.pair.plan import PairPlan, Place
from appliance.daemon.pair.primacy import Ground
from appliance.daemon.pair.reign import Reign
from appliance.daemon.ports import free_ports
from appliance.daemon.record import RecordSlot
from appliance.plugin_api.storage import Query, Transaction

PATIENCE_S = 100.0


@dataclass
class Key:
    """The sync key without etcd: what was asked, in order; ``cut``: it can't be reached."""

    asked: list[str] = field(default_factory=list)
    cut: bool = False
    peer_in_sync: bool = False

    async def mark_out_of_sync(self) -> None:
        self._mark(named=False)

    async def mark_in_sync(self) -> None:
        self._mark(named=True)

    def _mark(self, *, named: bool) -> None:
        if self.cut:
            raise READ_ONLY(retry_after=1)
        self.asked.append("in" if named else "out")
        self.peer_in_sync = named


@dataclass
class Node:
    """One side; ``epoch`` is that of its lease, None: it has none."""

    paths: Paths
    config: Config
    core: Core
    neighbour: Neighbour
    ground: Ground
    reign: Reign
    following: Following
    fitness: Fitness
    hands: Hands
    key: Key
    lease: list[LeaseView | None]

    def lead(self, epoch: int) -> None:
        """From now on it has the lease of ``epoch``."""
        self.lease[0] = LeaseView(epoch, steady_s() + 10_000)

    async def write(self, name: str) -> None:
        def change(tx: Transaction) -> None:
            tx.execute("INSERT INTO store_vow (name) VALUES (?)", (name,))

        await self.core.store.write(change)

    async def vows(self) -> list[str]:
        return await self.core.store.read(read_vows)

    async def begin_vows(self) -> None:
        """A table for the test's own rows."""

        def change(tx: Transaction) -> None:
            tx.execute("CREATE TABLE IF NOT EXISTS store_vow (name TEXT PRIMARY KEY) STRICT")

        await self.core.store.write(change)


def read_vows(query: Query) -> list[str]:
    return [str(row["name"]) for row in query.all("SELECT name FROM store_vow ORDER BY rowid")]


async def founded(home: Path) -> tuple[Paths, Paths]:
    """The homes of ``a`` and ``b``, on free ports."""

    def place(name: str) -> Place:
        api, peer, admin, client, etcd_peer = free_ports(5)
        return Place(
            name=name, host="127.0.0.1", api_port=api, peer_port=peer, admin_port=admin, etcd_client_port=client,
            etcd_peer_port=etcd_peer,
        )  # fmt: skip

    await found_for_development(home, PairPlan(first=place("a"), second=place("b")))
    return Paths(home / "a"), Paths(home / "b")


async def make_node(stack: AsyncExitStack, paths: Paths) -> Node:
    """A node whose door is open and whose links call; no record is open yet."""
    config = load_config(paths.config)
    lease: list[LeaseView | None] = [None]
    key = Key()
    core = await assemble(stack, paths, config, slot=RecordSlot())
    neighbour, reign = Neighbour(paths, config), Reign(paths)
    ground = Ground(paths, config, core.metrics, neighbour, core.blobs, lambda: lease[0], lambda: key)
    following = Following(paths, neighbour.receiver, reign)
    fitness = Fitness(paths)
    comparison = Comparison(paths, config.cluster.node, neighbour)
    hands = Hands(
        core=core, ground=ground, reign=reign, following=following, comparison=comparison, fitness=fitness, vip=None
    )
    await neighbour.start()
    stack.push_async_callback(neighbour.close)
    stack.push_async_callback(hands.close)
    return Node(paths, config, core, neighbour, ground, reign, following, fitness, hands, key, lease)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  another process or node has to act
            await asyncio.sleep(0.02)


async def lead_and_follow(leader: Node, standby: Node, epoch: int) -> None:
    """``leader`` opens ``epoch`` and ``standby`` follows it, until both hold everything."""
    leader.lead(epoch)
    await leader.hands.fence(epoch)
    await leader.hands.open_record(epoch)
    await standby.hands.fence(epoch)
    await standby.hands.follow(epoch, Position(0, 0))
    await until(lambda: leader.key.peer_in_sync)


__all__ = ["PATIENCE_S", "Key", "Node", "founded", "lead_and_follow", "make_node", "read_vows", "until"]
