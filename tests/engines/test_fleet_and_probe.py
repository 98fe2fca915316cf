from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import EngineSpec, Lane
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
Ask = Callable[..., Awaitable[list[bytes]]]
Start = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
QUICK = Rhythm(tick_s=0.05, ping_s=0.1, probe_s=0.1, probe_deadline_s=0.3)


@pytest.fixture
async def fleet() -> AsyncIterator[EngineFleet]:
    made = EngineFleet(MemoryLedger(1 << 30), Metrics(), Rhythm(tick_s=0.05, ping_s=0.1))
    yield made
    await made.stop(0.0)


async def test_engines_start_side_by_side_and_report(fleet: EngineFleet, ask: Ask, is_gone: Any) -> None:
    for name in ("one", "two"):
        fleet.add(fleet.make(EngineSpec(name, ECHO, footprint_bytes=100 << 20), "toy"))
    await fleet.start()
    assert await fleet.wait_ready(60)
    rows = fleet.report()
    assert [(row.name, row.plugin, row.status, row.demonstration) for row in rows] == [
        ("one", "toy", "ready", True),
        ("two", "toy", "ready", True),
    ]
    assert fleet.ledger.free_bytes == (1 << 30) - (200 << 20)
    assert await ask(fleet.engine("two"), "echo", b"x") == [b"x"]
    await fleet.stop(1)
    assert all(is_gone(row.pid) for row in rows)
    assert {row.status for row in fleet.report()} == {"stopped"}
    assert fleet.ledger.held() == {}


async def test_an_engine_that_does_not_fit_does_not_keep_the_others_from_starting(fleet: EngineFleet) -> None:
    fleet.add(fleet.make(EngineSpec("huge", ECHO, footprint_bytes=1 << 40), "toy"))
    fleet.add(fleet.make(EngineSpec("small", ECHO), "toy"))
    await fleet.start()
    assert not await fleet.wait_ready(60)
    rows = {row.name: (row.status, row.reason) for row in fleet.report()}
    assert rows == {"huge": ("refused", "engine.memory"), "small": ("ready", "")}


async def test_a_person_restarts_an_engine_and_it_answers_again(fleet: EngineFleet, ask: Ask, until: Until) -> None:
    fleet.add(fleet.make(EngineSpec("one", ECHO), "toy"))
    await fleet.start()
    assert await fleet.wait_ready(60)
    (before,) = fleet.report()
    assert fleet.restart("one")
    assert not fleet.restart("two")
    await until(lambda: fleet.report()[0].status == "ready" and fleet.report()[0].pid not in (0, before.pid))
    assert fleet.report()[0].restarts == before.restarts + 1
    assert await ask(fleet.engine("one"), "echo", b"x") == [b"x"]


async def test_on_battery_background_work_waits_and_people_are_served(
    fleet: EngineFleet, ask: Ask, until: Until
) -> None:
    fleet.add(fleet.make(EngineSpec("one", ECHO), "toy"))
    await fleet.start()
    assert await fleet.wait_ready(60)
    fleet.hold_background(True)
    engine = fleet.engine("one")
    later = asyncio.create_task(ask(engine, "echo", b"later", lane=Lane.BACKGROUND))
    await until(lambda: engine.waiting == 1)
    assert await ask(engine, "echo", b"now") == [b"now"]
    assert not later.done()
    assert fleet.make_beside(EngineSpec("one", ECHO), "toy").requests.held == {Lane.BACKGROUND}
    fleet.hold_background(False)
    assert await later == [b"later"]


async def test_two_engines_can_not_have_one_name(fleet: EngineFleet) -> None:
    fleet.add(fleet.make(EngineSpec("same", ECHO), "a"))
    with pytest.raises(ValueError, match="same"):
        fleet.add(fleet.make(EngineSpec("same", ECHO), "b"))


async def test_a_death_is_seen_in_the_report(fleet: EngineFleet, until: Until) -> None:
    fleet.add(fleet.make(EngineSpec("echo", ECHO), "toy"))
    await fleet.start()
    assert await fleet.wait_ready(60)
    os.kill(fleet.engine("echo").pid, signal.SIGKILL)
    await until(lambda: fleet.engine("echo").restarts == 1)
    assert await fleet.wait_ready(60)
    (row,) = fleet.report()
    assert (row.restarts, row.reason) == (1, "SIGKILL")


async def test_gauges_tell_the_state_at_the_moment_of_reading(ask: Ask, until: Until) -> None:
    metrics = Metrics()
    fleet = EngineFleet(MemoryLedger(1 << 30), metrics)
    fleet.add(fleet.make(EngineSpec("echo", ECHO, max_running=1), "toy"))
    await fleet.start()
    tasks = [asyncio.create_task(ask(fleet.engine("echo"), "mute", b"")) for _ in range(3)]
    await until(lambda: fleet.engine("echo").running == 1)
    text = metrics.render().decode()
    assert 'prontuario_engine_waiting{engine="echo"} 2.0' in text
    assert 'prontuario_engine_running{engine="echo"} 1.0' in text
    assert f'prontuario_engine_queue_limit{{engine="echo"}} {float(fleet.engine("echo").spec.queue_limit)}' in text
    assert 'prontuario_engine_circuit_open{engine="echo"} 0.0' in text
    await fleet.stop(0.0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert 'prontuario_engine_waiting{engine="echo"} 0.0' in metrics.render().decode()


async def test_health_is_told_through_the_registry(fleet: EngineFleet) -> None:
    fleet.add(fleet.make(EngineSpec("echo", ECHO, probe=("echo", b"")), "toy"))
    registry = HealthRegistry()
    for check in fleet.health_checks():
        registry.add(check)
    await fleet.start()
    starting = await registry.ask()
    assert starting["engine:echo"].status == "degraded"
    assert await fleet.wait_ready(60)
    assert (await registry.ask())["engine:echo"].status == "ok"
    await fleet.stop(0)
    stopped = (await registry.ask())["engine:echo"]
    assert stopped.status == "failed"
    assert stopped.advice


async def test_an_engine_that_answers_pings_but_no_requests_is_replaced(start_engine: Start, until: Until) -> None:
    engine = await start_engine(probe=("mute", b""), rhythm=QUICK)
    await until(lambda: engine.restarts >= 1)
    assert engine.last_death == "probe"


async def test_real_answers_are_proof_enough(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(probe=("mute", b""), rhythm=Rhythm(tick_s=0.05, ping_s=0.1, probe_s=3600))
    await ask(engine, "echo", b"")
    assert (await engine.health()).status == "ok"
    assert engine.restarts == 0


async def test_a_failing_probe_degrades_health_before_the_child_is_replaced(start_engine: Start, until: Until) -> None:
    rhythm = Rhythm(tick_s=0.05, ping_s=0.1, probe_s=5, probe_deadline_s=0.2)
    engine = await start_engine(probe=("fail", b"\xa1x"), rhythm=rhythm)
    async with asyncio.timeout(60):
        while (await engine.health()).status != "degraded":  # noqa: ASYNC110  it has no event, on purpose
            await asyncio.sleep(0.01)
    assert engine.restarts == 0
