"""Chat: tokens a second and the wait for the first token through the whole HTTPS API, against ``mlx_lm.server`` on the same weights.

Each stream asks for one short note after another. The second peer is ``BatchGenerator`` called directly
(``chat_direct.py``). A short request beside a long prompt is compared with the same request alone. Usage: ``bench_chat.py
[--streams 1,8,32,64,200] [--turns 2] [--tokens 96] [--long-words 1200]``.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import httpx
from chat_rows import chat_model, direct, prompts
from node import BenchNode, running_node
from report import Report, say

from plugins.medgemma_chat.plugin import DEMONSTRATION, engine_environment
from tests.fakes.phone_line import IDLE_S, client_context

AIM_TOKENS, AIM_TTFT, AIM_DIRECT, AIM_BESIDE = 1.3, 0.5, 0.95, 2.0
FROM_STREAMS = 8
TTFT_STREAMS = 32
TRIES = 9
MOST_PROMPTS = 10_000
_asked = itertools.count(1)


@dataclass
class Run:
    """What a load gave."""

    tokens: int = 0
    seconds: float = 0.0
    firsts: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.firsts) or [float("nan")]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def one(http: httpx.AsyncClient, model: str, prompt: str, tokens: int, run: Run) -> None:
    """Stream one answer."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
    body |= {"max_tokens": tokens, "temperature": 0, "stream_options": {"include_usage": True}}
    began, first, counted = time.perf_counter(), None, 0
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                run.errors += 1
                return
            async for line in answer.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                data = json.loads(line[6:])
                if first is None and data.get("choices") and data["choices"][0].get("delta", {}).get("content"):
                    first = time.perf_counter() - began
                counted = (data.get("usage") or {}).get("completion_tokens", counted)
    except httpx.HTTPError:
        run.errors += 1
        return
    run.tokens += counted
    if first is not None:
        run.firsts.append(first)


def fresh(count: int) -> list[str]:
    """Prompts that were never asked before: a prompt equal to a cached one ends ``mlx_lm.server``'s generation for good."""
    first = next(_asked) * MOST_PROMPTS
    return [f"Consulta {first + number}. {prompt}" for number, prompt in enumerate(prompts(count))]


async def load(http: httpx.AsyncClient, model: str, streams: int, turns: int, tokens: int) -> Run:
    """``streams`` at a time, each asking again when it is answered."""
    run, waiting = Run(), iter(fresh(streams * turns))

    async def stream() -> None:
        for prompt in waiting:
            await one(http, model, prompt, tokens, run)

    began = time.perf_counter()
    await asyncio.gather(*(stream() for _ in range(streams)))
    run.seconds = time.perf_counter() - began
    return run


def expanded(scratch: str) -> Path:
    """The same weights in fp32, as our engine computes on a CPU: neither 4-bit nor half precision reaches the BLAS there."""
    target = Path(scratch) / "model"
    convert = [sys.executable, "-m", "mlx_lm", "convert", "--dequantize", "--dtype", "float32"]
    paths = ["--hf-path", str(DEMONSTRATION), "--mlx-path", str(target)]
    subprocess.run([*convert, *paths], check=True, stdout=subprocess.DEVNULL, env=os.environ | {"HF_HUB_OFFLINE": "1"})
    return target


@contextmanager
def mlx_server(model: Path) -> Iterator[str]:
    """The peer; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlx_lm",
        "server",
        "--model",
        str(model),
        "--port",
        str(port),
        "--log-level",
        "ERROR",
    ]
    process = subprocess.Popen(
        command, env=os.environ | engine_environment() | {"HF_HUB_OFFLINE": "1"}, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{address}/health", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield address
    finally:
        process.kill()
        process.wait()


def phone(node: BenchNode) -> httpx.AsyncClient:
    client = node.client("dra.bench")
    headers = {"Authorization": f"Bearer {client['token']}"}
    limits = httpx.Limits(max_connections=None, keepalive_expiry=IDLE_S)
    return httpx.AsyncClient(
        base_url=client["api"], verify=client_context(client), headers=headers, timeout=900, limits=limits
    )


def rows(report: Report, streams: int, mine: Run, peer: Run) -> None:
    """A load's figures beside the server's."""
    server = "mlx_lm.server"
    aim = (">=", AIM_TOKENS) if streams >= FROM_STREAMS else None
    report.row(
        f"tokens a second, {streams} streams", mine.rate, "1/s", peer=server, peer_value=peer.rate, aim=aim, on="ratio"
    )
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        limit = ("<=", AIM_TTFT) if streams == TTFT_STREAMS and name == "p95" and peer.firsts else None
        report.row(f"first token, {name}, {streams} streams", mine.quantile(share), "s",
                   peer=server, peer_value=peer.quantile(share) if peer.firsts else None, aim=limit, on="ratio")  # fmt: skip
    report.row(f"errors, {streams} streams", mine.errors, "answers", peer=server, peer_value=peer.errors, aim=("==", 0))


async def beside_a_long_prompt(http: httpx.AsyncClient, model: str, words: int, report: Report) -> None:
    """The wait for the first token of short requests alone, and while long prompts are being read."""
    alone, beside = Run(), Run()
    short = fresh(2 * TRIES)
    for prompt in short[:TRIES]:
        await one(http, model, prompt, 4, alone)
    for number, prompt in enumerate(short[TRIES:]):
        long = f"{number} " + "dor lombar há dias " * (words // 4)
        reading = asyncio.create_task(one(http, model, long, 4, Run()))
        await asyncio.sleep(0.02)
        await one(http, model, prompt, 4, beside)
        await reading
    report.row(f"first token of a short request beside {words} words, median", beside.quantile(0.5), "s",
               peer="alone", peer_value=alone.quantile(0.5), aim=("<=", AIM_BESIDE), on="ratio")  # fmt: skip


async def measure(node: BenchNode, report: Report, asked: argparse.Namespace) -> None:
    """Every load on ours, then on each peer."""
    counts = [int(count) for count in asked.streams.split(",")]
    async with phone(node) as http:
        model = await chat_model(http)
        await load(http, model, 1, 1, asked.tokens)
        mine = {count: await load(http, model, count, asked.turns, asked.tokens) for count in counts}
        await beside_a_long_prompt(http, model, asked.long_words, report)
    peer, run_direct = direct(asked.tokens)
    for count in counts:
        tokens, seconds = await asyncio.to_thread(run_direct, fresh(count * asked.turns), count)
        report.row(f"tokens a second, {count} streams, against BatchGenerator", mine[count].rate, "1/s",
                   peer="BatchGenerator", peer_value=tokens / seconds, aim=(">=", AIM_DIRECT), on="ratio")  # fmt: skip
    assert peer.stdin is not None
    peer.stdin.close()
    peer.wait(30)
    with tempfile.TemporaryDirectory(prefix="prontuario-bench-") as scratch, mlx_server(expanded(scratch)) as address:
        name = str(Path(scratch) / "model")
        async with httpx.AsyncClient(base_url=address, timeout=900, limits=httpx.Limits(max_connections=None)) as http:
            await load(http, name, 1, 1, asked.tokens)
            for count in counts:
                say(f"mlx_lm.server, {count} streams…")
                rows(report, count, mine[count], await load(http, name, count, asked.turns, asked.tokens))


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="1,8,32,64,200")
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--long-words", type=int, default=1200)
    asked = parser.parse_args()
    report = Report("chat")
    with running_node("--no-admin") as node:
        asyncio.run(measure(node, report, asked))
    report.print()


if __name__ == "__main__":
    main()
