"""One node: the real ``decide`` and lease arithmetic over a modelled disk, receiver and hands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.cluster.decide import decide
from appliance.cluster.decisions import Job, Observation, Order, Outcome, Settings, State
from appliance.cluster.etcd_keys import ClusterView, Sync
from appliance.cluster.hands import NodeReport
from appliance.cluster.lease import safe_expiry
from appliance.cluster.model import NOTHING, LeaseView, Position, Role
from tests.cluster.simulator.barrier import Barrier, Named
from tests.cluster.simulator.disk import Disk
from tests.cluster.simulator.world import TTL_S, Etcd

if TYPE_CHECKING:
    from tests.cluster.simulator.pair import Pair

TICK_S = 0.3
VIEW_AGE_S = 1.0
SETTINGS = Settings(prompt_s=1.0, renew_s=5.0)


class Node:
    """Core on one host. ``life`` counts its starts: what was under way for an earlier one is lost."""

    def __init__(self, pair: Pair, name: str, peer: str) -> None:
        self.pair, self.world, self.name, self.peer = pair, pair.world, name, peer
        self.etcd: Etcd = pair.etcd
        self.broken = pair.broken
        self.disk = Disk()
        self.alive, self.frozen, self.life, self.wall_step = False, False, 0, 0.0
        self.stop_in_keepalive = False
        self._while_frozen: list[Callable[[], None]] = []
        self._forget()

    def _forget(self) -> None:
        self.state = State()
        self.view: ClusterView | None = None
        self.view_at = -9.0
        self.lease, self.reign, self.expires = 0, None, 0.0
        self.renewed_at = -9.0
        self.busy, self.outcome = False, None
        self.stopping, self.left_named = False, False
        self.is_open, self.follows = False, 0
        self.heard_peer_at = -9.0
        self.barrier: Barrier | None = None
        self.drained: list[int] = []
        self.reign: int | None
        self.outcome: Outcome | None

    # -- life ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        if not self.alive:
            self._forget()
            self.alive, self.frozen = True, False
            self.life += 1
            self.tick(self.life)

    def kill(self) -> None:
        self.alive, self.frozen, self._while_frozen = False, False, []

    def stop(self) -> None:
        """As planned: hand over, or at least close in good order."""
        self.stopping = self.alive

    def freeze(self) -> None:
        self.frozen = self.alive

    def thaw(self) -> None:
        self.frozen = False
        waiting, self._while_frozen = self._while_frozen, []
        for do in waiting:
            do()

    def later(self, delay: float, do: Callable[..., None], *arguments: Any) -> None:
        """In this life only; a stopped process does it when it goes on."""
        self.world.after(delay, self.mine, self.life, do, arguments)

    def mine(self, life: int, do: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if not self.alive or life != self.life:
            return
        if self.frozen:
            self._while_frozen.append(lambda: self.mine(life, do, arguments))
        else:
            do(*arguments)

    def ask_etcd(self, do: Callable[[Etcd], Any], answer: Callable[[Any], None]) -> None:
        life = self.life
        self.etcd.call(self.name, do, lambda result: self.mine(life, answer, (result,)))

    # -- lease -----------------------------------------------------------------------------------------------------
    def clock(self) -> float:
        return self.world.now + (self.wall_step if self.broken == "lease-on-wall-clock" else 0.0)

    def lease_view(self) -> LeaseView | None:
        return LeaseView(self.reign, self.expires) if self.reign is not None else None

    def lease_valid(self) -> bool:
        return self.broken == "ack-without-lease" or (self.reign is not None and self.clock() < self.expires)

    def _renew(self) -> None:
        lease, sent = self.lease, self.clock()

        def answered(alive: Any) -> None:
            if alive and lease == self.lease:
                start = self.clock() if self.broken == "lease-from-answer" else sent
                self.expires = max(self.expires, safe_expiry(start, TTL_S))
            elif alive is False and lease == self.lease and self.broken != "ack-without-lease":
                self.expires = min(self.expires, self.clock())

        self.ask_etcd(lambda etcd: etcd.keep_alive(lease), answered)

    # -- the loop --------------------------------------------------------------------------------------------------
    def tick(self, life: int) -> None:
        if not self.alive or life != self.life:
            return
        self.world.after(TICK_S * (0.9 + 0.2 * self.world.rng.random()), self.mine, life, self.tick, (life,))
        if self.lease:
            self._renew()
            if self.stop_in_keepalive:
                self.stop_in_keepalive = False
                self.world.after(0.001, self.freeze)
        sent = self.world.now
        self.ask_etcd(lambda etcd: etcd.view, lambda view: self._saw(view, sent))
        if self.barrier is not None:
            self.barrier.tick()

    def _saw(self, view: ClusterView | None, sent: float) -> None:
        if view is not None and sent > self.view_at:
            self.view, self.view_at = view, sent
        fresh = self.view if self.world.now - self.view_at <= VIEW_AGE_S else None
        outcome, self.outcome = self.outcome, None
        seen = Observation(
            now=self.clock(), node=self.name, peer=self.peer, view=self._bent(fresh), lease=self.lease_view(),
            report=self.report(), busy=self.busy, outcome=outcome, voters=len(self.etcd.voters), stopping=self.stopping,
        )  # fmt: skip
        decision = decide(self.state, seen, SETTINGS)
        before, self.state = self.state.role, decision.state
        if self.stopping:
            self._leave(before)
        for tell in decision.tells:
            self.pair.told(self, tell)
        if decision.order is not None and not self.busy:
            self._begin(decision.order)

    def _leave(self, before: Role) -> None:
        """On the way out: a peer that was surely named when it began must be named at its end."""
        if before is not Role.DRAINING and self.state.role is Role.DRAINING and self.barrier is not None:
            self.left_named = self.barrier.named is Named.YES
        if self.state.role in {Role.STANDBY, Role.FENCED} and self.lease == 0 and not self.busy:
            self.pair.left(self)

    def _bent(self, view: ClusterView | None) -> ClusterView | None:
        """What a node would see that ignores the sync key."""
        if self.broken != "promote-out-of-sync" or view is None or view.sync is None or view.leader is not None:
            return view
        held = self.disk.held()
        sync = Sync(held.epoch, (self.name, self.peer), NOTHING, view.sync.revision)
        return msgspec.structs.replace(view, sync=sync)

    def report(self) -> NodeReport:
        return NodeReport(
            fence=self.disk.fence, held=self.disk.held(), record_epoch=self.disk.record_epoch,
            peer_reachable=self.world.now - self.heard_peer_at < 1.0, healthy=not self.disk.full,
            trouble=self.barrier.trouble() if self.barrier is not None else "",
        )  # fmt: skip

    # -- hands -----------------------------------------------------------------------------------------------------
    def _begin(self, order: Order) -> None:
        self.busy = True
        if order.job is Job.TAKE_LEAD:
            self._take_lead(order)
        elif order.job is Job.CLAIM:
            self._claim(order)
        elif order.job is Job.QUIESCE:
            self._quiesce(order, self.world.now + 1.0)
        elif order.job is Job.RESIGN:
            lease, self.lease, self.reign = self.lease, 0, None
            self.ask_etcd(lambda etcd: etcd.revoke(lease), lambda _: self._end(order, ok=True))
        elif order.job in {Job.FORGET_HANDOVER, Job.FORGET_PROMOTE}:
            kind = order.job.removeprefix("forget-")
            self.ask_etcd(lambda etcd: etcd.ask(kind, None), lambda done: self._end(order, ok=bool(done)))
        else:
            self.later(0.02 * self.disk.slow * (0.5 + self.world.rng.random()), self._do, order)

    def _end(self, order: Order, *, ok: bool, epoch: int = 0, position: Position = NOTHING) -> None:
        self.busy, self.outcome = False, Outcome(order, ok, epoch, position)

    def _do(self, order: Order) -> None:
        """What only touches this node's disk."""
        disk, job = self.disk, order.job
        if disk.full and job in {Job.FENCE, Job.DRAIN, Job.OPEN, Job.FOLLOW}:
            self._end(order, ok=False)
        elif job is Job.DRAIN:
            rows = disk.drained(careless=self.broken == "hole-unnoticed" or order.accept_loss)
            self.drained = rows or []
            self._end(order, ok=rows is not None, position=disk.held())
        else:
            if job is Job.FENCE:
                disk.fence = max(disk.fence, order.epoch)
            elif job is Job.OPEN:
                self._open(order.epoch)
            elif job is Job.CLOSE:
                self.is_open, self.barrier = False, None
            elif job is Job.SET_ASIDE:
                disk.set_aside()
            elif job is Job.FOLLOW:
                self.follows = order.epoch
            elif job is Job.RESUME and self.barrier is not None:
                self.barrier.accepts = True
            self._end(order, ok=True)

    def _open(self, epoch: int) -> None:
        # A former primary's own record may have grown since it was drained: it is opened as it is.
        rows = list(self.disk.rows if self.disk.record_epoch is not None else self.drained)
        if self.broken == "promote-without-drain" and self.disk.record_epoch is None:
            rows = rows[:-2]
        self.disk.open(epoch, rows)
        self.is_open, self.follows = True, 0
        self.barrier = Barrier(self, epoch)

    def _take_lead(self, order: Order) -> None:
        sent, seen = self.clock(), self._bent(self.view)
        assert seen is not None
        real = self.view
        assert real is not None

        def granted(lease: Any) -> None:
            if not lease:
                self._end(order, ok=False)
                return
            self.lease, self.expires = lease, safe_expiry(sent, TTL_S)
            self.ask_etcd(lambda etcd: etcd.take_lead(real, self.name, lease), lambda epoch: taken(lease, epoch))

        def taken(lease: int, epoch: Any) -> None:
            if epoch:
                self.reign = epoch
            else:  # refused, or unknown: this lease must not come to lead behind our back
                self.lease = 0
                self.ask_etcd(lambda etcd: etcd.revoke(lease), lambda _: None)
            self._end(order, ok=bool(epoch), epoch=epoch or 0)

        self.ask_etcd(lambda etcd: etcd.grant(), granted)

    def _claim(self, order: Order) -> None:
        if self.broken == "open-without-claim":
            self._end(order, ok=True)
            return

        def seen(view: ClusterView | None) -> None:
            if view is None or view.sync is None:
                self._end(order, ok=False)
                return
            mine = Sync(order.epoch, (self.name,), order.base, view.sync.revision)
            lease = self.lease
            self.ask_etcd(lambda etcd: etcd.write_sync(lease, mine), lambda done: self._end(order, ok=bool(done)))

        self.ask_etcd(lambda etcd: etcd.view, seen)

    def _quiesce(self, order: Order, deadline: float) -> None:
        barrier = self.barrier
        if barrier is None or self.world.now > deadline:
            self._end(order, ok=False)
            return
        barrier.accepts = False
        if barrier.peer_holds_all():
            self._end(order, ok=True)
        else:
            self.later(0.1, self._quiesce, order, deadline)

    # -- receiver --------------------------------------------------------------------------------------------------
    def receive(self, epoch: int, files: dict[int, tuple[int, ...]], answer: Callable[[Position], None]) -> None:
        """Files of ``epoch`` from the peer: durable first, then the highest contiguous TXID."""
        old = epoch < self.disk.fence
        if old and self.broken == "receiver-accepts-old-epoch":
            # What Litestream itself does with one path for everybody: files of two histories side by side.
            self.disk.files.setdefault(max(self.disk.files, default=epoch), {}).update(files)
            return
        if old or self.disk.full or self.disk.record_epoch is not None or self.follows != epoch:
            return
        if self.broken == "answer-before-fsync":
            answer(Position(epoch, max(files, default=0)))
            self.later(1.5, self._store, epoch, files, None)
        else:
            self.later(0.006 * self.disk.slow, self._store, epoch, files, answer)

    def _store(self, epoch: int, files: dict[int, tuple[int, ...]], answer: Callable[[Position], None] | None) -> None:
        if self.disk.full or self.disk.record_epoch is not None or epoch < self.disk.fence:
            return
        held = self.disk.files.setdefault(epoch, {})
        for txid, rows in files.items():
            # Only the next one: then a gap is always damage, never a file that is still under way.
            if txid <= self.disk.contiguous(epoch) + 1:
                held.setdefault(txid, rows)
        if answer is not None:
            highest = self.broken == "hole-unnoticed"
            answer(Position(epoch, self.disk.highest(epoch) if highest else self.disk.contiguous(epoch)))

    def serves(self) -> bool:
        return self.alive and not self.frozen and self.state.role is Role.PRIMARY and self.barrier is not None
