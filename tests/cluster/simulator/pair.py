"""One schedule: two nodes, a third voter, a client that writes, faults that fall, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.cluster.decisions import Tell
from appliance.cluster.etcd_keys import Request
from tests.cluster.simulator.faults import FAULTS, alone_and_deaf, heal
from tests.cluster.simulator.node import Node
from tests.cluster.simulator.world import Etcd, World

FAULTS_FROM_S, FAULTS_UNTIL_S = 2.5, 7.0
SERVES_WITHIN_S = 25.0
COMPLETE_WITHIN_S = 20.0
WRITE_EVERY_S = 0.12


@dataclass
class Verdict:
    """What became of a schedule. ``violation`` None: every promise was kept."""

    seed: int
    violation: str | None
    acknowledged: int
    transitions: int
    blows: list[str] = field(default_factory=list)


class Pair:
    """Everything of one schedule, made from its seed alone."""

    def __init__(self, seed: int, broken: str | None = None) -> None:
        self.seed, self.broken = seed, broken
        self.world = World(seed)
        self.etcd = Etcd(self.world)
        self.nodes = {"a": Node(self, "a", "b"), "b": Node(self, "b", "a")}
        self.nodes["a"].disk.open(0, [])
        self.acknowledged: dict[int, int] = {}
        self.named: set[str] = set()
        """Nodes that an incident report names: an operator accepted that rows may be only there."""
        self.violation: str | None = None
        self.transitions = 0
        self.blows: list[str] = []
        self._highest_epoch = 0
        self._row = 0
        self._last_acknowledged = -1.0
        self.operator_awake = False
        self.off: set[str] = set()
        """Nodes that were stopped as planned, and that nobody starts again."""

    def run(self) -> Verdict:
        world, rng = self.world, self.world.rng
        if rng.random() < 0.12:
            self.etcd.voters = ("a", "b")
        self.etcd.watch_leases()
        self.nodes["a"].start()
        self.nodes["b"].start()
        self._write()
        self.operator_awake = rng.random() < 0.2
        for _ in range(rng.choice((1, 1, 2, 2, 2, 3, 4))):
            fault = rng.choice(FAULTS)
            # This one needs the time that an operator takes to notice and to decide.
            until = FAULTS_FROM_S + 0.5 if fault is alone_and_deaf else FAULTS_UNTIL_S
            world.at(rng.uniform(FAULTS_FROM_S, until), self._strike, fault)
        world.run_until(FAULTS_UNTIL_S + 2.0, self._broke)
        heal(self)
        healed = world.now
        world.after(8.0, self._decide_about_damage)
        served = world.run_until(
            healed + SERVES_WITHIN_S, lambda: self._broke() or self._last_acknowledged > healed + 1.5
        )
        if not served:
            self._broken("does not serve again after every fault was healed")
        if not (self.off or world.run_until(world.now + COMPLETE_WITHIN_S, lambda: self._broke() or self._complete())):
            self._broken("serves, but one node never holds everything again")
        if self.violation is None:
            self._count_rows()
        return Verdict(self.seed, self.violation, len(self.acknowledged), self.transitions, self.blows)

    def acknowledge(self, node: Node, epoch: int, row: int) -> None:
        if epoch < self._highest_epoch:
            self._broken(f"epoch {epoch} on {node.name} acknowledges after epoch {self._highest_epoch}")
        self._highest_epoch = max(self._highest_epoch, epoch)
        self.acknowledged[row] = epoch
        self._last_acknowledged = self.world.now

    def told(self, node: Node, tell: Tell) -> None:
        self.transitions += 1
        if tell.kind == "promoted" and node.disk.record_epoch != tell.epoch:
            self._broken(f"{node.name} believes to be promoted without an open record")
        if tell.kind in {"not_in_sync", "no_third_voter"} and self.operator_awake:
            self._operator(node)

    def left(self, node: Node) -> None:
        """A planned stop has ended in good order: the other node serves, if it may by itself."""
        sync = self.etcd.view.sync
        named = sync is not None and node.peer in sync.holders
        if node.left_named and not named:
            self._broken(f"{node.name} took {node.peer} out of the sync key on its way out")
        node.kill()
        if named and len(self.etcd.voters) > len(self.nodes):
            self.off.add(node.name)
        else:
            self.world.after(1.0, node.start)

    def _complete(self) -> bool:
        sync = self.etcd.view.sync
        return sync is not None and len(sync.holders) == len(self.nodes)

    def _operator(self, node: Node) -> None:
        """Somebody looks, and may promote what is left though it costs rows: the report names the other node."""
        if self.world.rng.random() < 0.8:
            self.named.update(self.nodes)  # what either keeps apart is in the review queue
            order = Request(node.name, "operator", "", self.etcd.view.epoch, accept_loss=True)
            node.ask_etcd(lambda etcd: etcd.ask("promote", order), lambda _: None)

    def _decide_about_damage(self) -> None:
        """A damaged file does not heal: if the only node that may lead lacks one, somebody must choose what there is."""
        damaged = any("loses one received file" in blow for blow in self.blows)
        if damaged and not any(node.serves() for node in self.nodes.values()):
            best = max((node for node in self.nodes.values() if node.alive), key=lambda node: node.disk.held())
            self.named.update(self.nodes)
            order = Request(best.name, "operator", "", self.etcd.view.epoch, accept_loss=True)
            best.ask_etcd(lambda etcd: etcd.ask("promote", order), lambda _: None)

    def _strike(self, fault: object) -> None:
        assert callable(fault)
        self.blows.append(f"{self.world.now:.2f} {fault(self)}")

    def _write(self) -> None:
        self._row += 1
        for node in self.nodes.values():
            if node.alive and node.barrier is not None and node.is_open:
                # A stopped process finds what clients sent meanwhile when it goes on.
                node.mine(node.life, node.barrier.write, (self._row * 2 + (node.name == "b"),))
        self.world.after(WRITE_EVERY_S * (0.3 + 1.4 * self.world.rng.random()), self._write)

    def _count_rows(self) -> None:
        primaries = [n for n in self.nodes.values() if n.alive and n.barrier is not None and n.lease_valid()]
        if len(primaries) != 1:
            self._broken(f"{len(primaries)} primaries at the end")
            return
        (primary,) = primaries
        epoch = primary.disk.record_epoch
        assert epoch is not None
        kept = set(primary.disk.rows)
        if not self.off and primary.barrier is not None and primary.barrier.hole_since is None:
            # The spool is what standbys and restores are made from: it must say the same as the database.
            kept.intersection_update(row for rows in primary.disk.files[epoch].values() for row in rows)
        for name in self.named:
            disk = self.nodes[name].disk
            kept.update(disk.rows, *disk.aside)
        lost = sorted(row for row in self.acknowledged if row not in kept)
        if lost:
            epochs = sorted({self.acknowledged[row] for row in lost})
            self._broken(f"{len(lost)} acknowledged rows lost, of epochs {epochs}; {primary.name} leads")

    def _broken(self, what: str) -> None:
        self.violation = self.violation or f"{self.world.now:.2f} s: {what}"

    def _broke(self) -> bool:
        return self.violation is not None
