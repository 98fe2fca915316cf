"""Acknowledged-on-both writes a second at 1, 64 and 200 writers: primary here, receiver in a process of its own.

For whoever works on replication; ``make bench-pair`` compares with PostgreSQL. Prints where the time goes, and one JSON line.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import uvloop

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from appliance.security.node_authority import NodeFiles, prepare_node
from tests.cluster.replication.nodes import Primary

RECEIVE = """
import asyncio, sys, uvloop
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from appliance.cluster.peer_server import PeerServer
from appliance.cluster.receiver import Receiver
from appliance.security.node_authority import NodeFiles, server_side
async def main():
    receiver = Receiver(Path(sys.argv[2]))
    await receiver.fence(1)
    server = PeerServer("127.0.0.1", 0, server_side(NodeFiles(*map(Path, sys.argv[3:]))), receiver.handlers())
    await server.start()
    print(server.port, flush=True)
    await asyncio.Event().wait()
uvloop.run(main())
"""


async def measure(home: Path, port: int, files: NodeFiles, writers: int, seconds: float) -> dict[str, float]:
    syncs: list[float] = []
    ships: list[float] = []
    taken: list[float] = []
    async with AsyncExitStack() as stack:
        primary = Primary(home, {"a": files}, port)
        await primary.start(stack)
        while primary.log[-1:] != ["in"]:
            if not primary.log:
                await primary.write(0)
            await asyncio.sleep(0.05)
        _time(primary.litestream.barrier, "sync", syncs)
        _time(primary.shipper, "wait_held", ships)
        stop_at = time.perf_counter() + seconds

        async def writer(number: int) -> None:
            while time.perf_counter() < stop_at:
                number += 1
                began = time.perf_counter()
                await primary.write(number, "x" * 200)
                taken.append(time.perf_counter() - began)

        await asyncio.gather(*(writer(n * 1_000_000) for n in range(1, writers + 1)))
        alone = sum(line.endswith("alone") for line in primary.log[2:])
    return {
        "writers": writers,
        "acks_per_s": round(len(taken) / seconds),
        "alone": alone,
        "p50_ms": _percentile(taken, 0.5),
        "p99_ms": _percentile(taken, 0.99),
        "sync_p50_ms": _percentile(syncs, 0.5),
        "ship_p50_ms": _percentile(ships, 0.5),
    }


def _time(owner: object, name: str, into: list[float]) -> None:
    real = getattr(owner, name)

    async def timed(*arguments: float) -> object:
        began = time.perf_counter()
        try:
            return await real(*arguments)
        finally:
            into.append(time.perf_counter() - began)

    setattr(owner, name, timed)


def _percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[int(len(values) * share)] * 1000, 2)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--writers", type=int, nargs="*", default=[1, 64, 200])
    options = parser.parse_args()
    rows = []
    for writers in options.writers:
        with tempfile.TemporaryDirectory() as scratch:
            home = Path(scratch)
            made = {n: prepare_node(home / "secrets", [n], datetime.now(UTC), file_name=n) for n in ("a", "b")}
            there = made["b"]
            arguments = [str(ROOT), str(home / "b"), str(there.ca), str(there.certificate), str(there.key)]
            with subprocess.Popen(
                [sys.executable, "-c", RECEIVE, *arguments], stdout=subprocess.PIPE, text=True
            ) as receiver:
                assert receiver.stdout is not None
                port = next(int(line) for line in receiver.stdout if line.strip().isdecimal())
                try:
                    row = uvloop.run(measure(home / "a", port, made["a"], writers, options.seconds))
                finally:
                    receiver.kill()
            print(row, flush=True)
            rows.append(row)
    print(json.dumps({"name": "pair_replication", "ok": all(row["alone"] == 0 for row in rows), "rows": rows}))


if __name__ == "__main__":
    main()
