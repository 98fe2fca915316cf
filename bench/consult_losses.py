"""Take consults while the primary's whole machine dies and comes back; nothing acknowledged may be lost or be there twice.

``python bench/consult_losses.py [--rounds 20] [--seed N]``. Each round takes the sample consult live (100 ms frames over the
WebSocket) with the reference phone; at a random moment every process of the primary is killed, a few seconds later the node
starts again, and the consult goes on at the other. Moments are drawn half over the time of an undisturbed
consult, a quarter over its steps, most of them frames, and a quarter at the review and the signature. Two whole nodes and
three voters on loopback; ``--keep DIR`` keeps their homes and logs.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.failover_client import percentile
from bench.report import Report, say
from tests.fakes.phone import ReferencePhone
from tests.fakes.phone_consult import LiveConsult, audit, frames
from tests.system.pair import RunningPair, eventually, running_pair

SAMPLE = Path(__file__).resolve().parents[1] / "appliance" / "daemon" / "sample" / "consult_2.flac"
PATIENCE_S = 240.0
AWAY_S = (0.5, 6.0)
WITHIN_STEP_S = 0.03
TRIES = 2


@dataclass
class Loss:
    """When the primary dies: ``after_s`` seconds after the consult's start, or after its step number ``step``."""

    after_s: float
    step: int | None = None
    node: str = ""
    struck: str = ""
    """The stage of the consult at that moment; empty: the consult was over before."""
    mode: str = ""
    """The pair's at that moment: while ``degraded`` the other node must not take over, and the consult waits for the return."""
    silence_s: float = 0.0


@dataclass
class Taken:
    """One round."""

    consult: LiveConsult
    seconds: float
    steps: int
    silence_s: float
    """The longest time between two things that the service did for the phone."""
    wrong: list[str] = field(default_factory=list)


class Pace:
    """Follows one consult: its stage, its steps, its silences; lets the loss befall the pair."""

    def __init__(self, pair: RunningPair, client: dict[str, str], loss: Loss | None, away_s: float) -> None:
        self._pair, self._client, self._loss, self._away_s = pair, client, loss, away_s
        self._blow: asyncio.Task[None] | None = None
        self._last = time.monotonic()
        self.stage, self.steps, self.silence_s = "patient", 0, 0.0
        if loss is not None and loss.step is None:
            self._blow = asyncio.create_task(self._strike(loss))

    async def step(self, stage: str) -> None:
        """See ``phone_consult.Step``. What comes after the draft is not counted as silence: models take their time."""
        now = time.monotonic()
        if stage != "signing" or self.stage == "signing":
            self.silence_s = max(self.silence_s, now - self._last)
        self._last, self.stage, self.steps = now, stage, self.steps + 1
        if self._loss is not None and self._loss.step == self.steps:
            self._blow = asyncio.create_task(self._strike(self._loss))

    async def over(self) -> None:
        """The consult is done: the node that died comes back, or a blow that did not fall in time never falls."""
        if self._blow is None or self._loss is None:
            return
        if self._loss.struck:
            await self._blow
        else:
            self._blow.cancel()

    async def _strike(self, loss: Loss) -> None:
        await asyncio.sleep(loss.after_s)
        loss.node, loss.mode = await asyncio.to_thread(self._pair.standing, self._client)
        if not loss.node:
            return
        loss.struck = self.stage
        await asyncio.to_thread(self._pair.kill, loss.node)
        await asyncio.sleep(self._away_s)
        await asyncio.to_thread(self._pair.start_again, loss.node)


