"""Acknowledged writes per second through group commit and Litestream's barrier, against one COMMIT per row.

``python bench/bench_store.py [--seconds N]``. Every writer waits for its answer before it writes again (closed loop).
The peer, in the same run: the same row, the same kind of connection, ``synchronous=FULL``, autocommit, one writer, and
nothing that would protect against the loss of the file.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.sqlite import open_writer
from bench.report import Report, say

WRITERS = (1, 16, 64, 200)
AIM_WRITERS = 200
AIM_PER_SECOND = 15_000
TABLE = "CREATE TABLE IF NOT EXISTS bench_row (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT"
INSERT = "INSERT INTO bench_row (id, body) VALUES (?, ?)"
BODY = json.dumps(
    {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
        "subject": {"reference": "Patient/5f0e4c1a"},
        "effectiveDateTime": "2026-11-20T10:12:13Z",
        "valueQuantity": {"value": 72, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"},
    }
)
_numbers = itertools.count()


def one_row() -> tuple[str, str]:
    return f"{next(_numbers):016x}", BODY


def insert(tx: Transaction) -> None:
    tx.execute(INSERT, one_row())


async def group_commit(database: Database, writers: int, seconds: float) -> list[float]:
    """Latencies in seconds of every acknowledged write."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def write_on_and_on() -> None:
        while (began := time.perf_counter()) < end:
            await database.write(insert)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*(write_on_and_on() for _ in range(writers)))
    return latencies


async def autocommit(folder: Path, seconds: float) -> float:
    """Rows per second."""
    thread = await open_writer(folder / "autocommit.sqlite", busy_timeout_s=5, sqlite_checkpoints=True)

    def go(connection: Any) -> float:
        connection.execute(TABLE)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            connection.execute(INSERT, one_row())
            count += 1
        return count / (time.perf_counter() - began)

    try:
        return await thread.run(go)
    finally:
        await thread.close()


async def measure(folder: Path, seconds: float) -> Report:
    report = Report("store")
    litestream = Litestream(folder / "record.sqlite", folder / "spool", folder / "run")
    async with await Database.open(folder / "record.sqlite", StoreConfig(), barrier=litestream.barrier) as database:
        await litestream.start()
        await database.write(lambda tx: tx.execute(TABLE))
        peer = await autocommit(folder, seconds)
        say(f"autocommit: {peer:.0f} rows/s")
        await group_commit(database, 64, 1.0)  # warm
        for writers in WRITERS:
            began = time.perf_counter()
            latencies = sorted(await group_commit(database, writers, seconds))
            rate = len(latencies) / (time.perf_counter() - began)
            aim = (">=", float(AIM_PER_SECOND)) if writers == AIM_WRITERS else None
            report.row(f"acks/s at {writers} writers", rate, "1/s", peer="autocommit", peer_value=peer, aim=aim)
            report.row(f"ack p50 at {writers} writers", statistics.median(latencies) * 1000, "ms")
            report.row(f"ack p99 at {writers} writers", latencies[int(len(latencies) * 0.99)] * 1000, "ms")
    await litestream.stop()
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each figure is measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prontuario-bench-") as folder:
        uvloop.run(measure(Path(folder), options.seconds)).print()


if __name__ == "__main__":
    main()
