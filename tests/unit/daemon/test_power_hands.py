"""What a node does at the end of its battery, before everything closes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from appliance.daemon.power import FAREWELL_S, LoneHands, PairedHands
from appliance.operations.power.reading import Supply
from appliance.operations.power.switch_off import SwitchOff


async def test_the_hospital_is_told_before_everything_closes() -> None:
    said: list[float] = []

    async def tell_last(within_s: float) -> None:
        await asyncio.sleep(0)
        said.append(within_s)

    core: Any = SimpleNamespace(watching=SimpleNamespace(tell_last=tell_last))
    stop, off = asyncio.Event(), SwitchOff(("/bin/true",))
    hands = LoneHands(core, stop, off)
    await hands.said()
    assert (said, stop.is_set(), off.ordered) == ([], False, False)
    hands.shut_down()
    assert (stop.is_set(), off.ordered) == (True, True)
    await hands.said()
    assert said == [FAREWELL_S]


@pytest.mark.parametrize(
    ("told", "supply"),
    [({"supply": "low"}, Supply.LOW), ({"supply": None}, None), ({"supply": "solar"}, None), (7, None)],
)
async def test_what_another_version_tells_of_its_supply_is_unknown(told: object, supply: Supply | None) -> None:
    async def call(_service: str, _verb: str, _body: bytes) -> bytes:
        return msgspec.msgpack.encode(told)

    core: Any = SimpleNamespace()
    neighbour: Any = SimpleNamespace(call=call)
    hands = PairedHands(core, asyncio.Event(), SwitchOff(()), roles=core, neighbour=neighbour)
    assert await hands.peer_supply() is supply
