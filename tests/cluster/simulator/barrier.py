"""The primary's side of an acknowledgement, by the barrier's rules: commit, ship, wait for the peer, look at the lease."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

from appliance.cluster.etcd_keys import ClusterView, Sync
from appliance.cluster.model import Position, Role
from appliance.cluster.shipper import SPOOL_HOLE

if TYPE_CHECKING:
    from tests.cluster.simulator.node import Node

SHIP_DEADLINE_S = 0.7
RESEND_S = 0.25
HOLE_S = 0.8
BATCH = 40


class Named(enum.Enum):
    """What is known of the sync key: is the peer in it?"""

    NO = 0
    UNKNOWN = 1
    YES = 2


class Barrier:
    """Of one reign. Begins alone: the claim named only this node."""

    def __init__(self, node: Node, epoch: int) -> None:
        self.node, self.epoch = node, epoch
        self.named = Named.NO
        self.accepts = True
        self.peer_held = 0
        self.waiting: dict[int, tuple[int, float]] = {}  # txid → row, since
        self.sent_at, self.sent_to = -9.0, 0
        self.writing = False
        self.fresh = False
        self.hole_since: float | None = None

    def write(self, row: int) -> None:
        """A client's write arrives."""
        disk = self.node.disk
        if self.accepts and not disk.full:
            self.node.later(0.004 * disk.slow, self._committed, row)

    def _committed(self, row: int) -> None:
        node = self.node
        if node.barrier is not self or node.disk.full:
            return
        txid = node.disk.commit(row)
        self.waiting[txid] = (row, node.world.now)
        self._settle()
        self._ship()

    def _ship(self) -> None:
        node, world = self.node, self.node.world
        top = node.disk.highest_own()
        lost = world.now - self.sent_at > RESEND_S
        first = self.peer_held + 1 if lost else max(self.peer_held, self.sent_to) + 1
        if first > top or node.barrier is not self:
            return
        last = min(top, first + BATCH)
        own = node.disk.files[self.epoch]
        last = next((txid - 1 for txid in range(first, last + 1) if txid not in own), last)
        self.hole_since = None if last >= first else world.now if self.hole_since is None else self.hole_since
        if last < first and not lost:
            return  # otherwise it only asks what the peer holds
        files = {txid: own[txid] for txid in range(first, last + 1)}
        self.sent_to = last
        if lost:
            self.sent_at = world.now
        peer, life = node.pair.nodes[node.peer], node.life

        def answer(held: Position) -> None:
            world.send(peer.name, node.name, node.mine, life, self._held, (held, last))

        world.send(node.name, peer.name, lambda: peer.mine(peer.life, peer.receive, (self.epoch, files, answer)))

    def _held(self, held: Position, asked: int) -> None:
        if self.node.barrier is not self:
            return
        self.node.heard_peer_at = self.node.world.now
        self.fresh = True
        self.peer_held, self.sent_at = held.txid, self.node.world.now
        if held.txid < asked:
            self.sent_to = held.txid  # a file got lost on the way: again from there
        self._settle()
        if held.txid < self.node.disk.highest_own():
            self._ship()

    def trouble(self) -> str:
        """Whether what the peer needs next has been missing here for long."""
        lasting = self.hole_since is not None and self.node.world.now - self.hole_since > HOLE_S
        return SPOOL_HOLE if lasting and self.node.broken != "stand-still-on-trouble" else ""

    def peer_holds_all(self) -> bool:
        return self.named is Named.YES and self.peer_held >= self.node.disk.highest_own() and not self.waiting

    def _settle(self) -> None:
        """Acknowledge what may be acknowledged now."""
        node = self.node
        if node.barrier is not self or not self.waiting or not node.lease_valid():
            return
        for txid, (row, _) in list(self.waiting.items()):
            if self.named is Named.NO or txid <= self.peer_held:
                del self.waiting[txid]
                node.pair.acknowledge(node, self.epoch, row)

    def tick(self) -> None:
        """Deadlines, catch-up, and the sync key."""
        node = self.node
        self._settle()
        self._ship()
        if self.writing or node.barrier is not self:
            return
        oldest = min((since for _, since in self.waiting.values()), default=node.world.now)
        # As in PairedBarrier: who was asked to fall quiet leaves until told to go on, and a mark needs a valid lease.
        leaves = (node.state.role is Role.DRAINING or not self.accepts) and node.broken != "mark-while-leaving"
        overdue = node.world.now - oldest > SHIP_DEADLINE_S
        if self.named is not Named.NO and overdue and node.lease_valid() and not leaves:
            if node.broken == "ack-before-mark":
                self.named = Named.NO
                self._settle()
            self._write_sync((node.name,))
        elif node.broken == "mark-in-early" and self.named is Named.NO:
            self._write_sync((node.name, node.peer))
        elif self.named is Named.NO and self.fresh and self.peer_held >= node.disk.highest_own():
            self.named = Named.UNKNOWN  # from here on every write waits for the peer again
            self._write_sync((node.name, node.peer))
        elif self.named is Named.UNKNOWN and not self.waiting and self.peer_held >= node.disk.highest_own():
            self._write_sync((node.name, node.peer))
        self.fresh = False

    def _write_sync(self, holders: tuple[str, ...]) -> None:
        node, lease = self.node, self.node.lease
        self.writing = True
        if node.broken not in {"mark-in-early", "ack-before-mark"}:
            self.named = Named.UNKNOWN

        def seen(view: ClusterView | None) -> None:
            if view is None or view.sync is None or view.sync.epoch != self.epoch:
                written(0)
                return
            wanted = Sync(self.epoch, holders, view.sync.base, view.sync.revision)
            node.ask_etcd(lambda etcd: etcd.write_sync(lease, wanted), written)

        def written(revision: Any) -> None:
            self.writing = False
            if revision and node.barrier is self:
                self.named = Named.YES if node.peer in holders else Named.NO
                self._settle()

        node.ask_etcd(lambda etcd: etcd.view, seen)
