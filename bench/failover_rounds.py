"""One round of bench-failover and chaos-pair: write through the virtual IP, let a fault befall the pair, heal it, count."""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.failover_client import EVERY_S, QUIET_S, Acknowledged, Books, until_steady
from bench.pair_faults import Heal
from bench.pair_lab import PairLab

WRITER = Path(__file__).with_name("failover_writer.py")
PHASE_S = 1.0
PAIRED_LIMIT_S = 300.0
STOP_LIMIT_S = 180.0
Fault = Callable[[PairLab, str], Heal]


@dataclass(frozen=True)
class Round:
    """What came of it. ``doubled``: keys whose effect is there more than once."""

    outage_s: float
    acknowledged: int
    lost: int
    doubled: int
    overlapping: int


class RemoteClient:
    """The writer in the client's namespace; ``books`` grow while it runs, ``mode`` is what the last answer was worth."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._reading = asyncio.create_task(self._read())
        self.books = Books()
        self.mode = ""

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "key" in told:
                self.mode = told["mode"]
                one = Acknowledged(told["key"], told["began"], told["ended"], told["term"])
                self.books.acknowledged.append(one)

    async def paired(self, limit_s: float = PAIRED_LIMIT_S) -> None:
        """Wait until an acknowledgement means both nodes again. Raises ``TimeoutError``."""
        async with asyncio.timeout(limit_s):
            while self.mode != "paired":  # noqa: ASYNC110  told by the answers
                await asyncio.sleep(0.1)

    def give_up(self) -> None:
        """End it at once: nobody waits for what is under way."""
        self._process.kill()

    async def stop(self) -> None:
        """Let it end what is under way."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(STOP_LIMIT_S):
            await self._reading
            await self._process.wait()


def _argv(lab: PairLab, client: Path, system: str, *more: str, where: str = "client", url: str = "") -> list[str]:
    return lab.net.command(where, [sys.executable, str(WRITER), str(client), system, url or lab.url, *more])


@asynccontextmanager
async def writing(
    lab: PairLab, client: Path, system: str, *, every_s: float = EVERY_S, where: str = "client", url: str = ""
) -> AsyncIterator[RemoteClient]:
    """A client in the namespace ``where`` that writes until the end of the block, through the virtual IP unless told otherwise."""
    pipe = asyncio.subprocess.PIPE
    argv = _argv(lab, client, system, "--every", str(every_s), where=where, url=url)
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    remote = RemoteClient(process)
    try:
        yield remote
    finally:
        if process.returncode is None:
            await remote.stop()


async def count(lab: PairLab, client: Path, system: str) -> dict[str, int]:
    """How often each key is in the record now."""
    process = await asyncio.create_subprocess_exec(
        *_argv(lab, client, system, "--count"), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return dict(json.loads(said)["kept"])


async def one_round(lab: PairLab, client: Path, fault: Fault, rng: random.Random, *, every_s: float = EVERY_S) -> Round:
    """Raises ``TimeoutError``: the pair does not serve, or is not complete again, within minutes."""
    system = f"urn:bench:{secrets.token_hex(6)}"
    async with writing(lab, client, system, every_s=every_s) as remote:
        await until_steady(remote.books, 1.0)
        await remote.paired()
        node = await asyncio.to_thread(lab.primary)
        await asyncio.sleep(rng.uniform(0, PHASE_S))
        moment = time.monotonic()
        heal = await asyncio.to_thread(fault, lab, node)
        await until_steady(remote.books, QUIET_S, after=moment)
        healed = time.monotonic()
        await asyncio.to_thread(heal)
        await until_steady(remote.books, 1.0, after=healed)
        await remote.paired()
    kept = await count(lab, client, system)
    books = remote.books
    doubled = sum(times > 1 for times in kept.values())
    lost = len(books.lost(set(kept)))
    return Round(books.outage_after(moment), len(books.acknowledged), lost, doubled, books.overlapping())
