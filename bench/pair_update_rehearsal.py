"""One switch of versions on a pair of stand-in Macs, with what may go wrong in it; clients write all the while."""

from __future__ import annotations

import asyncio
import random
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.failover_client import until_steady
from bench.failover_rounds import RemoteClient, count, writing
from bench.pair_faults import other
from bench.pair_lab import NODES
from bench.pair_macs import PairMacs
from bench.pair_update_versions import (
    Change,
    both,
    dead_on_arrival,
    mute,
    unchanged,
    with_migration,
    with_newer_protocol,
)
from bench.report import say
from bench.stillness import Pulse, longest_silence, moving_s

EVERY_S: Final = 0.05
APPLY_LIMIT_S: Final = 2400.0
STEADY_LIMIT_S: Final = 900.0
"""On a machine that does much else: beside nothing it takes seconds."""
SETTLED_LIMIT_S: Final = 60.0
MOST_TRIES: Final = 4
ENDS: Final = frozenset({"done", "rolled-back", "stuck"})
Mishap = Callable[[PairMacs, str, "subprocess.Popen[Any]", random.Random], None]
"""Befalls the node that is updated first; it is given that node's updater."""


@dataclass(frozen=True)
class Scenario:
    """``change``: what the new version is; ``mishap``: what goes wrong once, in the step ``strikes``.

    ``arrives``: the new version stays; otherwise the gate must refuse it, and both nodes keep the one before.
    """

    name: str
    change: Change = unchanged
    mishap: Mishap | None = None
    strikes: str = ""
    arrives: bool = True


@dataclass(frozen=True)
class Came:
    """What came of it. ``outages_s``: the longest silence while the first node was switched, and while the second was.

    ``still_s``: so long the whole machine, clients and all, did not run; it is no part of the outages. ``tries``: how often
    ``apply`` was given on the first node; ``right``: both nodes run what they should.
    """

    outages_s: tuple[float, float]
    still_s: float
    seconds: float
    acknowledged: int
    lost: int
    doubled: int
    overlapping: int
    tries: int
    right: bool


def kill_updater(_lab: PairMacs, _node: str, updater: subprocess.Popen[Any], rng: random.Random) -> None:
    """The operator's command dies by kill -9; what it had started goes on by itself."""
    time.sleep(rng.uniform(0, 3))
    updater.kill()


def kill_standby(lab: PairMacs, node: str, _updater: subprocess.Popen[Any], rng: random.Random) -> None:
    """The node's core dies by kill -9; launchd starts it again."""
    time.sleep(rng.uniform(0, 3))
    lab.kill_core(node)


def cut_power(lab: PairMacs, node: str, _updater: subprocess.Popen[Any], rng: random.Random) -> None:
    """The node's plug, and a little later the plug again: launchd starts what it finds."""
    time.sleep(rng.uniform(0, 5))
    lab.power_off(node)
    time.sleep(rng.uniform(1, 4))
    lab.boot_again(node)


SCENARIOS: Final = {
    one.name: one
    for one in (
        Scenario("plain"),
        Scenario("schema", both(with_migration, with_newer_protocol)),
        Scenario("updater-killed", mishap=kill_updater, strikes="switch"),
        Scenario("power-lost", mishap=cut_power, strikes="switch"),
        Scenario("dead", dead_on_arrival, arrives=False),
        Scenario("standby-killed", mishap=kill_standby, strikes="prove"),
        Scenario("mute", mute, arrives=False),
    )
}


