"""Writes acknowledged on both nodes, against PostgreSQL with a synchronous standby: same machine, same row, same number of writers.

``python bench/bench_pair.py [--seconds N] [--minutes N]``. Ours: the writer's group commit, Litestream, the shipper over TLS, the
receiver's fsync in a process of its own, the answer. Every writer waits for its answer before it writes again. ``--minutes``
goes on with 200 writers for so long and tells whether the last minute was as good as the first. Needs
``bench/peers_setup.sh`` once for the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.store.database import Database
from appliance.telemetry.logs import configure
from bench.bench_store import TABLE, WRITERS, group_commit
from bench.failover_client import percentile
from bench.pair_nodes import Primary, certificates
from bench.pair_postgres import Measured, measure_all
from bench.report import Report, say

AIMED = (64, 200)
AIM_RATIO = 1.5
AIM_LONE_P50_MS = 8.0
AIM_LAG_P99_MS = 100.0
AIM_FLAT = 1.5
"""The last minute's p99 may be so many times the first one's."""
PEER = "PostgreSQL, synchronous standby"
FSYNCS = 200


@dataclass
class StandbyProcess:
    """The other half, and the lags that it noted, in seconds, once it has ended."""

    process: asyncio.subprocess.Process
    port: int
    lags: list[float] = field(default_factory=list)


@asynccontextmanager
async def standby_process(home: Path, secrets: Path) -> AsyncIterator[StandbyProcess]:
    """Receives until the end of the block."""
    script = Path(__file__).with_name("pair_standby.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(home), str(secrets), stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    assert process.stdout is not None
    standby = StandbyProcess(process, int(await process.stdout.readline()))
    try:
        yield standby
    finally:
        process.send_signal(signal.SIGTERM)
        said = await process.stdout.read()
        standby.lags = json.loads(said or b'{"lags": []}')["lags"]
        await process.wait()


async def ours(primary: Primary, database: Database, writers: int, seconds: float) -> tuple[Measured, dict[str, float]]:
    """What ``writers`` saw, and where the time of a write goes: medians in ms."""
    primary.times.clear()
    began = time.perf_counter()
    latencies = sorted(latency * 1000 for latency in await group_commit(database, writers, seconds))
    measured = Measured(writers, len(latencies) / (time.perf_counter() - began), latencies)
    confirm, ship = (statistics.median(part) * 1000 for part in (primary.times.confirm, primary.times.ship))
    where = {
        "queue and commit": max(0.0, measured.p50 - confirm),
        "sync (WAL to LTX)": confirm - ship,
        "ship and peer's fsync": ship,
    }
    return measured, where


def fsync_ms(folder: Path) -> float:
    """Median of what the receiver does for one file: write, fsync, rename, fsync of the folder."""
    times = []
    for number in range(FSYNCS):
        began = time.perf_counter()
        path = folder / f"{number}.tmp"
        with path.open("wb") as file:
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
        path.rename(folder / f"{number}.ltx")
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def add_rows(report: Report, mine: Measured, peer: Measured) -> None:
    """Throughput and waiting, each beside the peer's."""
    count, aimed = mine.writers, mine.writers in AIMED
    rate_aim = (">=", AIM_RATIO) if aimed else None
    report.row(
        f"acknowledged on both, {count} writers",
        mine.per_second,
        "1/s",
        peer=PEER,
        peer_value=peer.per_second,
        aim=rate_aim,
        on="ratio",
    )
    if count == 1:
        report.row("p50, 1 writer", mine.p50, "ms", peer=PEER, peer_value=peer.p50, aim=("<=", AIM_LONE_P50_MS))
    else:
        wait_aim = ("<=", 1.0) if aimed else None
        report.row(f"p50, {count} writers", mine.p50, "ms", peer=PEER, peer_value=peer.p50, aim=wait_aim, on="ratio")
    report.row(f"p99, {count} writers", mine.p99, "ms", peer=PEER, peer_value=peer.p99)


async def flat(primary: Primary, database: Database, minutes: int, report: Report) -> None:
    """Two hundred writers for ``minutes``; the last minute against the first."""
    p99s, files = list[float](), list[int]()
    for minute in range(minutes):
        latencies = await group_commit(database, 200, 60.0)
        p99s.append(percentile(latencies, 0.99) * 1000)
        files.append(primary.level_0_files())
        say(f"minute {minute + 1}: {len(latencies) / 60:.0f}/s, p99 {p99s[-1]:.1f} ms, {files[-1]} files of level 0")
    aim = ("<=", AIM_FLAT) if minutes > 1 else None
    report.row(f"p99 of minute {minutes} over minute 1", p99s[-1] / p99s[0], "x", aim=aim)
    report.row("most files of level 0", max(files), "files")


async def measure(folder: Path, seconds: float, minutes: int, peers: Sequence[Measured]) -> Report:
    report, (mine, _) = Report("pair"), certificates(folder / "secrets")
    by_writers = {peer.writers: peer for peer in peers}
    async with standby_process(folder / "b", folder / "secrets") as standby, AsyncExitStack() as stack:
        primary = Primary(folder / "a", mine, standby.port)
        database = await primary.start(stack)
        await database.write(lambda tx: tx.execute(TABLE))
        await primary.paired()
        await group_commit(database, 64, 1.0)  # warm
        for writers in WRITERS:
            measured, where = await ours(primary, database, writers, seconds)
            add_rows(report, measured, by_writers[writers])
            for part, spent in where.items():
                report.row(f"{part}, {writers} writers", spent, "ms")
        (folder / "fsync").mkdir()
        report.row("of which one file's fsync, median", fsync_ms(folder / "fsync"), "ms")
        if minutes:
            await flat(primary, database, minutes, report)
        report.row("times the pair fell apart", primary.sync.turns, "times", aim=("==", 0))
    report.row("warm copy's lag p99", percentile(standby.lags, 0.99) * 1000, "ms", aim=("<=", AIM_LAG_P99_MS))
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each figure is measured")
    parser.add_argument("--minutes", type=int, default=0, help="then go on so long with 200 writers")
    options = parser.parse_args()
    configure(level="warning", file=None)  # to stderr
    say(f"the peer first: {PEER}")
    peers = measure_all(options.seconds)
    with tempfile.TemporaryDirectory(prefix="prontuario-bench-") as folder:
        report = uvloop.run(measure(Path(folder), options.seconds, options.minutes, peers))
    report.print()


if __name__ == "__main__":
    main()
