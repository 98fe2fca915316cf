"""Two hundred phones against one whole node with the demonstration's models, for as long as asked. README quotes 60 minutes.

Reads and writes of the record are an open loop: each phone makes ``--reads`` and ``--writes`` a minute at moments drawn
beforehand, and an answer's time counts from that moment, not from when it could be sent: what piles up behind a slow answer is
measured, not left out (coordinated omission). Dictations (100 ms frames), chats and pictures are closed loops: so many people at a
time, each with a pause to think. With the numbers as they stand a phone dictates about once an hour, asks once in half an
hour and hands a picture in once an hour. An error is any status of 400 or above that was not to be expected and any cut
connection, also where the phone's repeat mended it; a 429 that says how long to wait is counted apart. At the end everything
acknowledged is read back. The exit status is 1 when something was lost, an error happened, a part of the node restarted, or
its memory grew in a run of ten minutes or more; never for a time. ``--no-timing`` is for a machine shared with others: times have
no aim, a phone makes no call while its last one is unanswered, it waits ten times longer, and what it gives up all the same, or what
breaks while this program got no processor for a second or the probe no answer, is counted apart; of all else one broken connection in
a thousand answers is borne.

Usage: ``bench_soak.py [--minutes 60] [--phones 200] [--dictating 3] [--asking 1] [--handing-in 1] [--no-timing] [--seed 1]``.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import httpx
import psutil
import uvloop

from appliance.daemon.demo.phone import RefusedError
from appliance.daemon.enrolment import enrol_client
from bench.node import ROOT, BenchNode, running_node
from bench.report import say
from bench.soak_books import Books
from bench.soak_phone import FAILED, SoakPhone, broke
from bench.soak_readback import lost
from bench.soak_record import Ledger, Person, Readings, choose_write
from bench.soak_report import Outcome, tell
from bench.soak_sessions import Sessions, photograph, thinking
from bench.soak_watch import Probe, Watch, cpu_seconds
from tests.fakes.phone import SilentError
from tests.fakes.phone_consult import frames
from tests.fakes.phone_line import client_context

SAMPLES = ("consult.flac", "consult_2.flac")
RENEW_S = 600.0
"""A phone renews its session before it ends."""
SESSION_LIMIT_S, SESSION_BESIDE_OTHERS_S = 600.0, 240.0
BESIDE_OTHERS, MANY = 16, 100_000
"""Calls under way at a time: beside other work so few that none has to wait for its handshake until the service gives it up."""
READY_LIMIT_S = 600.0
ENROLLED_AT_ONCE = 8
THINK_S = {"dictate": 15.0, "chat": 20.0, "picture": 15.0}


class Soak:
    """One run on one node."""

    def __init__(self, node: BenchNode, asked: argparse.Namespace) -> None:
        self.node, self.asked = node, asked
        self.books, self.ledger = Books(), Ledger()
        self.people: list[Person] = []
        self.dictating: set[str] = set()
        self.until = 0.0
        self.free = asyncio.Semaphore(BESIDE_OTHERS if asked.no_timing else MANY)

    async def run(self) -> Outcome:
        """Enrol, load, read back."""
        async with AsyncExitStack() as stack:
            await self._enrol(stack)
            looker = self.node.client("ti.soak", "it")
            engines = await engines_ready(looker)
            watch = Watch(lambda: self.node.core_pid, engines)
            probe = Probe(looker["api"], client_context(looker))
            async with beside(probe.run()):
                return await self._watched(watch, probe)

    async def _watched(self, watch: Watch, probe: Probe) -> Outcome:
        await self._arrive()
        self.books.answered = self.books.answered[:0]  # from here on it counts
        say(f"{len(self.people)} phones for {self.asked.minutes:g} min; engines {sorted(watch.engines.values())}")
        own, began = cpu_seconds(psutil.Process()), time.monotonic()
        async with beside(watch.sample()), beside(self._narrate(began, watch)):
            await self._load(began)
        ended = time.monotonic()
        own = cpu_seconds(psutil.Process()) - own
        say(f"reading back {self.ledger.writes} acknowledged writes")
        missing = await lost([person.phone for person in self.people], self.ledger)
        return Outcome(self.books, self.ledger, watch, probe, missing, began, self.until, ended, own)

    async def _enrol(self, stack: AsyncExitStack) -> None:
        say(f"enrolling {self.asked.phones} phones")
        free = asyncio.Semaphore(ENROLLED_AT_ONCE)
        hours = self.asked.minutes / 60 + 2

        async def one(number: int) -> Person:
            async with free:
                name = f"dra.soak{number:03}"
                out = self.node.home.parent / "phones" / f"{name}.json"
                client = await enrol_client(self.node.home, user=name, role="physician", out=out, hours=hours)
            seed = self.asked.seed * 10_000 + number
            phone = SoakPhone(client, self.books, seed=seed, patient=self.asked.no_timing)
            stack.push_async_callback(phone.close)
            return Person(phone, self.ledger, random.Random(f"{self.asked.seed}/{number}"))

        self.people = await asyncio.gather(*map(one, range(self.asked.phones)))

    async def _arrive(self) -> None:
        """Everybody's patient; a few at a time, for two hundred first handshakes at once are another bench."""
        free = asyncio.Semaphore(ENROLLED_AT_ONCE)

        async def one(person: Person) -> None:
            async with free:
                await person.arrive()

        await asyncio.gather(*map(one, self.people))

    # -- load --------------------------------------------------------------------------------------------------------
    async def _load(self, began: float) -> None:
        self.until = began + self.asked.minutes * 60
        sessions = Sessions(self.books, self.ledger, await asyncio.to_thread(recordings), photograph(self.asked.seed))
        readings = Readings(self.people, self.ledger)
        closed = [
            ("dictate", self.asked.dictating, sessions.dictate),
            ("chat", self.asked.asking, sessions.chat),
            ("picture", self.asked.handing_in, sessions.hand_in),
        ]
        async with asyncio.TaskGroup() as group:
            for person in self.people:
                group.create_task(self._open_loop(group, person, self.asked.reads, readings.choose))
                group.create_task(self._open_loop(group, person, self.asked.writes, choose_write))
                group.create_task(self._renew(person))
            for what, count, session in closed:
                for number in range(count):
                    group.create_task(self._closed_loop(what, number, session))

    async def _open_loop(
        self,
        group: asyncio.TaskGroup,
        person: Person,
        a_minute: float,
        choose: Callable[[Person], tuple[str, Callable[[], Awaitable[object]]]],
    ) -> None:
        rng = random.Random(f"{person.phone.user}/{choose.__name__}/{self.asked.seed}")
        due, before = time.monotonic(), None
        while a_minute and (due := due + rng.expovariate(a_minute / 60)) < self.until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self.asked.no_timing and before is not None and not before.done():
                self.books.left_out += 1
                continue
            name, call = choose(person)
            before = group.create_task(self._timed(name, call, due))

    async def _timed(self, name: str, call: Callable[[], Awaitable[object]], due: float) -> None:
        async with self.free:
            try:
                await call()
            except FAILED as error:
                self._failed(name, error)
            else:
                self.books.took(name, time.monotonic() - due)

    async def _renew(self, person: Person) -> None:
        due = time.monotonic() + person.rng.uniform(0, RENEW_S)
        while due < self.until:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._timed("renew a session", partial(person.phone.renew_session, person.phone.token), due)
            due += RENEW_S

    async def _closed_loop(self, what: str, number: int, session: Callable[[Person], Awaitable[None]]) -> None:
        rng = random.Random(f"{what}/{number}/{self.asked.seed}")
        await asyncio.sleep(rng.uniform(0, THINK_S[what]))
        while time.monotonic() < self.until:
            person = rng.choice([one for one in self.people if one.phone.user not in self.dictating])
            self.dictating.add(person.phone.user)
            limit_s = SESSION_BESIDE_OTHERS_S if self.asked.no_timing else SESSION_LIMIT_S
            try:
                async with asyncio.timeout(limit_s):
                    await session(person)
            except TimeoutError:
                self.books.timed_out[f"{what}: not done within {limit_s:g} s"] += 1
            except FAILED as error:
                self._failed(what, error)
            finally:
                self.dictating.discard(person.phone.user)
            await asyncio.sleep(min(thinking(rng, THINK_S[what]), max(0.0, self.until - time.monotonic())))

    def _failed(self, what: str, error: Exception) -> None:
        """Statuses are in the books already, with the call that they answered."""
        if isinstance(error, SilentError | httpx.TransportError):
            broke(self.books, what, error)
        elif not isinstance(error, RefusedError) or not error.status:
            self.books.wrong(f"{what}: {type(error).__name__} {error}"[:200])

    async def _narrate(self, began: float, watch: Watch) -> None:
        while True:
            await asyncio.sleep(60)
            minutes, (errors, _) = (time.monotonic() - began) / 60, self.books.settled()
            told = f"{len(self.books.answered)} answers, {self.ledger.writes} writes, errors {dict(errors)}"
            memory = ", ".join(
                f"{name} {part.resident[-1] >> 20}" for name, part in watch.parts.items() if part.resident
            )
            say(f"{minutes:.0f} min: {told}; MiB: {memory}")


