"""How long the pair is out for, fault by fault, and whether anything acknowledged is lost; Patroni under the same client beside it.

``python bench/bench_failover.py [--rounds 20] [--seed N] [--peer-rounds 3]``: a client writes through the virtual IP every 10 ms;
every fault befalls the primary at a random phase. Needs root on Linux, and ``bench/peers_setup.sh`` once for the peer
(``--peer-rounds 0`` leaves it out).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.telemetry.logs import configure
from bench.failover_client import percentile
from bench.failover_rounds import Round, one_round
from bench.pair_faults import MEASURED
from bench.pair_lab import PairLab, pair_lab
from bench.report import Report, say
from tests.cluster.netlab import why_not

AIM_P95_S = {"crash": 3.0, "planned handover": 1.0}
PEER = "Patroni + PostgreSQL"
PEER_FAULTS = {"crash": "crash", "SIGSTOP": "stop", "planned handover": "planned"}


def measure_peer(rounds: int) -> dict[str, float]:
    """What the peer's own script says, by row."""
    script = Path(__file__).with_name("failover_patroni.py")
    argv = [sys.executable, str(script), "--rounds", str(rounds), "--faults", ",".join(PEER_FAULTS.values())]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])["rows"]
    return {row["what"]: row["value"] for row in rows}


def measure(lab: PairLab, faults: dict[str, Any], rounds: int, seed: int) -> dict[str, list[Round]]:
    """All rounds, by fault."""
    rng, client = random.Random(seed), lab.enrol("enf.bancada")
    found: dict[str, list[Round]] = {}
    for name, fault in faults.items():
        for number in range(rounds):
            came = asyncio.run(one_round(lab, client, fault, rng))
            found.setdefault(name, []).append(came)
            say(
                f"{name} {number + 1}/{rounds}: out for {came.outage_s:.2f} s; {came.acknowledged} acknowledged, {came.lost} lost"
            )
    return found


def add_rows(report: Report, found: dict[str, list[Round]], peer: dict[str, float]) -> None:
    """Outage by fault, then the counts that must be 0."""
    for name, rounds in found.items():
        for word, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            limit = AIM_P95_S.get(name) if word == "p95" else None
            theirs = peer.get(f"outage {word}: {PEER_FAULTS.get(name)}")
            report.row(
                f"outage {word}: {name}", percentile([one.outage_s for one in rounds], share), "s",
                peer=PEER if theirs else None, peer_value=theirs, aim=("<=", limit) if limit else None,
            )  # fmt: skip
    every = [one for rounds in found.values() for one in rounds]
    report.row("rounds", len(every), "rounds")
    report.row("acknowledged", sum(one.acknowledged for one in every), "writes")
    report.row("lost", sum(one.lost for one in every), "writes", aim=("==", 0))
    report.row("written twice", sum(one.doubled for one in every), "writes", aim=("==", 0))
    report.row("overlapping acknowledgements", sum(one.overlapping for one in every), "writes", aim=("==", 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--peer-rounds", type=int, default=3, help="0: without the peer")
    parser.add_argument("--faults", default=",".join(MEASURED), help="some of them, with commas")
    options = parser.parse_args()
    if reason := why_not():
        raise SystemExit(f"bench-failover can't run here: {reason}")
    configure(level="warning", file=None)  # to stderr
    say(f"seed {options.seed}")
    peer = measure_peer(options.peer_rounds) if options.peer_rounds else {}
    faults = {name: MEASURED[name] for name in options.faults.split(",")}
    with tempfile.TemporaryDirectory(prefix="prontuario-bench-") as folder, pair_lab(Path(folder)) as lab:
        found = measure(lab, faults, options.rounds, options.seed)
    report = Report("failover")
    add_rows(report, found, peer)
    report.print()


if __name__ == "__main__":
    main()
