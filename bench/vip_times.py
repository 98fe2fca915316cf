"""How long the virtual IP takes to come, to move and to go, for every way of losing it, in network namespaces (root, Linux).

``python bench/vip_times.py [--rounds N]``. "After the deadline" is the time that an address outlives the lease which carried
it: it overlaps with the next holder only beyond the pause that the cluster leaves after a lease (``[cluster]``).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.cluster.lease_clock import steady_s
from bench.report import Report, say
from tests.cluster.netlab import VIP, NetLab, why_not
from tests.cluster.vip.running_vipd import RunningVipd, eventually

LEASE_S = 1.0
SETTLE_S = 1.0
AIM_AFTER_DEADLINE_S = 0.3
Blow = Callable[[RunningVipd], None]
BLOWS: dict[str, Blow] = {
    "nobody renews (core dead or stopped)": lambda _: None,
    "vipd SIGSTOP": lambda vipd: os.kill(vipd.pid, signal.SIGSTOP),
    "vipd SIGKILL": lambda vipd: os.kill(vipd.pid, signal.SIGKILL),
    "guard SIGSTOP": lambda vipd: os.kill(vipd.guard, signal.SIGSTOP),
}


def has_address(witness: int) -> bool:
    """Whether the node has the address, read from the kernel through a process that lives there."""
    return f"|-- {VIP}\n" in Path(f"/proc/{witness}/net/fib_trie").read_text(encoding="ascii")


def one_blow(lab: NetLab, folder: Path, backend: str, blow: Blow, witness: int) -> tuple[float, float]:
    """(seconds to acquire, seconds that the address outlived its deadline; 0 when it went before)."""
    vipd = RunningVipd.start(lab, folder, backend=backend)
    try:
        time.sleep(SETTLE_S)  # a keepalived that is only starting comes up faster than one that has waited
        began = time.perf_counter()
        granted = vipd.acquire(for_s=LEASE_S + (2.0 if backend == "keepalived" else 0.0))
        acquired = time.perf_counter() - began
        assert granted["up"] == [VIP], granted
        blow(vipd)
        while has_address(witness):
            time.sleep(0.002)
        return acquired, max(0.0, steady_s() - granted["deadline_s"])
    finally:
        if vipd.process.poll() is None:
            os.kill(vipd.guard, signal.SIGCONT)
        vipd.stop()


def move(lab: NetLab, folder: Path, rounds: int) -> list[float]:
    """Seconds from the release on one node until the client's neighbour entry names the other."""
    pair = [RunningVipd.start(lab, folder, node) for node in ("a", "b")]
    lab.answer("a")
    lab.answer("b")
    took = []
    for number in range(rounds):
        old, new = pair[number % 2], pair[(number + 1) % 2]
        old.acquire(2 * number + 1)
        eventually(lambda old=old: lab.who_answers("client", VIP) == old.node)  # type: ignore[misc]
        began = time.perf_counter()
        old.ask("release", epoch=2 * number + 1)
        new.acquire(2 * number + 2)
        eventually(lambda new=new: lab.neighbour("client", VIP) == lab.hardware_address(new.node))  # type: ignore[misc]
        took.append(time.perf_counter() - began)
        new.ask("release", epoch=2 * number + 2)
    for vipd in pair:
        vipd.stop()
    return took


def main() -> int:
    """Exit status 2 when namespaces can't be made here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    if reason := why_not():
        say(f"vip_times: {reason}")
        return 2
    report = Report("vip")
    with NetLab() as lab, tempfile.TemporaryDirectory(prefix="pt-vip-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        witness = lab.popen("a", ["sleep", "infinity"]).pid
        for backend in ["ip", *(["keepalived"] if shutil.which("keepalived") else [])]:
            came = []
            for name, blow in BLOWS.items():
                pairs = [one_blow(lab, folder, backend, blow, witness) for _ in range(rounds)]
                came += [acquired for acquired, _ in pairs]
                worst = max(late for _, late in pairs)
                report.row(f"{backend}: {name}, worst after the deadline", worst, "s", aim=("<=", AIM_AFTER_DEADLINE_S))
            report.row(f"{backend}: acquire, median", statistics.median(came), "s")
        took = move(lab, folder, rounds)
        report.row("ip: planned move as the client's neighbour table sees it, median", statistics.median(took), "s")
        report.row("ip: planned move, worst", max(took), "s")
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
