"""Tokens per second of the chat plugin through the whole HTTPS API, against BatchGenerator called directly."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import httpx
from chaos_streams import http
from node import BenchNode, running_node
from report import Report, say

from plugins.medgemma_chat.plugin import engine_environment

STREAMS = (1, 8, 32)
MAX_TOKENS = 256
TURNS = 3
ROUNDS = 3
AIM = 0.9
COMPLAINTS = ("tosse seca", "febre", "dor lombar", "tontura", "azia", "insônia", "disúria", "fadiga")


def prompts(count: int) -> list[str]:
    """Different consults, so that no cache can answer; the demonstration model writes a whole note of each."""
    return [_consult(number) for number in range(count)]


def _consult(number: int) -> str:
    sentences = (
        f"Paciente masculino de {18 + number % 70} anos com {COMPLAINTS[number % len(COMPLAINTS)]} há {2 + number % 20} dias.",
        "Nega febre ou calafrios.",
        "Antecedente de diabetes tipo 2.",
        "Em uso de metformina 850 mg de 12 em 12 horas.",
        f"Pressão arterial {100 + number % 80} por 70.",
        f"Frequência cardíaca {60 + number % 60} batimentos por minuto.",
        "Hipótese de gastrite.",
        "Prescrevo omeprazol 20 mg em jejum.",
        f"Retorno em {3 + number % 27} dias.",
    )
    transcript = "".join(f"\n[{place}] {sentence}" for place, sentence in enumerate(sentences, 1))
    return f"Transcrição:{transcript}\n\nEscreva a nota em JSON."


def direct(max_tokens: int = MAX_TOKENS) -> tuple[subprocess.Popen[str], Callable[[list[str], int], tuple[int, float]]]:
    """The peer process, and a function that runs prompts on it, each for at most ``max_tokens``: (tokens, seconds)."""
    command = [sys.executable, str(Path(__file__).with_name("chat_direct.py"))]
    environment = os.environ | engine_environment()
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdout.readline()

    def run(asked: list[str], streams: int) -> tuple[int, float]:
        print(json.dumps({"prompts": asked, "streams": streams, "max_tokens": max_tokens}), file=peer.stdin, flush=True)
        answer = json.loads(peer.stdout.readline())
        return answer["tokens"], answer["seconds"]

    return peer, run


async def one(phone: httpx.AsyncClient, model: str, prompt: str) -> int:
    """Stream one completion; its completion tokens by the API's own account."""
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": True}
    body |= {"max_tokens": MAX_TOKENS, "temperature": 0, "stream_options": {"include_usage": True}}
    tokens = 0
    async with phone.stream("POST", "/v1/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("data: {") and (usage := json.loads(line[6:]).get("usage")):
                tokens = usage["completion_tokens"]
    return tokens


async def through_api(phone: httpx.AsyncClient, model: str, asked: list[str], streams: int) -> tuple[int, float]:
    """All prompts through the API, ``streams`` at a time, each stream asking again when it is answered: (tokens, seconds)."""
    waiting = iter(asked)

    async def stream() -> int:
        return sum([await one(phone, model, prompt) for prompt in waiting])

    began = time.perf_counter()
    counts = await asyncio.gather(*(stream() for _ in range(streams)))
    return sum(counts), time.perf_counter() - began


async def chat_model(phone: httpx.AsyncClient) -> str:
    """The chat model's name, once it is ready."""
    for _ in range(600):
        models = (await phone.get("/v1/models")).json()["data"]
        ready = [model["id"] for model in models if model["capability"] == "chat_model" and model["ready"]]
        if ready:
            return str(ready[0])
        await asyncio.sleep(0.2)
    raise SystemExit("the chat engine never became ready")


async def measure(node: BenchNode, report: Report) -> None:
    """Ours and the peer in turn, ``ROUNDS`` times; the best of each (a shared machine only ever slows down)."""
    async with http(node.client("dra.bench")) as phone:
        model = await chat_model(phone)
        peer, run_direct = direct()
        try:
            for streams in STREAMS:
                asked = prompts(streams * TURNS)
                await through_api(phone, model, asked, streams)
                run_direct(asked, streams)
                ours, theirs = [], []
                for _ in range(ROUNDS):
                    tokens, seconds = await through_api(phone, model, asked, streams)
                    ours.append(tokens / seconds)
                    tokens, seconds = await asyncio.to_thread(run_direct, asked, streams)
                    theirs.append(tokens / seconds)
                say(f"{streams} streams: {max(ours):.0f} and {max(theirs):.0f} tokens/s")
                report.row(
                    f"chat tokens/s through the API, {streams} streams", max(ours), "1/s",
                    peer="BatchGenerator", peer_value=max(theirs), aim=(">=", AIM), on="ratio",
                )  # fmt: skip
        finally:
            assert peer.stdin is not None
            peer.stdin.close()
            peer.wait(30)


def add_rows(report: Report) -> None:
    """What ``bench_engine.py`` calls."""
    with running_node("--no-admin") as node:
        asyncio.run(measure(node, report))


if __name__ == "__main__":
    alone = Report("chat")
    add_rows(alone)
    alone.print()
