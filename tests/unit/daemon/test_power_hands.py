"""What a node does at the end of its battery, before everything closes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from appliance.daemon.power import FAREWELL_S, LoneHands
from appliance.operations.power.switch_off import SwitchOff


async def test_the_hospital_is_told_before_everything_closes() -> None:
    said: list[float] = []

    async def tell_last(within_s: float) -> None:
        await asyncio.sleep(0)
        said.append(within_s)

    core = SimpleNamespace(watching=SimpleNamespace(tell_last=tell_last))
    stop, off = asyncio.Event(), SwitchOff(("/bin/true",))
    hands = LoneHands(core, stop, off)  # type: ignore[arg-type]
    await hands.said()
    assert (said, stop.is_set(), off.ordered) == ([], False, False)
    hands.shut_down()
    assert (stop.is_set(), off.ordered) == (True, True)
    await hands.said()
    assert said == [FAREWELL_S]
