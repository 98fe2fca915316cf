"""The peer of bench-failover: Patroni + PostgreSQL (synchronous) + etcd + HAProxy on loopback, under the same client.

``python bench/failover_patroni.py [--rounds N] [--settings tight|default] [--faults crash,postgres,stop,planned]`` prints progress
and one JSON line. Needs ``bench/peers_setup.sh`` once, and runs itself with the Python that it made.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.failover_client import Client, percentile
from bench.failover_patroni_cluster import FAULTS, SETTINGS, PatroniCluster
from bench.peers import VENV, program, scratch
from bench.report import Report, say

try:
    import psycopg
except ImportError:  # the peers' Python has it
    if Path(sys.executable).is_relative_to(VENV):
        raise
    os.execv(program("python"), [program("python"), *sys.argv])  # noqa: S606  the same command line, another Python

INSERT = "INSERT INTO bench_row (id, body) VALUES (%s, 'x') ON CONFLICT (id) DO UPDATE SET body = 'x' RETURNING inet_server_port()"


class Sql:
    """The service behind HAProxy, over connections that are replaced when they break."""

    def __init__(self, port: int) -> None:
        self._where = f"host=127.0.0.1 port={port} user=bench dbname=postgres connect_timeout=2"
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._terms: dict[int, int] = {}

    async def write(self, key: str) -> int:
        """See ``failover_client.Service``."""
        connection = (
            self._idle.pop() if self._idle else await psycopg.AsyncConnection.connect(self._where, autocommit=True)
        )
        try:
            answer = await (await connection.execute(INSERT, [key])).fetchone()
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)
        assert answer is not None
        return self._terms.setdefault(answer[0], len(self._terms))

    def new_round(self) -> None:
        """Terms count from the server that acknowledges first."""
        self._terms.clear()

    async def prepare(self) -> None:
        """The table."""
        async with await psycopg.AsyncConnection.connect(self._where, autocommit=True) as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS bench_row (id TEXT PRIMARY KEY, body TEXT NOT NULL)")

    async def kept(self) -> set[str]:
        """See ``failover_client.Service``."""
        async with await psycopg.AsyncConnection.connect(self._where, autocommit=True) as connection:
            rows = await (await connection.execute("SELECT id FROM bench_row")).fetchall()
        return {row[0] for row in rows}

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().close()


async def one_round(
    cluster: PatroniCluster, sql: Sql, fault: str, number: int, rng: random.Random
) -> tuple[float, int, int, int]:
    """(outage s, acknowledged, lost, overlapping) of one fault under load."""
    sql.new_round()
    client = Client(sql, f"{fault}-{number}")
    client.start()
    try:
        await client.steady(1.0)
        await asyncio.sleep(rng.uniform(0, cluster.loop_wait))  # a random phase of Patroni's loop
        moment = time.monotonic()
        heal = await asyncio.to_thread(cluster.strike, fault)
        await client.steady(after=moment)
        await asyncio.to_thread(heal)
        await client.steady(1.0)
    finally:
        await client.stop()
    await sql.close()
    kept = await sql.kept()
    books = client.books
    return books.outage_after(moment), len(books.acknowledged), len(books.lost(kept)), books.overlapping()


async def measure(cluster: PatroniCluster, faults: Sequence[str], rounds: int, seed: int) -> Report:
    """All faults, each ``rounds`` times."""
    report, rng, sql = Report("failover-patroni"), random.Random(seed), Sql(cluster.port)
    await sql.prepare()
    acknowledged = lost = overlap = 0
    for fault in faults:
        outages = []
        for number in range(rounds):
            await asyncio.to_thread(cluster.wait_paired)
            outage, acks, gone, twice = await one_round(cluster, sql, fault, number, rng)
            outages.append(outage)
            acknowledged, lost, overlap = acknowledged + acks, lost + gone, overlap + twice
            say(f"{fault} {number + 1}/{rounds}: out for {outage:.2f} s; {acks} acknowledged, {gone} lost")
        for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0)):
            report.row(f"outage {name}: {fault}", percentile(outages, share), "s")
    report.row("acknowledged", acknowledged, "writes")
    report.row("lost", lost, "writes")
    report.row("nodes made anew by hand", cluster.helped, "nodes")
    report.row("overlapping acknowledgements", overlap, "writes")
    return report


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", choices=sorted(SETTINGS), default="tight")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    faults = [fault for fault in options.faults.split(",") if fault in FAULTS]
    with scratch("prontuario-patroni-") as folder:
        cluster = PatroniCluster(folder, options.settings)
        try:
            cluster.start()
            report = asyncio.run(measure(cluster, faults, options.rounds, options.seed))
        finally:
            cluster.stop()
    report.print()


if __name__ == "__main__":
    main()
