"""Break an engine in the middle of 200 streams: does every stream say what becomes of it, and does the record stay fast?

Language model (the demonstration's weights, through ``/v1/chat/completions``): kill -9 and SIGSTOP, ``--rounds`` times each.
Counted: streams that were not told anything (an end, a piece, their place in the queue) within two seconds of the engine's
restart, and streams that just stopped. Paced echo engine (25 pieces a second and stream, whatever their number): kill -9,
SIGSTOP, a memory blow-up and SIGSEGV, with the p99 of reads of the record against the same streams and no fault. Then lanes
and shares, see ``chaos_lanes.py``. The streams come from ``--users`` people.

Usage: ``chaos_engines.py [--streams 200] [--users 20] [--rounds 2] [--tokens 160] [--pieces 150] [--greedy 100] [--tries 20]``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import chaos_lanes
import httpx
from chaos_streams import Stream, chat, ends, engine_row, http, people, plugin, ready_pid, restarted, unclear
from chat_rows import chat_model, prompts
from node import BenchNode, running_node
from report import Report, say

READERS, READ_PAUSE_S, READ_FOR_S = 4, 0.02, 10.0
STRIKE_SHARE = 0.05
"""So many of the language model's streams have their first piece when the fault strikes: most others wait."""
STRIKE_LIMIT_S, FAULT_AFTER_S = 120.0, 2.0
TOLD_WITHIN_S = 2.0
PLUGIN = Path(__file__).parent / "chaos_plugin"
AIM_RATIO = 2.0
LANGUAGE, ECHO = "medgemma", "chaos_plugin"
_numbers = itertools.count(1)


def install(home: Path) -> None:
    """Put the chaos plugin where a third party's would be."""
    folder = home / "plugins" / "chaos_plugin-0.1.0"
    info = folder / "chaos_plugin-0.1.0.dist-info"
    info.mkdir(parents=True)
    for part in PLUGIN.glob("*.py"):
        shutil.copy(part, folder)
    asked = '["engines", "routes", "permissions"]'
    (folder / "prontuario-plugin.toml").write_text(f'name="chaos_plugin"\nversion="0.1.0"\npermissions={asked}\n')
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos_plugin\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[prontuario.plugins]\nchaos_plugin = chaos_plugin:plugin\n")


