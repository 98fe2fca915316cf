"""What ``make run PAIR=1`` shows: two nodes, a consult in whose middle the primary dies, and the other one that finishes it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

import click

from appliance.cluster.model import ClusterStatus
from appliance.daemon.demo.consult import take_consult
from appliance.daemon.demo.phone import Phone
from appliance.daemon.demo.play import play
from appliance.daemon.demo.show import (
    PHYSICIAN,
    SAMPLES,
    Stages,
    label,
    load_synthea,
    print_consult,
    read_sample,
)
from appliance.daemon.enrolment import enrol_client
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.lifeline import stop_event
from appliance.daemon.pair.founding import read_plan
from appliance.daemon.pair.namespaces import why_no_namespaces
from appliance.daemon.pair.operator_commands import status, verb
from appliance.daemon.pair.up_pair import NODES, WITNESS, UpPair, prepare_pair

KILLED_BEFORE_CHUNK: Final = 5
"""Of eleven: in the middle of the recording."""
PAIRED_LIMIT_S: Final = 180.0
_POLL_S: Final = 0.2


async def show_pair(home: Path, port_base: int | None, *, dashboard: bool, stop_after: bool) -> None:
    """Run the demonstration and, unless ``stop_after``, serve until Ctrl-C or SIGTERM.

    Raises:
        CommandFailedError: the pair did not start, nobody took over, or the consult did not reach a signed note.
    """
    stop = stop_event(None)
    stage = Stages()
    found, reason = read_plan(home / WITNESS), why_no_namespaces()
    with_address = bool(found.vip_addresses) if found is not None else reason is None
    plan = await prepare_pair(home, port_base, "auto" if with_address else None)
    stage("pair", "two nodes and the third voter start" + (", with a virtual IP" if with_address else ""))
    if not with_address:
        stage("pair", f"no virtual IP ({reason or 'made without one'}): the phone knows both nodes")
    up = UpPair(home, plan, dashboard=dashboard, restart=False)
    facts = await up.start()
    try:
        await play(Demonstration(up, facts, stage).run(), stop, stop_after=stop_after)
    finally:
        await up.stop()


class Demonstration:
    """One run: the consult, the blow in its middle, the return of the dead node."""

    def __init__(self, up: UpPair, facts: dict[str, Any], stage: Stages) -> None:
        self._up = up
        self._facts = facts
        self._stage = stage
        self._first: str = facts["primary"]
        """Who leads, until the blow."""
        self._steps = 0
        self._died_at: float | None = None
        self.outage_s: float | None = None
        """From the death of the primary until the phone's next step was acknowledged."""

    @property
    def _second(self) -> str:
        return next(name for name in NODES if name != self._first)

    async def run(self) -> None:
        """Everything. Raises ``CommandFailedError``, ``RefusedError``, ``ConsultFailedError``."""
        for name, node in self._facts["nodes"].items():
            role = "primary" if name == self._first else "standby"
            self._stage("pair", f"{role} {name} at {node['api']}, dashboard {node['admin'] or 'off'}")
        for name in NODES:
            await self._models_ready(name)
        await self._paired()
        home = self._home(self._first)
        out = home / "demo" / f"{PHYSICIAN}.json"
        client = await enrol_client(home, user=PHYSICIAN, role="physician", out=out, hours=12)
        address = self._facts["client_address"]
        addresses = [f"https://{address}"] if address else [node["api"] for node in self._facts["nodes"].values()]
        phone = Phone(client, addresses)
        try:
            self._stage("enrolled", f"{PHYSICIAN}'s phone, which asks {' or '.join(addresses)}")
            await self._consult(phone)
        finally:
            await phone.close()
        await self._come_back()

    async def _consult(self, phone: Phone) -> None:
        demonstration = await label(phone, self._stage)
        await load_synthea(phone, self._stage)
        audio, gold = read_sample(SAMPLES[0])
        self._stage("consult", f"{SAMPLES[0]}: {gold.transcript[-1].end:.0f} s of speech")
        consult = await take_consult(phone, audio, self._follow, pace=self._strike)
        print_consult(consult, gold, demonstration=demonstration)
        leads = await self._status(self._second)
        if leads.leader != self._second or self.outage_s is None:
            raise CommandFailedError(f"{leads.leader or 'nobody'} leads; the primary was not lost.")
        click.echo(f"OUTAGE  {self.outage_s:.2f} s from the death of {self._first} to the next acknowledged step")
        click.echo(f"LEADS   {leads.leader}, epoch {leads.epoch}, mode {leads.mode}; the consult was finished there\n")

    async def _strike(self) -> None:
        """Before each step of the phone's: in the middle of the recording the primary loses its power."""
        if self._steps == KILLED_BEFORE_CHUNK:
            self._first = (await self._paired()).node
            self._stage("POWER CUT", f"every process of {self._first}, the primary, is killed")
            self._died_at = time.monotonic()
            await self._up.cut_power(self._first)
        self._steps += 1

    def _follow(self, stage: str, sentence: str) -> None:
        if self._died_at is not None and self.outage_s is None:
            self.outage_s = time.monotonic() - self._died_at
            self._stage("served", f"by {self._second}, {self.outage_s:.2f} s after the power cut")
        self._stage(stage, sentence)

    async def _come_back(self) -> None:
        self._stage("power on", f"{self._first} starts again")
        await self._up.start_again(self._first)
        told = await self._paired()
        self._stage("paired", f"{told.leader} leads, {self._first} follows; nobody was handed back to")

    async def _models_ready(self, node: str) -> None:
        """Engines that load take every core of a small machine: a takeover then is slower than it need be."""
        async with asyncio.timeout(PAIRED_LIMIT_S):
            while not all(row["ready"] for row in (await verb(self._home(node), "models"))["models"]):  # noqa: ASYNC110
                await asyncio.sleep(_POLL_S)

    async def _paired(self) -> ClusterStatus:
        """Wait until one leads and the other holds everything; the leader's view."""
        told: list[ClusterStatus] = []
        try:
            async with asyncio.timeout(PAIRED_LIMIT_S):
                while True:
                    told = [await self._status(name) for name in NODES]
                    for one in told:
                        if one.leader == one.node and one.mode == "paired":
                            return one
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            modes = ", ".join(f"{one.node} is {one.role.value}, {one.mode}" for one in told)
            raise CommandFailedError(f"the two nodes do not become a pair: {modes}") from None

    async def _status(self, node: str) -> ClusterStatus:
        return await status(self._home(node))

    def _home(self, node: str) -> Path:
        return Path(self._facts["nodes"][node]["home"])
