"""``python -m tests.cluster.simulator --schedules N --seed S [--break RULE]``: progress, then one JSON line (DESIGN §12)."""

from __future__ import annotations

import argparse
import sys
import time

from bench.report import Report
from tests.cluster.simulator.pair import Pair, Verdict
from tests.cluster.simulator.rules import BREAKABLE


def simulate(schedules: int, seed: int, broken: str | None, *, stop_at_first: bool, say: bool = True) -> list[Verdict]:
    """Run them one after the other; schedule n has the seed ``seed + n``."""
    verdicts: list[Verdict] = []
    started = time.perf_counter()
    for number in range(schedules):
        verdict = Pair(seed + number, broken).run()
        verdicts.append(verdict)
        if verdict.violation is not None:
            if say:
                print(f"seed {verdict.seed}: {verdict.violation}; blows: {'; '.join(verdict.blows)}", flush=True)
            if stop_at_first:
                break
        if say and (number + 1) % max(1, schedules // 20) == 0:
            pace = (number + 1) / (time.perf_counter() - started)
            print(f"{number + 1}/{schedules} schedules to seed {seed + number}, {pace:.0f} a second", flush=True)
    return verdicts


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.simulator")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--break", dest="broken", choices=sorted(BREAKABLE))
    asked = parser.parse_args(arguments)
    verdicts = simulate(asked.schedules, asked.seed, asked.broken, stop_at_first=asked.broken is not None)
    violations = [verdict for verdict in verdicts if verdict.violation is not None]
    report = Report("simulator")
    report.row("schedules", len(verdicts), "schedules")
    report.row("first seed", asked.seed, "")
    report.row(
        f"violations with {asked.broken} broken" if asked.broken else "violations",
        len(violations),
        "schedules",
        aim=(">=", 1) if asked.broken else ("==", 0),
    )
    report.row("acknowledged", sum(verdict.acknowledged for verdict in verdicts), "writes")
    report.row("transitions", sum(verdict.transitions for verdict in verdicts), "transitions")
    report.print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
