"""What can happen to the pair. Each fault returns its sentence; ``heal`` undoes them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from appliance.cluster.etcd_keys import Request
from tests.cluster.simulator.world import HOSTS

if TYPE_CHECKING:
    from tests.cluster.simulator.node import Node
    from tests.cluster.simulator.pair import Pair

NORMAL_S = 0.004


def _some(pair: Pair) -> Node:
    """The primary more often than not: there it hurts."""
    leading = [node for node in pair.nodes.values() if node.serves()]
    if leading and pair.world.rng.random() < 0.6:
        return leading[0]
    return pair.nodes[pair.world.rng.choice("ab")]


def _while(pair: Pair, shortest: float, longest: float) -> float:
    return pair.world.rng.uniform(shortest, longest)


def core_dies(pair: Pair) -> str:
    node = _some(pair)
    node.kill()
    pair.world.after(_while(pair, 0.2, 4.0), node.start)
    return f"core of {node.name} dies"


def host_dies(pair: Pair) -> str:
    node = _some(pair)
    node.kill()
    pair.etcd.up[node.name] = False

    def back() -> None:
        pair.etcd.up[node.name] = True
        node.start()

    pair.world.after(_while(pair, 0.5, 5.0), back)
    return f"host {node.name} dies"


def stopped(pair: Pair) -> str:
    node = _some(pair)
    node.freeze()
    pair.world.after(_while(pair, 0.3, 4.0), node.thaw)
    return f"core of {node.name} is stopped"


def cut_one_way(pair: Pair) -> str:
    x, y = pair.world.rng.sample(HOSTS, 2)
    return _cut(pair, [(x, y)])


def cut_both_ways(pair: Pair) -> str:
    x, y = pair.world.rng.sample(HOSTS, 2)
    return _cut(pair, [(x, y), (y, x)])


def isolated(pair: Pair) -> str:
    node = _some(pair).name
    others = [host for host in HOSTS if host != node]
    return _cut(pair, [(node, other) for other in others] + [(other, node) for other in others])


def slow_wire(pair: Pair) -> str:
    x, y = pair.world.rng.sample(HOSTS, 2)
    return _wires(pair, [(x, y)], _while(pair, 0.05, 1.2), "slow")


def slow_to_etcd(pair: Pair) -> str:
    """Keepalives and marks arrive late, their answers later."""
    node = _some(pair).name
    pairs = [(node, other) for other in HOSTS] + [(other, node) for other in HOSTS]
    return _wires(pair, pairs, _while(pair, 0.1, 0.5), "slow")


def clock_steps(pair: Pair) -> str:
    node = _some(pair)
    node.wall_step += pair.world.rng.choice((-30.0, -3.0, 3.0, 30.0))
    return f"wall clock of {node.name} steps"


def disk_full(pair: Pair) -> str:
    node = _some(pair)
    node.disk.full = True
    pair.world.after(_while(pair, 0.5, 5.0), lambda: setattr(node.disk, "full", False))
    return f"disk of {node.name} is full"


def slow_disk(pair: Pair) -> str:
    node = _some(pair)
    node.disk.slow = _while(pair, 5.0, 120.0)
    pair.world.after(_while(pair, 0.5, 4.0), lambda: setattr(node.disk, "slow", 1.0))
    return f"disk of {node.name} is slow"


def hole(pair: Pair) -> str:
    node = pair.nodes[pair.world.rng.choice("ab")]
    done = node.disk.punch_hole(pair.world.rng.random())
    return f"{node.name} loses one received file" if done else "no file to lose"


def voter_dies(pair: Pair) -> str:
    host = pair.world.rng.choice(HOSTS)
    pair.etcd.up[host] = False
    pair.world.after(_while(pair, 0.5, 5.0), lambda: pair.etcd.up.__setitem__(host, True))
    return f"voter {host} dies"


def handover(pair: Pair) -> str:
    """Somebody asks for a planned handover in the middle of all this."""
    leading = [node for node in pair.nodes.values() if node.serves()]
    if not leading:
        return "nobody to hand over"
    node = leading[0]
    order = Request(node.peer, "operator", "", pair.etcd.view.epoch)
    node.ask_etcd(lambda etcd: etcd.ask("handover", order), lambda _: None)
    return f"handover from {node.name}"


def spool_hole(pair: Pair) -> str:
    """The primary's own spool loses a file before anybody has it: only a new epoch can make the other node whole."""
    node = _some(pair)
    node.disk.drops_next = True
    return f"{node.name} loses a file of its own"


