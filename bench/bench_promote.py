"""How long a standby takes from "the primary is gone" to "writes are acknowledged here", against the size of the record.

``python bench/bench_promote.py [--megabytes 10,100,1000]``. The peer, in the same run: restoring the same replica cold, which is
what a standby without a warm copy would have to do.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.cluster.follow import restore_copy
from appliance.cluster.ltx import forget_litestream
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.storage import Transaction
from appliance.store.barrier import LocalBarrier
from appliance.store.database import Database
from appliance.telemetry.logs import configure
from bench.bench_store import INSERT, TABLE
from bench.pair_nodes import Primary, Standby, certificates
from bench.report import Report, say

SIZES_MB = (10, 100, 1000)
AIM_S = {1000: 1.5}
ROW_BYTES = 20_000
ROWS_A_WRITE = 50
DRAIN_LIMIT_S = 600.0


@dataclass(frozen=True)
class Promotion:
    """Seconds; ``cold`` is the peer."""

    drained: float
    opened: float
    cold: float


async def fill(database: Database, megabytes: int) -> None:
    """Rows of text until the record is about so large."""
    body, total = "prontuário " * (ROW_BYTES // 11), megabytes * 1_000_000 // ROW_BYTES

    def rows(first: int, tx: Transaction) -> None:
        for number in range(first, min(total, first + ROWS_A_WRITE)):
            tx.execute(INSERT, (f"{number:016x}", body))

    for first in range(0, total, ROWS_A_WRITE):
        await database.write(lambda tx, first=first: rows(first, tx))  # type: ignore[misc]


async def promote(folder: Path, megabytes: int) -> Promotion:
    """Fill a pair, lose its primary, promote the standby."""
    mine, other = certificates(folder / "secrets")
    async with AsyncExitStack() as standby_stack:
        standby = Standby(folder / "b", other)
        port = await standby.start(standby_stack)
        async with AsyncExitStack() as stack:
            primary = Primary(folder / "a", mine, port, ship_deadline_s=60.0)
            database = await primary.start(stack)
            await database.write(lambda tx: tx.execute(TABLE))
            await primary.paired()
            await fill(database, megabytes)
            await _warm(standby, primary.position)
            writing = asyncio.create_task(_keep_writing(database))
            await asyncio.sleep(0.5)  # the primary dies while it works
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        began = time.perf_counter()
        assert standby.follower is not None
        replica, txid = standby.receiver.folder, standby.receiver.position.txid
        await standby.receiver.fence(2)
        path = await standby.follower.finish(txid, deadline_s=DRAIN_LIMIT_S)
        drained = time.perf_counter() - began
        forget_litestream(path)
        async with await Database.open(path, StoreConfig(), barrier=LocalBarrier()) as record:
            await record.write(lambda tx: tx.execute(INSERT, (f"{1 << 60:016x}", "first")))
            opened = time.perf_counter() - began
        began = time.perf_counter()
        await asyncio.to_thread(restore_copy, replica, folder / "cold.sqlite", txid=txid)
        return Promotion(drained, opened, time.perf_counter() - began)


async def _warm(standby: Standby, txid: int) -> None:
    assert standby.follower is not None
    async with asyncio.timeout(DRAIN_LIMIT_S):
        while standby.follower.at < txid:  # noqa: ASYNC110  a file's content is looked at
            await asyncio.sleep(0.1)


async def _keep_writing(database: Database) -> None:
    number = 1 << 50
    while True:
        number += 1
        await database.write(lambda tx, number=number: tx.execute(INSERT, (f"{number:016x}", "x")))  # type: ignore[misc]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", default=",".join(map(str, SIZES_MB)), help="sizes of the record")
    configure(level="warning", file=None)  # to stderr
    report = Report("promote")
    for megabytes in map(int, parser.parse_args().megabytes.split(",")):
        say(f"a record of {megabytes} MB")
        with tempfile.TemporaryDirectory(prefix="prontuario-bench-") as folder:
            took = uvloop.run(promote(Path(folder), megabytes))
        aim = ("<=", AIM_S[megabytes]) if megabytes in AIM_S else None
        report.row(f"drained and checked, {megabytes} MB", took.drained, "s")
        report.row(
            f"open for writing, {megabytes} MB", took.opened, "s", peer="cold restore", peer_value=took.cold, aim=aim
        )
    report.print()


if __name__ == "__main__":
    main()
