"""What can befall a pair, and what heals it: one function for each fault, used by bench-failover and chaos-pair alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.pair_lab import NODES, PairLab
from tests.cluster.netlab import INTERFACE

SLOW: Final = ("tbf", "rate", "64kbit", "burst", "4kb", "latency", "2s")
Heal = Callable[[], None]


def other(node: str) -> str:
    """The node that is not ``node``."""
    return NODES[1 - NODES.index(node)]


def _nothing() -> None:
    """Heals by itself."""


def crash(lab: PairLab, node: str) -> Heal:
    """The whole machine, by its plug."""
    lab.power_off(node)

    def plug_in() -> None:
        wait_until_ready = lab.power_on(node)
        wait_until_ready()

    return plug_in


def stop(lab: PairLab, node: str) -> Heal:
    """Everything stands still (SIGSTOP) and later goes on with its old beliefs."""
    lab.freeze(node)
    return lambda: lab.thaw(node)


def lan(lab: PairLab, node: str) -> Heal:
    """Its network cable; the direct cable between the two stays."""
    lab.net.isolate(node)
    return lab.net.heal


def direct(lab: PairLab, _node: str) -> Heal:
    """The cable between the two."""
    if lab.net.is_cut("a", "b", "direct"):  # by another fault, which heals it
        return _nothing
    lab.net.cut("a", "b", "direct")
    return lambda: lab.net.heal("a", "b", "direct")


def between(lab: PairLab, _node: str) -> Heal:
    """The two no longer see each other at all, but clients and the voter see both."""
    lab.net.cut("a", "b")
    lab.net.cut("a", "b", "direct")
    return lab.net.heal


def deaf(lab: PairLab, node: str) -> Heal:
    """It still speaks on the LAN but hears nobody: an asymmetric cut."""
    for speaker in ("voter", other(node)):
        lab.net.cut(speaker, node, both=False)
    return lab.net.heal


def split(lab: PairLab, node: str) -> Heal:
    """Cut off from everyone on both cables, and alive."""
    lab.net.isolate(node, direct=True)
    return lab.net.heal


def planned(lab: PairLab, node: str) -> Heal:
    """An operator hands over."""
    lab.hand_over(node)
    return _nothing


def core(lab: PairLab, node: str) -> Heal:
    """Core alone, by kill -9."""
    lab.kill_core(node)
    return _nothing


def standby_crash(lab: PairLab, node: str) -> Heal:
    """The other machine, by its plug."""
    return crash(lab, other(node))


def standby_stop(lab: PairLab, node: str) -> Heal:
    """The other one stands still."""
    return stop(lab, other(node))


def voter(lab: PairLab, _node: str) -> Heal:
    """The third voter's network."""
    whole = [end for end in ("a", "b", "client") if not (lab.net.is_cut("voter", end) or lab.net.is_cut(end, "voter"))]
    lab.net.isolate("voter")

    def plug_in() -> None:
        for end in whole:  # and nothing else: another fault may lie beneath this one
            lab.net.heal("voter", end)

    return plug_in


def member(lab: PairLab, node: str) -> Heal:
    """Its etcd member, by kill -9; its supervisor starts it again."""
    lab.kill_named(node, "etcd")
    return _nothing


def disk_full(lab: PairLab, node: str) -> Heal:
    """Not one byte more."""
    lab.disks[node].fill()
    return lab.disks[node].free


def standby_disk_full(lab: PairLab, node: str) -> Heal:
    """The other one's disk."""
    return disk_full(lab, other(node))


def slow(lab: PairLab, _node: str) -> Heal:
    """The cable between the two carries next to nothing, in both directions."""
    for end in NODES:
        lab.net.run(end, "tc", "qdisc", "replace", "dev", INTERFACE["direct"], "root", *SLOW)

    def mend() -> None:
        for end in NODES:
            lab.net.run(end, "tc", "qdisc", "del", "dev", INTERFACE["direct"], "root", check=False)

    return mend


MEASURED: Final = {
    "crash": crash,
    "SIGSTOP": stop,
    "LAN cut": lan,
    "direct-link cut": direct,
    "planned handover": planned,
}
"""Those of bench-failover; all of them befall the primary."""
MIXED: Final = MEASURED | {
    "links between the two": between,
    "deaf primary": deaf,
    "split off": split,
    "core killed": core,
    "standby crash": standby_crash,
    "standby SIGSTOP": standby_stop,
    "voter cut": voter,
    "etcd member killed": member,
    "disk full on the primary": disk_full,
    "disk full on the standby": standby_disk_full,
    "slow cable": slow,
}
"""Those of chaos-pair; two need a lab with small disks."""
