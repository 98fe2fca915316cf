"""A whole switch of versions on a live pair, and what may go wrong in it.

``python bench/pair_update.py [--scenarios plain,schema,…] [--seed N] [--patient] [--once]``, root on Linux. Each node is a
stand-in Mac (``mac_machine``): installed from a package, run by an asynchronous launchd, updated by the very commands of
docs/updates.md from a signed bundle: the standby first, its gates, handover, then the other. A client writes through the
virtual IP all the while. Aims: no acknowledged write lost or there twice; both nodes on the same version at the end (the new
one, or where it must fail the one before), in step and serving. ``--once`` is for CI: the exit status says whether every aim
was met, and a machine that can't run it is told so.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "packaging")]

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.telemetry.logs import configure
from bench.mac_machine import why_no_mac
from bench.pair_lab import NODES
from bench.pair_macs import PairMacs, pair_macs
from bench.pair_update_rehearsal import SCENARIOS, Came, Rehearsal
from bench.pair_update_versions import Workshop, found_programs
from bench.report import Report, say
from tests.cluster.netlab import why_not

FIRST: Final = "0.1.0"


def run(lab: PairMacs, shop: Workshop, names: list[str], seed: int, report: Report) -> int:
    """All scenarios, one version after the other; how many did not end serving."""
    rehearsal = Rehearsal(lab, lab.enrol("enf.versao"), random.Random(seed))
    for number, name in enumerate(names, start=1):
        scenario, version = SCENARIOS[name], f"0.1.{number}"
        say(f"scenario {number}/{len(names)}, {name}: {lab.macs['a'].current()} to {version}")
        bundle = shop.bundle(version, scenario.change, oldest=FIRST)
        try:
            came = asyncio.run(rehearsal.switch(scenario, version, bundle))
        except (TimeoutError, subprocess.SubprocessError) as error:
            say(f"{name}: {error}")
            for node in NODES:
                say(f"--- {node}: {lab.update(node)}\n{lab.last_words(f'{node}-update')}\n{lab.last_words(node)}")
            return len(names) - number + 1
        tell(report, name, came)
    return 0


def tell(report: Report, name: str, came: Came) -> None:
    """One scenario's rows."""
    report.row(f"{name}: outage while the first node was switched", came.outages_s[0], "s")
    report.row(f"{name}: outage while the second node was switched", came.outages_s[1], "s")
    report.row(f"{name}: whole switch of the pair", came.seconds, "s")
    report.row(f"{name}: of which the whole machine stood still", came.still_s, "s")
    report.row(f"{name}: times that apply was given on the first node", came.tries, "times")
    report.row(f"{name}: acknowledged", came.acknowledged, "writes")
    report.row(f"{name}: lost", came.lost, "writes", aim=("==", 0))
    report.row(f"{name}: written twice", came.doubled, "writes", aim=("==", 0))
    report.row(f"{name}: overlapping acknowledgements", came.overlapping, "writes", aim=("==", 0))
    report.row(f"{name}: both nodes on the version they should run", int(came.right), "times", aim=("==", 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="some of them, with commas")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--patient", action="store_true", help="longer leases, for a machine that others use meanwhile")
    parser.add_argument("--once", action="store_true", help="fail if an aim is missed")
    options = parser.parse_args()
    configure(level="warning", file=None)  # to stderr
    with tempfile.TemporaryDirectory(prefix="ptup-", ignore_cleanup_errors=True) as folder:
        if reason := why_not() or why_no_mac(Path(folder)):
            say(f"chaos-pair-update can't run here: {reason}")
            raise SystemExit(0 if options.once else 1)
        say(f"seed {options.seed}")
        report = Report("chaos-pair-update")
        made = Path(folder) / "made"
        made.mkdir()
        shop = Workshop(made, found_programs(("etcd", "litestream")), Ed25519PrivateKey.generate())
        with pair_macs(Path(folder), shop, FIRST, patient=options.patient) as lab:
            unserved = run(lab, shop, options.scenarios.split(","), options.seed, report)
    report.row("scenarios that did not end serving", unserved, "scenarios", aim=("==", 0))
    report.print()
    if options.once and not all(row.get("ok", True) for row in report.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
