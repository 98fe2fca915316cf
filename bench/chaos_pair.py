"""Mixed faults on a real pair in namespaces, one or two at a time; nothing acknowledged may be lost and every round must end serving.

``python bench/chaos_pair.py [--rounds 200] [--seed N]``. The first rounds go through every fault once; later ones draw, and
every third round lets a second fault befall the pair before the first has healed. Needs root on Linux. ``--once`` is CI's
short version: every fault once, the exit status says whether every aim was met, and a machine that can't run it is told so.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.telemetry.logs import configure
from bench.failover_client import percentile
from bench.failover_rounds import Fault, Round, one_round
from bench.pair_faults import MIXED, Heal
from bench.pair_lab import PairLab, pair_lab
from bench.report import Report, say
from tests.cluster.netlab import why_not

DOUBLE_EVERY = 3
COMPATIBLE_SECONDS = ("voter cut", "direct-link cut", "core killed")
"""What may come on top of anything: with the first fault alone the pair still has someone who can serve."""
BETWEEN_S = 1.5
EVERY_S = 0.05
"""Between two writes: the faults count here, not the load (bench-failover writes every 10 ms)."""


def both(first: Fault, second: Fault, rng: random.Random) -> Fault:
    """The second a moment after the first; it heals by itself, the first later."""

    def befall(lab: PairLab, node: str) -> Heal:
        heal_first = first(lab, node)
        time.sleep(rng.uniform(0, BETWEEN_S))
        heal_second = second(lab, node)
        time.sleep(rng.uniform(0, BETWEEN_S))
        heal_second()  # the pair has to serve under the first one alone
        return heal_first

    return befall


def plan(rounds: int, rng: random.Random) -> list[tuple[str, Fault]]:
    """Every fault once, then drawn."""
    names = list(MIXED)
    rng.shuffle(names)
    chosen: list[tuple[str, Fault]] = []
    for number in range(rounds):
        name = names[number] if number < len(names) else rng.choice(names)
        fault = MIXED[name]
        if number >= len(names) and number % DOUBLE_EVERY == 0:
            extra = rng.choice(COMPATIBLE_SECONDS)
            if extra != name:
                chosen.append((f"{name}, then {extra}", both(fault, MIXED[extra], rng)))
                continue
        chosen.append((name, fault))
    return chosen


def run(lab: PairLab, rounds: int, seed: int) -> tuple[list[Round], int]:
    """All rounds, and how many of them did not end serving."""
    rng, client = random.Random(seed), lab.enrol("enf.caos")
    found: list[Round] = []
    for number, (name, fault) in enumerate(plan(rounds, rng)):
        try:
            came = asyncio.run(one_round(lab, client, fault, rng, every_s=EVERY_S))
        except TimeoutError as error:
            say(
                f"round {number + 1}/{rounds}, {name}: {error}\n--- a\n{lab.last_words('a')}\n--- b\n{lab.last_words('b')}"
            )
            return found, rounds - number
        found.append(came)
        told = (
            f"{came.acknowledged} acknowledged, {came.lost} lost, {came.doubled} twice, {came.overlapping} overlapping"
        )
        say(f"round {number + 1}/{rounds}, {name}: out for {came.outage_s:.2f} s; {told}")
    return found, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--once", action="store_true", help="every fault once; fail if an aim is missed")
    options = parser.parse_args()
    if reason := why_not():
        say(f"chaos-pair can't run here: {reason}")
        raise SystemExit(0 if options.once else 1)
    rounds = len(MIXED) if options.once else options.rounds
    configure(level="warning", file=None)  # to stderr
    say(f"seed {options.seed}")
    with (
        tempfile.TemporaryDirectory(prefix="prontuario-chaos-") as folder,
        pair_lab(Path(folder), small_disks=True) as lab,
    ):
        found, unserved = run(lab, rounds, options.seed)
    report = Report("chaos-pair")
    report.row("rounds that ended serving", len(found), "rounds", aim=(">=", rounds))
    report.row("rounds that did not", unserved, "rounds", aim=("==", 0))
    report.row("acknowledged", sum(one.acknowledged for one in found), "writes")
    report.row("lost", sum(one.lost for one in found), "writes", aim=("==", 0))
    report.row("written twice", sum(one.doubled for one in found), "writes", aim=("==", 0))
    report.row("overlapping acknowledgements", sum(one.overlapping for one in found), "writes", aim=("==", 0))
    if found:
        report.row("outage p95", percentile([one.outage_s for one in found], 0.95), "s")
    report.print()
    if options.once and not all(row.get("ok", True) for row in report.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
