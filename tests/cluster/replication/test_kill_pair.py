"""kill -9 of either side, or of Litestream, under load: what both acknowledged is restorable from the standby alone."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from appliance.cluster.ltx import listing, reach
from appliance.config.model import Paths
from appliance.security.node_authority import NodeFiles
from appliance.store.process_lock import ProcessLock
from tests.cluster.replication.nodes import restored

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
Process = asyncio.subprocess.Process
Starter = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start() -> AsyncIterator[Starter]:
    """Starts the programs beside this test; none outlives it."""
    processes: list[Process] = []

    async def starter(name: str, *arguments: object) -> Process:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, str(PROGRAMS / name), *map(str, arguments)],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        return process

    yield starter
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_from(process: Process) -> list[str]:
    """The next line that is no log."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while words := (await process.stdout.readline()).decode().split():
            if words[0] in {"ready", "litestream", "acknowledged"}:
                return words
    raise AssertionError("the program ended")


def files_of(made: NodeFiles) -> list[Path]:
    return [made.ca, made.certificate, made.key]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["primary", "standby", "litestream", "both"])
async def test_what_both_acknowledged_survives(
    tmp_path: Path, start: Starter, r_certificates: dict[str, NodeFiles], victim: str
) -> None:
    acknowledged: set[int] = set()

    async def collect(writer: Process, count: int) -> None:
        for _ in range(count):
            word, number, mode = await line_from(writer)
            assert (word, mode) == ("acknowledged", "paired")
            acknowledged.add(int(number))

    standby = await start("receive.py", tmp_path / "b", 0, *files_of(r_certificates["b"]))
    port = (await line_from(standby))[1]
    writer = await start("write.py", tmp_path / "a", port, 0, *files_of(r_certificates["a"]))
    _, litestream = await line_from(writer)
    await collect(writer, random.randint(20, 200))
    if victim in {"standby", "both"}:
        standby.kill()
        await standby.wait()
    if victim == "litestream":
        os.kill(int(litestream), signal.SIGKILL)
        await collect(writer, 50)
    if victim == "standby":
        standby = await start("receive.py", tmp_path / "b", port, *files_of(r_certificates["b"]))
        await line_from(standby)
        await collect(writer, 50)
    writer.kill()
    assert writer.stdout is not None
    for line in (await writer.stdout.read()).decode().split("\n")[:-1]:
        if line.startswith("acknowledged"):
            acknowledged.add(int(line.split()[1]))
    await writer.wait()
    if standby.returncode is None:
        standby.kill()
    folder = Paths(tmp_path / "b").replica(1)
    held = await restored(folder, tmp_path / "restored")
    assert acknowledged - held == set()
    assert reach(listing(folder)) > 0
    (await ProcessLock.take(tmp_path / "a" / "data" / "record.sqlite.litestream-lock")).release()  # its leash ended it
