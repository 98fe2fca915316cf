"""Memory: core and engines under mixed load with cancels; the last third of the time must look like the second.

Chats are streamed and left in the middle, recordings are transcribed, bad requests come in between. Resident memory of core and of
every engine child is read once a second; the first third warms caches up. Usage: ``bench_memory.py [--minutes 30] [--users 8]``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import httpx
import psutil
from bench_chat import Run, one, phone
from chat_rows import chat_model, prompts
from node import BenchNode, running_node
from report import Report, say

AIM_GROWTH = 1.03
RECORDING = files("appliance.daemon") / "sample" / "consult.flac"


def resident(node: BenchNode) -> dict[str, int]:
    """Bytes by part; engines are numbered in order of their start."""
    found: dict[str, int] = {}
    children = psutil.Process(node.process.pid).children(recursive=True)
    engines = sorted((one for one in children if "appliance.engines.child" in command(one)), key=lambda one: one.pid)
    for number, process in enumerate(engines):
        found[f"engine {number + 1}"] = process.memory_info().rss
    found["core"] = psutil.Process(node.core_pid).memory_info().rss
    return found


def command(process: psutil.Process) -> list[str]:
    """Its command line; nothing when it has just ended, as those that decode a recording do."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def user(http: httpx.AsyncClient, model: str, seed: int, until: float, done: Counter[str]) -> None:
    """One restless person. A connection that breaks is counted; what is looked at is memory."""
    rng, asked, recording = random.Random(seed), prompts(64), RECORDING.read_bytes()
    while time.monotonic() < until:
        what = rng.choices(["chat", "cancel", "speech", "mistake"], [4, 4, 1, 1])[0]
        try:
            if what == "chat":
                await one(http, model, rng.choice(asked), 64, Run())
            elif what == "cancel":
                await left_in_the_middle(http, model, rng)
            elif what == "speech":
                await http.post("/v1/audio/transcriptions", files={"file": ("a.flac", recording)})
            else:
                await http.post("/v1/chat/completions", json={"messages": []})
        except httpx.TransportError:
            what = "cut"
        done[what] += 1


async def left_in_the_middle(http: httpx.AsyncClient, model: str, rng: random.Random) -> None:
    """A long answer, of which a few lines are read."""
    asked = {"messages": [{"role": "user", "content": rng.choice(prompts(64))}], "stream": True, "max_tokens": 256}
    async with http.stream("POST", "/v1/chat/completions", json={"model": model} | asked) as answer:
        async for _ in answer.aiter_lines():
            if rng.random() < 0.2:
                break


async def measure(node: BenchNode, report: Report, minutes: float, users: int) -> None:
    """Load and watch."""
    done: Counter[str] = Counter()
    seen: list[dict[str, int]] = []
    async with phone(node) as http:
        model = await chat_model(http)
        until = time.monotonic() + minutes * 60
        people = [asyncio.create_task(user(http, model, number, until, done)) for number in range(users)]
        while time.monotonic() < until:
            seen.append(resident(node))
            await asyncio.sleep(1)
        await asyncio.gather(*people)
    say(f"done: {dict(done)}")
    third = len(seen) // 3
    for part in seen[-1]:
        second = statistics.median(one.get(part, 0) for one in seen[third : 2 * third])
        last = statistics.median(one.get(part, 0) for one in seen[2 * third :])
        report.row(f"resident memory of {part}, last third of {minutes:g} min", last / 2**20, "MiB",
                   peer="second third", peer_value=second / 2**20, aim=("<=", AIM_GROWTH), on="ratio")  # fmt: skip
    report.row("answers meanwhile", sum(done.values()), "answers")
    report.row("of them cancelled in the middle", done["cancel"], "answers")
    report.row("connections that broke", done["cut"], "answers")


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--users", type=int, default=8)
    asked = parser.parse_args()
    report = Report("memory")
    with running_node("--no-admin") as node:
        asyncio.run(measure(node, report, asked.minutes, asked.users))
    report.print()


if __name__ == "__main__":
    main()
