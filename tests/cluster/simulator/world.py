"""A virtual clock, a network that can be cut one way, and etcd as far as the pair relies on it."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from appliance.cluster.etcd_keys import ClusterView, Leader, Request, Sync

HOSTS = ("a", "b", "w")
TTL_S = 1.0
MISSED_S = 0.6  # how long a node waits for etcd's answer


class World:
    """Time, chance and wires. ``wires[(x, y)]`` is the delay from x to y in seconds; None: cut."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)
        self.wires: dict[tuple[str, str], float | None] = {(x, y): 0.004 for x in HOSTS for y in HOSTS}
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, do: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, do, arguments))

    def after(self, delay: float, do: Callable[..., None], *arguments: Any) -> None:
        self.at(self.now + delay, do, *arguments)

    def run_until(self, end: float, stop: Callable[[], bool] | None = None) -> bool:
        """Whether ``stop`` came true before ``end``."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            self.now, _, do, arguments = heapq.heappop(heap)
            do(*arguments)
            if stop is not None and stop():
                return True
        self.now = end
        return False

    def send(self, source: str, target: str, do: Callable[..., None], *arguments: Any) -> None:
        """Deliver unless the wire is cut when it leaves or when it arrives."""
        delay = self.wires[source, target]
        if delay is not None:
            self.after(delay * (0.5 + self.rng.random()), self._arrive, source, target, do, arguments)

    def _arrive(self, source: str, target: str, do: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self.wires[source, target] is not None:
            do(*arguments)


@dataclass
class Etcd:
    """Linearizable keys with leases, served only by a member that sees a majority. ``view`` is the whole content."""

    world: World
    up: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(HOSTS, True))
    voters: tuple[str, ...] = HOSTS
    view: ClusterView = field(default_factory=lambda: ClusterView(sync=Sync(0, ("a",), revision=1)))
    revision: int = 1
    leases: dict[int, float] = field(default_factory=dict)
    _next_lease: int = 1
    _had_quorum: bool = True

    def call(self, node: str, do: Callable[[Etcd], Any], answer: Callable[[Any], None]) -> None:
        """Ask any member in reach; ``answer`` is called with None when nothing came back in time. It may still happen."""
        world, settled = self.world, [False]

        def settle(result: Any) -> None:
            if not settled[0]:
                settled[0] = True
                answer(result)

        def arrive(member: str) -> None:
            if self._serves(member):
                self._expire()
                world.send(member, node, settle, do(self))

        near = [m for m in self.voters if self.up[m] and world.wires[node, m] is not None]
        if near:
            member = node if node in near and world.rng.random() < 0.5 else near[int(world.rng.random() * len(near))]
            world.send(node, member, arrive, member)
        world.after(MISSED_S, settle, None)

    def _serves(self, member: str) -> bool:
        wires, voters = self.world.wires, self.voters
        if not self.up[member]:
            return False
        sees = [m for m in voters if self.up[m] and wires[m, member] is not None and wires[member, m] is not None]
        return len(sees) * 2 > len(voters)

    def watch_leases(self) -> None:
        """Like etcd: no majority, no expiry; a new majority gives every lease its whole time again."""
        quorum = any(self._serves(member) for member in self.voters)
        if quorum and not self._had_quorum:
            for lease in self.leases:
                self.leases[lease] = self.world.now + TTL_S
        self._had_quorum = quorum
        self._expire()
        self.world.after(0.25, self.watch_leases)

    def _expire(self) -> None:
        if not self._had_quorum:
            return
        for lease in [lease for lease, end in self.leases.items() if end < self.world.now]:
            self.revoke(lease)

    # -- what a member does when a request arrives -----------------------------------------------------------------
    def grant(self) -> int:
        self._next_lease += 1
        self.leases[self._next_lease] = self.world.now + TTL_S
        return self._next_lease

    def keep_alive(self, lease: int) -> bool:
        if lease in self.leases:
            self.leases[lease] = self.world.now + TTL_S
            return True
        return False

    def revoke(self, lease: int) -> bool:
        self.leases.pop(lease, None)
        if self.view.leader is not None and self.view.leader.lease == lease:
            self._write(leader=None)
        return True

    def take_lead(self, seen: ClusterView, node: str, lease: int) -> int:
        """The epoch, 0 when the comparison failed."""
        view = self.view
        assert view.sync is not None
        assert seen.sync is not None
        same = seen.epoch_revision == view.epoch_revision and seen.sync.revision == view.sync.revision
        if view.leader is not None or not same or lease not in self.leases:
            return 0
        epoch = view.epoch + 1
        self._write(leader=Leader(node, epoch, "", lease), epoch=epoch, handover=None)
        self.view = msgspec.structs.replace(self.view, epoch_revision=self.revision)
        return epoch

    def write_sync(self, lease: int, sync: Sync) -> int:
        """The new revision, 0 when the comparison failed."""
        view = self.view
        assert view.sync is not None
        if view.leader is None or view.leader.lease != lease or view.sync.revision != sync.revision:
            return 0
        self._write(sync=msgspec.structs.replace(sync, revision=self.revision + 1))
        return self.revision

    def ask(self, kind: str, request: Request | None) -> bool:
        self._write(**{kind: request})
        return True

    def _write(self, **changes: Any) -> None:
        self.revision += 1
        self.view = msgspec.structs.replace(self.view, **changes)