class Rounds:
    """All rounds on one pair."""

    def __init__(self, pair: RunningPair, rng: random.Random, pieces: list[bytes]) -> None:
        self._pair, self._rng, self._pieces = pair, rng, pieces
        self.client = pair.client("dra.perdas")
        self.taken: list[Taken] = []
        self.losses: list[Loss] = []

    async def one(self, loss: Loss | None) -> Taken:
        """A consult with at most one loss; afterwards both nodes are there again and everything is read back."""
        consult = LiveConsult(f"{self._rng.getrandbits(64):016x}", self._pieces)
        addresses = [str(node["api"]) for node in self._pair.nodes.values()]
        phone = ReferencePhone(
            self.client,
            addresses=addresses,
            patience_s=PATIENCE_S,
            heard=consult.heard.append,
            seed=self._rng.getrandbits(32),
        )
        pace = Pace(self._pair, self.client, loss, self._rng.uniform(*AWAY_S))
        began = time.monotonic()
        try:
            await consult.take(phone, pace.step)
            seconds = time.monotonic() - began
            await pace.over()
            await asyncio.to_thread(eventually, lambda: self._pair.paired(self.client), "paired again")
            wrong = await audit(phone, consult)
        finally:
            await phone.close()
        return Taken(consult, seconds, pace.steps, pace.silence_s, wrong)

    async def run(self, rounds: int) -> None:
        """Until ``rounds`` losses have struck."""
        calm = await self.one(None)
        self.taken.append(calm)
        say(f"an undisturbed consult takes {calm.seconds:.1f} s and {calm.steps} steps; wrong: {calm.wrong}")
        for number in range(TRIES * rounds):  # a consult may be over before its blow falls: that one does not count
            if len(self.losses) == rounds:
                return
            loss = self._draw(number, calm)
            taken = await self.one(loss)
            self.taken.append(taken)
            if loss.struck:
                loss.silence_s = taken.silence_s
                self.losses.append(loss)
            when = f"{loss.after_s:.2f} s after {'the start' if loss.step is None else f'step {loss.step}'}"
            what = (
                f"{loss.node} lost {when} ({loss.struck}, {loss.mode})"
                if loss.struck
                else f"over before the loss {when}"
            )
            told = f"{taken.consult.acknowledged} acknowledged, silent for {taken.silence_s:.1f} s at most"
            say(f"{len(self.losses)}/{rounds}: {what}; done in {taken.seconds:.1f} s; {told}; wrong: {taken.wrong}")

    def _draw(self, number: int, calm: Taken) -> Loss:
        """By time, by step, by time, at the review or the signature, and so on."""
        if number % 2 == 0:
            return Loss(self._rng.uniform(0, calm.seconds * 0.95))
        first = calm.steps - 1 if number % 4 == 3 else 1
        return Loss(self._rng.uniform(0, WITHIN_STEP_S), step=self._rng.randint(first, calm.steps))

    def report(self, rounds: int) -> Report:
        """The figures."""
        report = Report("chaos-consult-pair")
        struck = Counter(loss.struck for loss in self.losses)
        lost_frames = sum(len(one.consult.live.lost) for one in self.taken if one.consult.live is not None)
        report.row("consults", len(self.taken), "consults")
        report.row("losses of the primary", len(self.losses), "losses", aim=("==", rounds))
        for stage, times in sorted(struck.items()):
            report.row(f"losses while {stage}", times, "losses")
        signed = sum(bool(one.consult.note) for one in self.taken)
        report.row("signed at the end", signed, "consults", aim=("==", len(self.taken)))
        report.row("acknowledged", sum(one.consult.acknowledged for one in self.taken), "writes")
        report.row("acknowledged frames lost", lost_frames, "frames", aim=("==", 0))
        report.row("missing or there twice", sum(len(one.wrong) for one in self.taken), "writes", aim=("==", 0))
        report.row("losses while degraded", sum(loss.mode == "degraded" for loss in self.losses), "losses")
        for mode in sorted({loss.mode for loss in self.losses}):
            silences = [loss.silence_s for loss in self.losses if loss.mode == mode]
            report.row(f"longest silence p50, lost while {mode}", percentile(silences, 0.5), "s")
            report.row(f"longest silence max, lost while {mode}", percentile(silences, 1.0), "s")
        return report


def main() -> None:
    """Parse, run, print the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--keep", type=Path, help="an empty folder for homes and logs, which stays")
    options = parser.parse_args()
    say(f"seed {options.seed}")
    pieces = frames(SAMPLE.read_bytes())
    with tempfile.TemporaryDirectory(prefix="prontuario-losses-") as scratch:
        folder = options.keep or Path(scratch)
        with running_pair(folder) as pair:
            rounds = Rounds(pair, random.Random(options.seed), pieces)
            asyncio.run(rounds.run(options.rounds))
    rounds.report(options.rounds).print()


if __name__ == "__main__":
    main()
