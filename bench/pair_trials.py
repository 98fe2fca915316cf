"""Two trials of a pair whose course is known beforehand: split brain with the old primary alive, and full disks.

``python bench/pair_trials.py [--trials split-brain,full-disks]``, in network namespaces (root, Linux). Split brain: both links of
the primary are cut, a client beside it goes on writing to it; it must acknowledge nothing once its lease is over, its address
must go, and after the return its rows wait for review and its database is kept. Full disks: the standby's, the primary's, both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.config.model import Cluster
from appliance.telemetry.logs import configure
from bench.failover_client import QUIET_S, until_steady
from bench.failover_rounds import RemoteClient, count, writing
from bench.pair_faults import other
from bench.pair_lab import API_PORT, PRONTUARIO, ROOT, PairLab, pair_lab
from bench.report import Report, say
from tests.cluster.netlab import LAN, VIP, why_not

LEASE_S = Cluster().lease_ttl_s
ADDRESS_AFTER_LEASE_S = 0.3
ALIVE_ALONE_S = 3.0
LIMIT_S = 180.0
EVERY_S = 0.1
Trial = Callable[[PairLab, Path, Report], Coroutine[Any, Any, None]]


async def until(true: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> float:
    """Wait until ``true`` (called on a thread) says so; when, in monotonic seconds. Raises ``TimeoutError``."""
    deadline = time.monotonic() + limit_s
    while not await asyncio.to_thread(true):
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.02)
    return time.monotonic()


async def serving(remote: RemoteClient, after: float) -> None:
    """Wait for steady service since ``after``, acknowledged on both nodes."""
    await until_steady(remote.books, 1.0, after=after, limit_s=LIMIT_S)
    await remote.paired()


async def losses(lab: PairLab, client: Path, systems: dict[str, RemoteClient]) -> tuple[int, int]:
    """Of all that these clients were acknowledged: how many are missing, and how many are there more than once."""
    lost = doubled = 0
    for system, remote in systems.items():
        kept = await count(lab, client, system)
        lost += len(remote.books.lost(set(kept)))
        doubled += sum(times > 1 for times in kept.values())
    return lost, doubled


# -- split brain ---------------------------------------------------------------------------------------------------------
async def split_brain(lab: PairLab, client: Path, report: Report) -> None:
    """See the module."""
    systems = {"urn:trial:outside": "client", "urn:trial:beside": lab.primary()}
    old, new = systems["urn:trial:beside"], other(systems["urn:trial:beside"])
    outside_system, beside_system = systems
    async with (
        writing(lab, client, outside_system, every_s=EVERY_S) as outside,
        writing(lab, client, beside_system, every_s=EVERY_S, where=old, url=_own_url(old)) as beside,
    ):
        await serving(outside, time.monotonic())
        await until_steady(beside.books, 1.0)
        await asyncio.to_thread(lab.net.isolate, old, direct=True)
        cut = time.monotonic()
        gone = await until(lambda: not lab.net.has(old, VIP), "the old primary keeps the address")
        await until_steady(outside.books, QUIET_S, after=cut, limit_s=LIMIT_S)
        await asyncio.sleep(ALIVE_ALONE_S)
        beside.give_up()
        late = sum(one.ended > cut + LEASE_S for one in beside.books.acknowledged)
        await asyncio.to_thread(lab.net.heal)
        await serving(outside, time.monotonic())
        waiting = await _divergent(lab, new)
    lost, doubled = await losses(lab, client, {outside_system: outside, beside_system: beside})
    report.row("split brain: address gone after the cut", gone - cut, "s", aim=("<=", LEASE_S + ADDRESS_AFTER_LEASE_S))
    report.row("split brain: acknowledged by the old primary after its lease", late, "writes", aim=("==", 0))
    report.row("split brain: outage for clients", outside.books.outage_after(cut), "s")
    report.row("split brain: rows of the old primary that wait for review", waiting, "rows", aim=(">=", 1))
    report.row("split brain: databases kept aside", len(_kept_aside(lab, old)), "databases", aim=(">=", 1))
    report.row("split brain: lost", lost, "writes", aim=("==", 0))
    report.row("split brain: written twice", doubled, "writes", aim=("==", 0))


def _own_url(node: str) -> str:
    return f"https://{LAN[node]}:{API_PORT}"


async def _divergent(lab: PairLab, primary: str) -> int:
    """How many rows wait for review once the comparison is through."""
    await until(lambda: _waiting(lab, primary) > 0, "no row waits for review")
    return _waiting(lab, primary)


def _waiting(lab: PairLab, primary: str) -> int:
    argv = [*PRONTUARIO, "cluster", "divergences", "--json", "--home", str(lab.home(primary))]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60).stdout
    answer = json.loads(told)
    kinds = Counter(f"{row['row']['table']} {row['row']['kind']}" for row in answer["rows"])
    say(f"waiting for review: {answer['count']}; of the first {len(answer['rows'])}: {dict(kinds)}")
    return int(answer["count"])


def _kept_aside(lab: PairLab, node: str) -> list[Path]:
    return list((lab.home(node) / "data" / "set-aside").glob("*/*.sqlite"))


# -- full disks ----------------------------------------------------------------------------------------------------------
async def full_disks(lab: PairLab, client: Path, report: Report) -> None:
    """See the module."""
    system = "urn:trial:disks"
    async with writing(lab, client, system, every_s=EVERY_S) as remote:
        await serving(remote, time.monotonic())
        await _standby_full(lab, remote, report)
        await _primary_full(lab, remote, report)
        await _both_full(lab, remote, report)
    lost, doubled = await losses(lab, client, {system: remote})
    report.row("full disks: acknowledged", len(remote.books.acknowledged), "writes")
    report.row("full disks: lost", lost, "writes", aim=("==", 0))
    report.row("full disks: written twice", doubled, "writes", aim=("==", 0))


async def _standby_full(lab: PairLab, remote: RemoteClient, report: Report) -> None:
    primary = lab.primary()
    standby = other(primary)
    moment = time.monotonic()
    lab.disks[standby].fill()
    await until(lambda: _alarmed(lab, standby), "the standby says nothing of its full disk")
    await until(lambda: remote.mode == "degraded", "the primary does not go on alone")
    await until_steady(remote.books, QUIET_S, after=moment, limit_s=LIMIT_S)
    report.row("standby full: outage", remote.books.outage_after(moment), "s")
    lab.disks[standby].free()
    await serving(remote, time.monotonic())
    await until(lambda: not _alarmed(lab, standby), "the alarm stays")
    say("the standby's disk was full; both nodes hold everything again")


async def _primary_full(lab: PairLab, remote: RemoteClient, report: Report) -> None:
    primary = lab.primary()
    moment = time.monotonic()
    lab.disks[primary].fill()
    await until(lambda: _alarmed(lab, primary), "the primary says nothing of its full disk")
    await until_steady(remote.books, QUIET_S, after=moment, limit_s=LIMIT_S)
    report.row("primary full: outage", remote.books.outage_after(moment), "s")
    report.row("primary full: the other node took over", int(lab.primary() != primary), "times", aim=("==", 1))
    lab.disks[primary].free()
    await serving(remote, time.monotonic())
    await until(lambda: not _alarmed(lab, primary), "the alarm stays")
    say("the primary's disk was full; both nodes hold everything again")


async def _both_full(lab: PairLab, remote: RemoteClient, report: Report) -> None:
    primary = lab.primary()
    lab.disks[other(primary)].fill()
    await until(lambda: remote.mode == "degraded", "the primary does not go on alone")
    lab.disks[primary].fill()
    for node in lab.disks:
        await until(lambda node=node: _alarmed(lab, node), f"{node} says nothing of its full disk")  # type: ignore[misc]
    await asyncio.sleep(ALIVE_ALONE_S)
    for disk in lab.disks.values():
        disk.free()
    freed = time.monotonic()
    await serving(remote, freed)
    report.row("both full: serves again after space returned", _first_after(remote, freed) - freed, "s")
    for node in lab.disks:
        await until(lambda node=node: not _alarmed(lab, node), "the alarm stays")  # type: ignore[misc]
    say("both disks were full; both nodes hold everything again")


def _first_after(remote: RemoteClient, moment: float) -> float:
    return min(one.ended for one in remote.books.acknowledged if one.ended > moment)


def _alarmed(lab: PairLab, node: str) -> bool:
    """Whether the node's own readiness says that something failed (503): what a monitor looks at."""
    asked = ["curl", "--silent", "--insecure", "--max-time", "5", f"{_own_url(node)}/health/ready"]
    said = lab.net.run(node, *asked, check=False).stdout
    return bool(said) and json.loads(said).get("status") == "failed"


TRIALS: dict[str, Trial] = {"split-brain": split_brain, "full-disks": full_disks}


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", default=",".join(TRIALS), help="some of them, with commas")
    options = parser.parse_args()
    if reason := why_not():
        raise SystemExit(f"pair-trials can't run here: {reason}")
    configure(level="warning", file=None)  # to stderr
    report = Report("pair-trials")
    with (
        tempfile.TemporaryDirectory(prefix="prontuario-trials-") as folder,
        pair_lab(Path(folder), small_disks=True) as lab,
    ):
        client = lab.enrol("enf.provas")
        for name in options.trials.split(","):
            say(f"trial: {name}")
            asyncio.run(TRIALS[name](lab, client, report))
    report.print()


if __name__ == "__main__":
    main()
