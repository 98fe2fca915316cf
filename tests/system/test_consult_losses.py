"""A consult in progress survives the loss of the primary's machine, twice: the clinician's phone notices a pause, no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.phone import ReferencePhone
from tests.fakes.phone_consult import LiveConsult, audit, frames
from tests.system import spoken
from tests.system.pair import RunningPair, eventually, running_pair

pytestmark = [pytest.mark.system, pytest.mark.timeout(900), pytest.mark.xdist_group("pair")]
PATIENCE_S = 300.0


class TwoLosses:
    """Kills whoever leads in the middle of the recording, and again, once both are there, before the signature."""

    def __init__(self, pair: RunningPair, client: dict[str, str], middle: int) -> None:
        self._pair, self._client, self._middle = pair, client, middle
        self._frames = 0
        self.lost: list[str] = []

    async def step(self, stage: str) -> None:
        """See ``phone_consult.Step``."""
        if stage == "recording":
            self._frames += 1
            if self._frames == self._middle:
                await asyncio.to_thread(self._lose)
        if stage == "signing" and len(self.lost) == 1:
            await asyncio.to_thread(self._return_and_lose)

    def _lose(self) -> None:
        eventually(
            lambda: self._pair.paired(self._client), "paired"
        )  # a standby that lags for a moment must not take over
        node, _ = self._pair.standing(self._client)
        self._pair.kill(node)
        self.lost.append(node)

    def _return_and_lose(self) -> None:
        self._pair.start_again(self.lost[0])
        self._lose()


async def take(pair: RunningPair, client: dict[str, str]) -> tuple[TwoLosses, LiveConsult, list[str]]:
    pieces = frames(spoken.recording(spoken.NAMES[1]))
    consult, losses = LiveConsult("two-losses", pieces), TwoLosses(pair, client, len(pieces) // 2)
    addresses = [str(node["api"]) for node in pair.nodes.values()]
    phone = ReferencePhone(client, addresses=addresses, patience_s=PATIENCE_S, heard=consult.heard.append, seed=11)
    try:
        await consult.take(phone, losses.step)
        return losses, consult, await audit(phone, consult)
    finally:
        await phone.close()


def test_a_consult_survives_the_loss_of_one_node_and_then_of_the_other(tmp_path: Path) -> None:
    with running_pair(tmp_path) as pair:
        losses, consult, wrong = asyncio.run(take(pair, pair.client()))
    assert losses.lost == ["a", "b"]
    assert consult.live is not None
    assert consult.live.connections >= 2
    assert wrong == []
    assert consult.note["state"] == "signed"