class Rehearsal:
    """Switches of ``lab``'s version, one after the other; ``client``: an enrolled device's file."""

    def __init__(self, lab: PairMacs, client: Path, rng: random.Random) -> None:
        self._lab, self._client, self._rng = lab, client, rng

    async def switch(self, scenario: Scenario, version: str, bundle: Path) -> Came:
        """Bring the bundle on both nodes as two operators would.

        Raises:
            TimeoutError: the pair does not serve, is not in step again, or an update does not end.
            CalledProcessError: a command of the operator's was refused.
        """
        lab, system, pulse = self._lab, f"urn:bench:{secrets.token_hex(6)}", Pulse()
        wanted = version if scenario.arrives else lab.macs["a"].current()
        pulse.start()
        try:
            async with writing(lab, self._client, system, every_s=EVERY_S) as remote:
                await self._whole(remote, time.monotonic())
                await asyncio.to_thread(lab.stage, bundle)
                began = time.monotonic()
                between, tries = await asyncio.to_thread(self._apply, scenario)
                ended = time.monotonic()
                await self._whole(remote, ended)
                served = time.monotonic()
        finally:
            pulse.stop()
        kept = await count(lab, self._client, system)
        books, still = remote.books, pulse.spans
        ends = [one.ended for one in books.acknowledged]
        silences = [longest_silence(ends, part, still) for part in ((began, between), (between, served))]
        for begin, end in silences:
            say(f"  longest silence from {begin - began:.1f} s to {end - began:.1f} s after the beginning")
        return Came(
            outages_s=(moving_s(silences[0], still), moving_s(silences[1], still)),
            still_s=ended - began - moving_s((began, ended), still),
            seconds=ended - began,
            acknowledged=len(books.acknowledged),
            lost=len(books.lost(set(kept))),
            doubled=sum(times > 1 for times in kept.values()),
            overlapping=books.overlapping(),
            tries=tries,
            right=await asyncio.to_thread(self._runs, wanted),
        )

    def _apply(self, scenario: Scenario) -> tuple[float, int]:
        """On both nodes at once; when the first one was through (monotonic), and how often it had to be given there."""
        first = other(self._lab.primary())
        second = other(first)
        waiting = self._lab.apply(second)  # it finds out by itself that it is not its turn
        tries = self._carry_out(first, scenario)
        between = time.monotonic()
        if scenario.arrives:
            status = _waited(waiting)
            say(f"  {second}: apply ended with {status} at {self._lab.step(second)[0]}")
        else:
            waiting.send_signal(signal.SIGINT)
            waiting.wait()
            self._lab.give_up(second)
        return between, tries

    def _carry_out(self, node: str, scenario: Scenario) -> int:
        """``apply`` on the node that goes first, and again after what befell it; how often it was given."""
        lab, mishap = self._lab, scenario.mishap
        for tries in range(1, MOST_TRIES + 1):
            updater = lab.apply(node)
            if mishap is not None:
                self._await_step(node, scenario.strikes, updater)
                mishap(lab, node, updater, self._rng)
                mishap = None
            status = _waited(updater)
            step, _ = lab.step(node)
            say(f"  {node}: apply ended with {status} at {step or 'nothing'}")
            if step in ENDS:
                return tries
            time.sleep(1.0)
        raise TimeoutError(f"the update of {node} does not end")

    def _await_step(self, node: str, wanted: str, updater: subprocess.Popen[Any]) -> None:
        deadline = time.monotonic() + APPLY_LIMIT_S
        while self._lab.step(node)[0] != wanted:
            if updater.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{node} never came to {wanted}")
            time.sleep(0.1)

    async def _whole(self, remote: RemoteClient, after: float) -> None:
        """Steady service, acknowledged on both nodes, the standby in step."""
        await until_steady(remote.books, 1.0, after=after, limit_s=STEADY_LIMIT_S)
        await remote.paired()
        deadline = time.monotonic() + STEADY_LIMIT_S
        while not await asyncio.to_thread(self._lab.in_sync):
            if time.monotonic() > deadline:
                raise TimeoutError("the standby is not in step again")
            await asyncio.sleep(0.2)

    def _runs(self, version: str) -> bool:
        """Whether both nodes have ``version`` in place, and their cores run it."""
        deadline = time.monotonic() + SETTLED_LIMIT_S
        while True:
            found = {node: (self._lab.macs[node].current(), self._lab.serves(node)) for node in NODES}
            if all(one == (version, version) for one in found.values()):
                return True
            if time.monotonic() > deadline:
                say(f"  wanted {version}, found {found}")
                return False
            time.sleep(1.0)


def _waited(updater: subprocess.Popen[Any]) -> int:
    try:
        return updater.wait(APPLY_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("an update does not end") from error