async def engines_ready(looker: dict[str, str]) -> dict[int, str]:
    """Engines by their pid, once all are ready."""
    phone, rows = SoakPhone(looker, Books(), seed=0), []
    try:
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            rows = await phone.get("/api/admin/engines")
            if rows and all(row["status"] == "ready" and row["pid"] for row in rows):
                return {row["pid"]: row["name"] for row in rows}
            await asyncio.sleep(0.5)
    finally:
        await phone.close()
    raise SystemExit(f"the engines never became ready: {rows}")


@asynccontextmanager
async def beside(work: Awaitable[None]) -> AsyncIterator[None]:
    """``work`` until the block ends; what breaks it breaks the run."""
    task = asyncio.ensure_future(work)
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def recordings() -> list[list[bytes]]:
    """Both sample consults in frames of 100 ms."""
    return [frames((ROOT / "appliance" / "daemon" / "sample" / name).read_bytes()) for name in SAMPLES]


def main() -> int:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--phones", type=int, default=200)
    parser.add_argument("--reads", type=float, default=4.6, help="of each phone a minute")
    parser.add_argument("--writes", type=float, default=1.4, help="of each phone a minute")
    parser.add_argument("--dictating", type=int, default=3, help="people at a time")
    parser.add_argument("--asking", type=int, default=1, help="people at a time")
    parser.add_argument("--handing-in", type=int, default=1, help="people at a time")
    parser.add_argument(
        "--no-timing", action="store_true", help="times and rates have no aim: for a machine shared with others"
    )
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with running_node("--no-admin") as node, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return tell(runner.run(Soak(node, asked).run()), asked)


if __name__ == "__main__":
    sys.exit(main())