@dataclass
class Scene:
    """The node's people and the report."""

    phones: Sequence[httpx.AsyncClient]
    it: httpx.AsyncClient
    report: Report
    asked: argparse.Namespace

    def phone(self, number: int) -> httpx.AsyncClient:
        return self.phones[number % len(self.phones)]

    # -- the language model ---------------------------------------------------------------------------------------------
    async def break_language(self, name: str, number: int) -> None:
        """One fault in the middle of all streams, and what they were told."""
        model = await chat_model(self.phones[0])
        pid = await ready_pid(self.it, LANGUAGE)
        texts = [f"Consulta {next(_numbers)}. {text}" for text in prompts(self.asked.streams)]
        tasks = [
            asyncio.create_task(chat(self.phone(place), model, text, self.asked.tokens))
            for place, text in enumerate(texts)
        ]
        await self._until_some_speak()
        struck = time.monotonic()
        os.kill(pid, number)
        back = await restarted(self.it, LANGUAGE, pid)
        streams = await asyncio.gather(*tasks)
        alive = [one for one in streams if one.ended > struck]
        if not alive:
            raise SystemExit("every stream had ended before the fault: ask for longer answers (--tokens)")
        self._tell(name, alive, struck, back)

    async def _until_some_speak(self) -> None:
        """Until all streams have been admitted and some are being answered."""
        deadline = time.monotonic() + STRIKE_LIMIT_S
        while time.monotonic() < deadline:
            row = await engine_row(self.it, LANGUAGE)
            waiting, running = int(str(row["waiting"])), int(str(row["running"]))
            if waiting + running >= (1 - STRIKE_SHARE) * self.asked.streams or waiting == 0 < running:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(FAULT_AFTER_S)

    def _tell(self, name: str, streams: list[Stream], struck: float, back: tuple[float, float]) -> None:
        """``back``: between which two moments the engine came back."""
        not_yet, ready = back
        late = sum(not one.told_between(not_yet, ready + TOLD_WITHIN_S) for one in streams)
        of = f"of {len(streams)}"
        say(f"language model, {name}: {dict(ends(streams))}, restarted after {ready - struck:.1f} s")
        row = self.report.row
        row(f"language model, {name}: streams alive at the fault", len(streams), f"of {self.asked.streams}")
        row(f"language model, {name}: told nothing within 2 s of the restart", late, of, aim=("==", 0))
        row(f"language model, {name}: ended unclearly", unclear(streams), of, aim=("==", 0))
        row(f"language model, {name}: answered in full after all", ends(streams)["answer"], of)
        row(f"language model, {name}: from the fault to the restart", ready - struck, "s")
        last = max(one.content_since(ready) for one in streams)
        row(f"language model, {name}: last stream to get a piece or its end after the restart", last, "s")

    # -- the paced engine and the record ----------------------------------------------------------------------------------
    async def streams_and_reads(
        self, path: str, fault: Callable[[], Awaitable[object]] | None
    ) -> tuple[float, list[Stream]]:
        """(p99 of the reads in seconds, the streams). The record is read for ten seconds, however soon the streams end."""
        times: list[float] = []
        over = asyncio.Event()
        until = time.monotonic() + READ_FOR_S
        readers = [asyncio.create_task(self._read(self.phone(place), path, over, times)) for place in range(READERS)]
        pieces = str(self.asked.pieces)
        tasks = [
            asyncio.create_task(plugin(self.phone(place), count=pieces, deadline_s="300"))
            for place in range(self.asked.streams)
        ]
        await asyncio.sleep(FAULT_AFTER_S)
        if fault is not None:
            await fault()
        streams = await asyncio.gather(*tasks)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        over.set()
        await asyncio.gather(*readers)
        return sorted(times)[int(len(times) * 0.99)], streams

    @staticmethod
    async def _read(phone: httpx.AsyncClient, path: str, over: asyncio.Event, times: list[float]) -> None:
        while not over.is_set():
            began = time.perf_counter()
            (await phone.get(path)).raise_for_status()
            times.append(time.perf_counter() - began)
            await asyncio.sleep(READ_PAUSE_S)

    async def break_paced(self) -> None:
        """Every fault once, after a quiet scene."""
        person = {"resourceType": "Patient", "active": True}
        patient = (await self.phones[0].post("/fhir/R4/Patient", json=person)).json()
        path = f"/fhir/R4/Patient/{patient['id']}"

        async def blow(number: int) -> None:
            os.kill(await ready_pid(self.it, ECHO), number)

        async def ask(kind: str) -> Stream:
            return await plugin(self.phones[0], kind=kind, key=str(time.monotonic_ns()))

        faults: dict[str, Callable[[], Awaitable[object]]] = {
            "kill -9": lambda: blow(signal.SIGKILL),
            "SIGSTOP": lambda: blow(signal.SIGSTOP),
            "memory blow-up": lambda: ask("leak"),
            "SIGSEGV": lambda: ask("segv"),
        }
        await ready_pid(self.it, ECHO)
        await self.streams_and_reads(path, None)  # warm up
        quiet_s, streams = await self.streams_and_reads(path, None)
        say(f"quiet: p99 {quiet_s * 1000:.1f} ms, streams {dict(ends(streams))}")
        for name, fault in faults.items():
            await ready_pid(self.it, ECHO)
            seconds, streams = await self.streams_and_reads(path, fault)
            say(f"{name}: streams {dict(ends(streams))}")
            self.report.row(f"{name}: read p99", seconds * 1000, "ms", peer="no fault", peer_value=quiet_s * 1000,
                            aim=("<=", AIM_RATIO), on="ratio")  # fmt: skip
            of = f"of {len(streams)}"
            self.report.row(f"{name}: streams that ended unclearly", unclear(streams), of, aim=("==", 0))


async def run(node: BenchNode, asked: argparse.Namespace) -> Report:
    """Everything on one node."""
    report = Report("chaos-engines")
    async with AsyncExitStack() as stack:
        phones = await stack.enter_async_context(people(node, asked.users))
        it = await stack.enter_async_context(http(node.client("ti", "it")))
        scene = Scene(phones, it, report, asked)
        for number in range(1, asked.rounds + 1):
            await scene.break_language(f"kill -9, round {number}", signal.SIGKILL)
            await scene.break_language(f"SIGSTOP, round {number}", signal.SIGSTOP)
        await scene.break_paced()
        await chaos_lanes.urgent_beside_background(phones, it, report, asked)
        await chaos_lanes.one_greedy_user(phones, it, report, asked)
    return report


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=160)
    parser.add_argument("--pieces", type=int, default=150)
    parser.add_argument("--greedy", type=int, default=100)
    parser.add_argument("--tries", type=int, default=20)
    asked = parser.parse_args()
    with running_node("--no-admin", prepare=install) as node:
        report = asyncio.run(run(node, asked))
    report.print()


if __name__ == "__main__":
    main()
