"""No child survives a stop, whatever it is doing and whichever loop runs the core."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import psutil
import pytest
import uvloop

from appliance.engines.circuit import Circuit
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus
from appliance.plugin_api.errors import ProntuarioError

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
Start = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


def alive_children() -> list[int]:
    return [
        child.pid
        for child in psutil.Process().children()  # our own: a whole node may run below another test
        if child.status() != psutil.STATUS_ZOMBIE and "appliance.engines.child" in child.cmdline()
    ]


async def test_while_it_loads(start_engine: Start, until: Until) -> None:
    engine = await start_engine(ready=False, config={"load_delay_s": 600})
    await until(lambda: engine.pid)
    await engine.stop(5.0)
    assert engine.status is EngineStatus.STOPPED
    assert alive_children() == []


async def test_before_it_was_spawned(start_engine: Start) -> None:
    engine = await start_engine(ready=False)
    await engine.stop(5.0)
    assert alive_children() == []


async def test_while_it_waits_to_restart(start_engine: Start, until: Until) -> None:
    engine = await start_engine(ready=False, config={"load_exit": 1})
    await until(lambda: engine.restarts >= 1)
    await engine.stop(5.0)
    assert engine.status is EngineStatus.STOPPED
    assert alive_children() == []


async def test_while_its_circuit_is_open(start_engine: Start, until: Until) -> None:
    engine = await start_engine(ready=False, config={"load_exit": 1}, circuit=Circuit(deaths=1))
    await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
    await engine.stop(5.0)
    assert engine.status is EngineStatus.STOPPED


async def test_in_the_moment_in_which_an_operator_closes_its_circuit(start_engine: Start, until: Until) -> None:
    """Both orders arrive before the engine has acted on the first: it does not start a child that nobody ends."""
    engine = await start_engine(circuit=Circuit(deaths=1, pause_s=3600))
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
    engine.reset()
    async with asyncio.timeout(60):
        await engine.stop(0.0)
    assert engine.status is EngineStatus.STOPPED
    assert alive_children() == []


async def test_while_it_is_stopped_by_a_signal(start_engine: Start) -> None:
    engine = await start_engine(rhythm=Rhythm(drain_grace_s=0.1))
    os.kill(engine.pid, signal.SIGSTOP)
    await engine.stop(0.1)
    assert alive_children() == []


async def test_twice_and_never_started() -> None:
    engine = EngineSupervisor(EngineSpec("echo", ECHO), MemoryLedger())
    await engine.stop(0.0)
    await engine.stop(0.0)
    with pytest.raises(ProntuarioError) as refusal:
        await anext(engine.submit("echo", b"", CallOptions()))
    assert refusal.value.kind.code == "engine.unavailable"


async def test_requests_that_arrive_during_the_drain_are_refused(start_engine: Start, ask: Any, until: Until) -> None:
    engine = await start_engine()
    running = asyncio.create_task(ask(engine, "late", 0.5))
    await until(lambda: engine.running == 1)
    stopping = asyncio.create_task(engine.stop(30.0))
    await asyncio.sleep(0)
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, "echo", b"")
    assert refusal.value.kind.status == 503
    assert await running == [b"late"]
    await stopping


def test_the_whole_life_on_uvloop() -> None:
    async def life() -> tuple[list[bytes], int, str]:
        engine = EngineSupervisor(EngineSpec("echo", ECHO), MemoryLedger(), rhythm=Rhythm(tick_s=0.05, ping_s=0.1))
        await engine.start()
        assert await engine.wait_ready(60)
        os.kill(engine.pid, signal.SIGKILL)
        payload = msgspec.msgpack.encode([3])
        answer = [piece async for piece in engine.submit("stream", payload, CallOptions())]
        large = os.urandom(2 << 20)
        assert [piece async for piece in engine.submit("echo", large, CallOptions())] == [large]
        restarts, cause = engine.restarts, engine.last_death
        await engine.stop(5.0)
        return answer, restarts, cause

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer, restarts, cause = runner.run(life())
    assert [piece[0] for piece in answer] == [0, 1, 2]
    assert (restarts, cause) == (1, "SIGKILL")
    assert alive_children() == []