def switched_off(pair: Pair) -> str:
    """Somebody stops the primary as planned, on a machine so slow that the other node answers late; it stays off."""
    leading = [node for node in pair.nodes.values() if node.serves()]
    if not leading:
        return "no primary to stop"
    node = leading[0]
    pair.nodes[node.peer].disk.slow = _while(pair, 20.0, 200.0)
    pair.world.after(_while(pair, 0.5, 3.0), lambda: setattr(pair.nodes[node.peer].disk, "slow", 1.0))
    pair.world.after(_while(pair, 0.0, 0.3), node.stop)
    return f"{node.name} is switched off as planned, {node.peer} is slow"


def standby_then_primary(pair: Pair) -> str:
    """The double fault that a sync key exists for: the standby is away, writes go on alone, then the primary dies."""
    leading = [node for node in pair.nodes.values() if node.serves()]
    if not leading:
        return "no primary to lose"
    primary, standby = leading[0], pair.nodes[leading[0].peer]
    _wires(pair, [(primary.name, standby.name), (standby.name, primary.name)], None, "cut")
    gone = _while(pair, 0.6, 2.0)
    pair.world.after(gone, primary.kill)
    pair.world.after(gone + _while(pair, 2.0, 5.0), primary.start)
    return f"{standby.name} is cut off, then {primary.name} dies"


def hole_then_primary(pair: Pair) -> str:
    """The other double fault: a received file is damaged, and before anybody could mend it the primary dies."""
    leading = [node for node in pair.nodes.values() if node.serves()]
    if not leading or not pair.nodes[leading[0].peer].disk.punch_hole(pair.world.rng.random()):
        return "no file to lose"
    leading[0].kill()
    pair.world.after(_while(pair, 2.0, 5.0), leading[0].start)
    return f"{leading[0].peer} loses one received file and {leading[0].name} dies"


def alone_and_deaf(pair: Pair) -> str:
    """A primary that acknowledges alone is cut off, or stopped with a keepalive under way; an operator promotes the other.

    Only its lease keeps it from acknowledging on: nobody can tell it anything.
    """
    leading = [node for node in pair.nodes.values() if node.serves()]
    if not leading:
        return "no primary to make deaf"
    primary, rng = leading[0], pair.world.rng
    pair.operator_awake = True
    wires = [(primary.name, other) for other in HOSTS] + [(other, primary.name) for other in HOSTS]
    near = [(x, y) for x, y in wires if x != y and "w" not in (x, y)]
    pair.world.wires.update(dict.fromkeys(near, None))
    stop = rng.random() < 0.5

    def strike() -> None:
        if stop:
            primary.stop_in_keepalive = True
            pair.world.after(5.0, primary.thaw)
        else:
            primary.wall_step += rng.choice((-30.0, -30.0, 0.0))
            pair.world.wires.update({wire: None for wire in wires if wire[0] != wire[1]})

    pair.world.after(1.4, strike)
    return f"{primary.name} alone, then {'stopped' if stop else 'cut off'}"


def _cut(pair: Pair, wires: list[tuple[str, str]]) -> str:
    return _wires(pair, wires, None, "cut")


def _wires(pair: Pair, wires: list[tuple[str, str]], delay: float | None, word: str) -> str:
    wires = [(x, y) for x, y in wires if x != y]
    pair.world.wires.update(dict.fromkeys(wires, delay))
    pair.world.after(_while(pair, 0.4, 4.0), lambda: pair.world.wires.update(dict.fromkeys(wires, NORMAL_S)))
    return f"{word}: " + ", ".join(f"{x}→{y}" for x, y in wires)


def heal(pair: Pair) -> None:
    """Everything works again; dead nodes are started."""
    pair.world.wires.update({(x, y): NORMAL_S for x in HOSTS for y in HOSTS})
    pair.etcd.up.update(dict.fromkeys(HOSTS, True))
    for node in pair.nodes.values():
        node.disk.full, node.disk.slow, node.stop_in_keepalive = False, 1.0, False
        if node.frozen:
            node.thaw()
        if node.name not in pair.off:
            node.start()


FAULTS: tuple[Callable[[Pair], str], ...] = (
    core_dies, host_dies, stopped, cut_one_way, cut_both_ways, isolated, slow_wire, slow_to_etcd, clock_steps,
    disk_full, slow_disk, hole, voter_dies, handover, standby_then_primary, hole_then_primary, alone_and_deaf,
    spool_hole, switched_off,
)  # fmt: skip
