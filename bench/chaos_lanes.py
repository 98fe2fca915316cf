"""Who waits for whom: urgent requests beside a background that is full, and one user's hundred requests beside another's few."""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
from chaos_streams import Stream, chat, ends, plugin, ready_pid
from chat_rows import chat_model, prompts
from report import Report, say

URGENT_DEADLINE_S = 10.0
URGENT_TOKENS, BACKGROUND_TOKENS = 8, 64
AIM_SLOWER = 1.5
SETTLE_S = 3.0
_numbers = itertools.count(1)

Ask = Callable[[httpx.AsyncClient], Awaitable[Stream]]


def fresh() -> str:
    """A prompt that nobody asked before."""
    number = next(_numbers)
    return f"Ambulatório {number}. {prompts(number % 64 + 1)[-1]}"


@asynccontextmanager
async def asking(ask: Ask, phones: Sequence[httpx.AsyncClient], at_once: int) -> AsyncIterator[list[Stream]]:
    """``at_once`` requests of these people at any moment; each is asked anew when it is answered, until the block ends."""
    done: list[Stream] = []

    async def again(phone: httpx.AsyncClient) -> None:
        while True:
            done.append(await ask(phone))

    tasks = [asyncio.create_task(again(phones[place % len(phones)])) for place in range(at_once)]
    try:
        await asyncio.sleep(SETTLE_S)
        yield done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def urgent_beside_background(
    phones: Sequence[httpx.AsyncClient], it: httpx.AsyncClient, report: Report, asked: argparse.Namespace
) -> None:
    """The language model's engine with its queue full of background work; urgent requests come in one after another."""
    await ready_pid(it, "chaos_language")

    async def background(phone: httpx.AsyncClient) -> Stream:
        query = {"kind": "chat", "lane": "background", "deadline_s": "600", "count": str(BACKGROUND_TOKENS)}
        return await plugin(phone, key=fresh(), **query)

    async def urgent() -> Stream:
        query = {"kind": "chat", "lane": "urgent", "deadline_s": str(URGENT_DEADLINE_S), "count": str(URGENT_TOKENS)}
        return await plugin(phones[0], key=fresh(), **query)

    async with asking(background, phones[1:], asked.streams) as done:
        streams = [await urgent() for _ in range(asked.tries)]
        say(f"urgent: {dict(ends(streams))}; background meanwhile: {dict(ends(done))}")
    late = sum(one.end != "answer" for one in streams)
    report.row(f"urgent requests beside {asked.streams} of background: not answered within {URGENT_DEADLINE_S:g} s",
               late, f"of {len(streams)}", aim=("==", 0))  # fmt: skip
    report.row("urgent requests: p95 of the whole answer", quantile([one.seconds for one in streams], 0.95), "s")
    report.row("background answers meanwhile", ends(done)["answer"], "answers")


async def one_greedy_user(
    phones: Sequence[httpx.AsyncClient], it: httpx.AsyncClient, report: Report, asked: argparse.Namespace
) -> None:
    """One person's p95 while another keeps ``--greedy`` requests going."""
    model = await chat_model(phones[0])
    await ready_pid(it, "chaos_slots")

    async def paced(phone: httpx.AsyncClient) -> Stream:
        return await plugin(phone, kind="late", deadline_s="600")

    async def real(phone: httpx.AsyncClient) -> Stream:
        return await chat(phone, model, fresh(), asked.tokens)

    async def p95(ask: Ask, others: Sequence[httpx.AsyncClient], what: str) -> float:
        async with asking(ask, others, asked.greedy if others else 0):
            streams = [await ask(phones[0]) for _ in range(asked.tries)]
        say(f"{what}: {dict(ends(streams))}")
        return quantile([one.seconds for one in streams], 0.95)

    for engine, ask in (("one second an answer, 64 slots", paced), ("language model", real)):
        alone = await p95(ask, [], f"{engine}, alone")
        crowd = await p95(ask, phones[1:], f"{engine}, beside {len(phones) - 1} users")
        greedy = await p95(ask, phones[1:2], f"{engine}, beside one user")
        name = f"{engine}: p95 of a user beside another's {asked.greedy} requests"
        report.row(name, greedy, "s", peer="alone", peer_value=alone, aim=("<=", AIM_SLOWER), on="ratio")
        many = f"the same from {len(phones) - 1} users"  # who shares a batch with them is slowed by all of its rows
        report.row(f"{name}, for orientation", greedy, "s", peer=many, peer_value=crowd)
