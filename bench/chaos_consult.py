"""kill -9 core at random moments of a consult; count what was acknowledged and what is missing afterwards.

Each round takes the sample consult through the public API while core is killed once, at a moment drawn over the length of
an undisturbed consult; ``prontuario up`` starts it again and the phone goes on. Afterwards everything that was acknowledged is
read back: resources, every byte of audio, the signed note. Usage: ``chaos_consult.py --rounds 20 [--seed N]``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node import ROOT, BenchNode, running_node
from report import Report, say

sys.path.insert(0, str(ROOT))
from appliance.daemon.demo.consult import Consult, take_consult
from appliance.daemon.demo.phone import FHIR, Phone, RefusedError

SAMPLE = ROOT / "appliance" / "daemon" / "sample" / "consult.flac"


@dataclass
class Ledger:
    """What the node acknowledged, and what of it could not be found again."""

    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)


class WitnessPhone(Phone):
    """A phone that writes down every acknowledgement."""

    def __init__(self, client: Mapping[str, str], ledger: Ledger) -> None:
        super().__init__(client)
        self.ledger = ledger

    async def create(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """As the phone does, noting the resource."""
        stored = await super().create(resource)
        self.ledger.resources.append(f"{stored['resourceType']}/{stored['id']}")
        self.ledger.acknowledged += 1
        return stored

    async def send_chunk(self, dictation: str, sequence: int, chunk: bytes) -> None:
        """As the phone does, counting."""
        await super().send_chunk(dictation, sequence, chunk)
        self.ledger.acknowledged += 1

    async def post(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """As the phone does, counting everything but FHIR creates (counted above)."""
        answer = await super().post(path, body, headers)
        if not path.startswith(FHIR):
            self.ledger.acknowledged += 1
        return answer

    async def audio(self, dictation: str) -> bytes:
        """The recording as the appliance keeps it."""
        return (await self._call("GET", f"/api/dictations/{dictation}/audio")).content


async def check(phone: WitnessPhone, consult: Consult, audio: bytes) -> None:
    """Read back everything acknowledged; what is missing goes to the ledger."""
    missing = phone.ledger.missing
    for resource in phone.ledger.resources:
        try:
            await phone.get(f"{FHIR}/{resource}")
        except RefusedError as error:
            missing.append(f"{resource}: {error.status}")
    kept = await phone.audio(consult.dictation)
    if hashlib.sha256(kept).digest() != hashlib.sha256(audio).digest():
        missing.append(f"audio of {consult.dictation}: {len(kept)} of {len(audio)} bytes")
    note = await phone.get(f"/api/notes/{consult.note['id']}")
    if note["state"] != "signed" or not consult.verification.get("valid"):
        missing.append(f"signature of {consult.note['id']}")


@dataclass
class Blow:
    """When core is killed: so many seconds after the start, or so many after the phone began its n-th step."""

    after_s: float
    step: int | None = None
    struck: str = "not at all"


async def one_round(
    node: BenchNode, client: Mapping[str, str], audio: bytes, blow: Blow | None
) -> tuple[Ledger, float, int]:
    """One consult, with core killed once; the ledger, its seconds, and the steps that the phone took."""
    ledger, stage, steps = Ledger(), "start", 0
    tasks: list[asyncio.Task[None]] = []

    def report(name: str, _sentence: str) -> None:
        nonlocal stage
        stage = name

    async def strike(planned: Blow) -> None:
        await asyncio.sleep(planned.after_s)
        os.kill(node.core_pid, signal.SIGKILL)
        planned.struck = stage

    async def pace() -> None:
        nonlocal steps
        steps += 1
        if blow is not None and blow.step == steps:
            tasks.append(asyncio.create_task(strike(blow)))

    phone = WitnessPhone(client, ledger)
    if blow is not None and blow.step is None:
        tasks.append(asyncio.create_task(strike(blow)))
    began = time.monotonic()
    try:
        consult = await take_consult(phone, audio, report, pace=pace)
        seconds = time.monotonic() - began
        for task in tasks:
            task.cancel()
        await check(phone, consult, audio)
    finally:
        await phone.close()
    return ledger, seconds, steps


async def run(rounds: int, seed: int) -> Report:
    """All rounds on one node."""
    rng, report = random.Random(seed), Report("chaos-consult")
    audio = await asyncio.to_thread(SAMPLE.read_bytes)
    acknowledged, missing, kills, stages, number = 0, [], 0, set(), 0
    with running_node("--no-admin") as node:
        client = node.client("dra.caos")
        _, calm_s, steps = await one_round(node, client, audio, None)
        say(f"an undisturbed consult takes {calm_s:.1f} s and {steps} steps; seed {seed}")
        while kills < rounds and number < 2 * rounds:  # a consult may end before the blow falls: it does not count
            number += 1
            # Uploads and signatures take a moment, models take long: half the blows fall by time, half by step.
            by_time = Blow(rng.uniform(0, calm_s * 0.9))
            blow = by_time if number % 2 else Blow(rng.uniform(0, 0.03), step=rng.randint(1, steps))
            ledger, seconds, _ = await one_round(node, client, audio, blow)
            acknowledged += ledger.acknowledged
            missing += ledger.missing
            kills += blow.struck != "not at all"
            stages.add(blow.struck)
            moment = f"{blow.after_s:.2f} s after {'the start' if blow.step is None else f'step {blow.step}'}"
            told = f"round {number}, {kills}/{rounds} struck: killed {moment} ({blow.struck})"
            say(f"{told}; done in {seconds:.1f} s; missing {ledger.missing}")
    report.row("consults", number, "consults")
    report.row("kills that struck", kills, "kills", aim=(">=", rounds))
    report.row("stages struck", len(stages), "stages")
    report.row("acknowledged", acknowledged, "writes")
    report.row("missing", len(missing), "writes", aim=("==", 0))
    return report


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    asyncio.run(run(arguments.rounds, arguments.seed)).print()


if __name__ == "__main__":
    assert Path(SAMPLE).exists()
    main()
