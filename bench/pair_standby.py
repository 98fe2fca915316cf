"""The standby of bench-pair as a process of its own: receives, follows, and notes how far the warm copy trails.

``python bench/pair_standby.py HOME SECRETS``: prints its port, ends at SIGTERM with one JSON line of lags in seconds.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from appliance.security.node_authority import node_files
from appliance.telemetry.logs import configure
from bench.pair_nodes import Standby

LOOK_EVERY_S = 0.005


async def watch_lag(standby: Standby, stop: asyncio.Event) -> list[float]:
    """For every look at which something new had been received: how long the warm copy took to show it."""
    received, lags = deque[tuple[float, int]](), list[float]()
    newest = applied = 0
    assert standby.follower is not None
    while not stop.is_set():
        now, held = time.monotonic(), standby.receiver.position.txid
        if held > newest:
            newest = held
            received.append((now, held))
        if received and (at := standby.follower.at) > applied:
            applied = at
            while received and received[0][1] <= applied:
                lags.append(now - received.popleft()[0])
        await asyncio.sleep(LOOK_EVERY_S)
    return lags


async def serve(home: Path, secrets: Path) -> list[float]:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with AsyncExitStack() as stack:
        standby = Standby(home, node_files(secrets, "b"))
        print(await standby.start(stack), flush=True)
        return await watch_lag(standby, stop)


def main() -> None:
    configure(level="warning", file=None)  # to stderr: stdout carries the port and the lags
    home, secrets = (Path(text) for text in sys.argv[1:3])
    print(json.dumps({"lags": uvloop.run(serve(home, secrets))}), flush=True)


if __name__ == "__main__":
    main()
