"""A seat hands requests to whoever sits in it; two engines of one name are booked apart and stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.engines.seat import EngineSeat
from appliance.engines.supervisor import EngineSupervisor
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineSpec, EngineStatus
from appliance.plugin_api.errors import ProntuarioError

Start = Callable[..., Awaitable[EngineSupervisor]]
ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
CALL = CallOptions(deadline_s=60.0)


async def collect(handle: EngineHandle, kind: str, payload: bytes) -> list[bytes]:
    return [piece async for piece in handle.submit(kind, payload, CALL)]


async def test_what_runs_stays_and_what_comes_goes_to_the_successor(start_engine: Start, until: Any) -> None:
    old, new = [await start_engine(config={"model_id": name}) for name in ("old", "new")]
    seat, successor = EngineSeat(old), EngineSeat(new)
    late = asyncio.create_task(collect(seat, "late", msgspec.msgpack.encode(0.5)))
    await until(lambda: old.running == 1)
    seat.pass_to(successor)
    assert (seat.engine is new, seat.status, seat.waiting) == (True, EngineStatus.READY, 0)
    assert seat.loaded is not None
    assert seat.loaded.model_id == "new"
    assert await late == [b"late"]
    await old.stop(0.0)
    assert await collect(seat, "echo", b"x") == [b"x"]


async def test_the_engine_is_chosen_when_the_request_begins_not_when_it_is_written_down(start_engine: Start) -> None:
    old, new = [await start_engine() for _ in range(2)]
    seat = EngineSeat(old)
    pieces = seat.submit("echo", b"x", CALL)
    seat.pass_to(EngineSeat(new))
    await old.stop(0.0)
    assert [piece async for piece in pieces] == [b"x"]


async def test_closing_the_iterator_cancels_in_the_engine(start_engine: Start, until: Any) -> None:
    engine = await start_engine()
    pieces = EngineSeat(engine).submit("stream", msgspec.msgpack.encode([1000.0, 0.01]), CALL)
    await anext(pieces)
    assert engine.running == 1
    await pieces.aclose()
    await until(lambda: engine.running == 0)


async def test_a_seat_never_leads_back_to_itself(start_engine: Start) -> None:
    engine = await start_engine()
    first, second = EngineSeat(engine), EngineSeat(engine)
    first.pass_to(second)
    for loop in ((second, first), (second, second)):
        with pytest.raises(ValueError, match="succeed itself"):
            loop[0].pass_to(loop[1])


def test_a_namesake_is_booked_apart_in_the_same_budget() -> None:
    ledger = MemoryLedger(100)
    ledger.reserve("chat", 60)
    beside = ledger.beside("#2")
    with pytest.raises(ProntuarioError, match=r"engine\.memory"):
        beside.reserve("chat", 41)
    beside.reserve("chat", 40)
    assert (ledger.free_bytes, ledger.held()) == (0, {"chat": 60, "chat #2": 40})
    ledger.release("chat")
    assert (ledger.free_bytes, beside.free_bytes) == (60, 60)
    beside.release("chat")
    assert ledger.held() == {}


async def test_the_fleet_shows_the_one_that_serves_and_stops_both(is_gone: Any) -> None:
    fleet = EngineFleet(MemoryLedger(8 << 30), rhythm=Rhythm(tick_s=0.05, ping_s=0.1))
    fleet.add(fleet.make(EngineSpec("chat", ECHO, config={"model_id": "old"}), "toy"))
    (check,) = fleet.health_checks()
    await fleet.start()
    candidate = fleet.make_beside(EngineSpec("chat", ECHO, config={"model_id": "new"}), "toy")
    await candidate.start()
    assert await fleet.wait_ready(60)
    assert await candidate.wait_ready(60)
    assert [row.model_id for row in fleet.report()] == ["old"]
    old = fleet.replace(candidate)
    pids = old.pid, candidate.pid
    assert [row.model_id for row in fleet.report()] == ["new"]
    await old.stop(0.0)
    assert (await check.check()).status == "ok"  # of the one that serves
    await fleet.stop(0.0)
    assert [is_gone(pid) for pid in pids] == [True, True]
