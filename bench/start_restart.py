"""Core is told to end (SIGTERM) while fifty phones read and write; ``prontuario up`` starts it again. What do the phones notice?"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import time
from array import array
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from appliance.daemon.enrolment import enrol_client
from bench.node import BenchNode
from bench.report import Report, say
from bench.soak_books import Books, percentile
from bench.soak_phone import FAILED, SoakPhone
from bench.soak_readback import lost
from bench.soak_record import Ledger, Person, Readings, choose_write

PAUSE_S = 0.1
QUIET_S, STEADY_S, BACK_LIMIT_S = 3.0, 5.0, 120.0
HOURS = 4.0


def longest_gap(moments: Sequence[float], since: float, until: float) -> float:
    """The longest time without any of ``moments`` that ends after ``since``; all in seconds. Nothing after: until the end."""
    ordered = [*sorted(moment for moment in moments if moment < until), until]
    gaps = [after - before for before, after in itertools.pairwise(ordered) if after > since]
    return max(gaps, default=until - since)


@dataclass
class Load:
    """So many people who write, read, pause and do it again, and when they were answered."""

    people: list[Person]
    ledger: Ledger
    books: Books
    written: array[float] = field(default_factory=lambda: array("d"))
    read: array[float] = field(default_factory=lambda: array("d"))
    unanswered: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def one(self, person: Person, readings: Readings) -> None:
        """Until it is over."""
        while not self.over.is_set():
            for answered, (name, call) in ((self.written, choose_write(person)), (self.read, readings.choose(person))):
                try:
                    await call()
                except FAILED as error:
                    self.unanswered.append(f"{name}: {error}")
                else:
                    answered.append(time.monotonic())
            await asyncio.sleep(person.rng.uniform(0, 2 * PAUSE_S))


async def restarts(node: BenchNode, report: Report, people: int, rounds: int) -> list[str]:
    """Rows of all rounds; what was lost or refused, in words."""
    books, ledger = Books(), Ledger()
    async with AsyncExitStack() as stack:
        load = Load([await _person(node, stack, number, books, ledger) for number in range(people)], ledger, books)
        await asyncio.gather(*(person.arrive() for person in load.people))
        readings = Readings(load.people, ledger)
        tasks = [asyncio.create_task(load.one(person, readings)) for person in load.people]
        gaps = []
        for number in range(rounds):
            await asyncio.sleep(STEADY_S)
            gaps.append(await _one_round(node, load))
            say(
                f"restart {number + 1} of {rounds}: writes stood still for {gaps[-1][0]:.2f} s, reads for {gaps[-1][1]:.2f} s"
            )
        load.over.set()
        await asyncio.gather(*tasks)
        missing = await lost([person.phone for person in load.people], ledger)
    for what, place in (("write", 0), ("read", 1)):
        outages = [gap[place] for gap in gaps]
        for name, share in (("p50", 0.5), ("longest", 1.0)):
            figure = percentile(outages, share)
            report.row(f"restart under {people} phones: no {what} answered, {name} of {rounds}", figure, "s")
    report.row("restarts under load: acknowledged writes, all read back", ledger.writes, "writes")
    report.row("restarts under load: of them lost", len(missing), "writes", aim=("==", 0))
    report.row(
        "restarts under load: calls that no repeat brought through", len(load.unanswered), "calls", aim=("==", 0)
    )
    report.row(
        "restarts under load: repeats that brought the others through",
        len(books.cuts) + (books.errors + books.timed_out).total(),
        "calls",
    )
    return [*missing, *load.unanswered]


async def _person(node: BenchNode, stack: AsyncExitStack, number: int, books: Books, ledger: Ledger) -> Person:
    out = node.home.parent / "phones" / f"dra.partida{number}.json"
    client = await enrol_client(node.home, user=out.stem, role="physician", out=out, hours=HOURS)
    phone = SoakPhone(client, books, seed=number)
    stack.push_async_callback(phone.close)
    return Person(phone, ledger, random.Random(number))


async def _one_round(node: BenchNode, load: Load) -> tuple[float, float]:
    """Seconds without a write, and without a read, that any of the phones was answered."""
    pid, struck = node.core_pid, time.monotonic()
    os.kill(pid, signal.SIGTERM)
    deadline = struck + BACK_LIMIT_S
    while time.monotonic() < deadline:
        await asyncio.sleep(0.1)
        if _new_core(node, pid) and _quiet_since(load):
            break
    ended = time.monotonic()
    return longest_gap(load.written, struck, ended), longest_gap(load.read, struck, ended)


def _new_core(node: BenchNode, pid: int) -> bool:
    try:
        return node.core_pid not in {0, pid}
    except (OSError, ValueError):
        return False


def _quiet_since(load: Load) -> bool:
    """Whether people have been answered for a while, without a second's break."""
    now = time.monotonic()
    return all(answered and longest_gap(answered, now - QUIET_S, now) < 1.0 for answered in (load.written, load.read))
