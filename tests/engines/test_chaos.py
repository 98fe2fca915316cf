"""Everything that can happen to a child, in the middle of many streams: each ends with an answer or a clear error."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appliance.engines.circuit import Circuit
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import EngineStatus
from appliance.plugin_api.errors import ProntuarioError

STREAMS = 50
LENGTH = 40
Ask = Callable[..., Awaitable[list[bytes]]]
Start = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


def code(outcome: object) -> str:
    if isinstance(outcome, ProntuarioError):
        return outcome.kind.code
    assert isinstance(outcome, list), outcome
    assert len(outcome) == LENGTH
    return "answered"


async def ends(tasks: list[asyncio.Task[Any]]) -> Counter[str]:
    return Counter(map(code, await asyncio.gather(*tasks, return_exceptions=True)))


async def streams(engine: Any, ask: Ask, until: Until, **options: Any) -> list[asyncio.Task[Any]]:
    tasks = [
        asyncio.create_task(ask(engine, "stream", [LENGTH, 0.0005], **{"user": f"user{number % 9}", **options}))
        for number in range(STREAMS)
    ]
    await until(lambda: engine.running == STREAMS)
    return tasks


async def test_kill_9_in_the_middle_of_many_streams(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine()
    tasks = await streams(engine, ask, until)
    os.kill(engine.pid, signal.SIGKILL)
    outcome = await ends(tasks)
    assert outcome.total() == STREAMS
    assert set(outcome) <= {"answered", "engine.died"}
    assert engine.last_death == "SIGKILL"
    assert await ask(engine, "echo", b"back") == [b"back"]


@pytest.mark.parametrize("misdeed", ["segv", "exit", "raise"])
async def test_a_request_that_brings_the_child_down_does_not_poison_its_neighbours(
    start_engine: Start, ask: Ask, until: Until, misdeed: str
) -> None:
    engine = await start_engine()
    tasks = await streams(engine, ask, until)
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, misdeed, b"")
    assert refusal.value.kind.code == "engine.poison"
    assert set(await ends(tasks)) <= {"answered", "engine.died"}
    await until(lambda: engine.restarts == 2)
    with pytest.raises(ProntuarioError) as again:
        await ask(engine, misdeed, b"")
    assert again.value.kind.code == "engine.poison"
    assert engine.restarts == 2
    assert await ask(engine, "echo", b"fine") == [b"fine"]


async def test_requests_that_were_not_answered_yet_survive_a_death(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine()
    tasks = [asyncio.create_task(ask(engine, "late", 0.1 + number / 1000)) for number in range(10)]
    await until(lambda: engine.running == 10)
    os.kill(engine.pid, signal.SIGKILL)
    assert await asyncio.gather(*tasks) == [[b"late"]] * 10


async def test_a_request_that_is_not_idempotent_is_never_run_twice(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine()
    task = asyncio.create_task(ask(engine, "late", 30.0, idempotent=False))
    await until(lambda: engine.running == 1)
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(ProntuarioError) as died:
        await task
    assert died.value.kind.code == "engine.died"
    assert died.value.kind.status == 503
    assert died.value.retry_after is not None


async def test_sigstop_is_noticed_and_the_child_replaced(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(stall_limit_s=0.5)
    tasks = await streams(engine, ask, until, idempotent=False)
    os.kill(engine.pid, signal.SIGSTOP)
    assert set(await ends(tasks)) <= {"answered", "engine.died"}
    await until(lambda: engine.restarts == 1)
    assert engine.last_death in {"stall", "stopped"}
    assert await ask(engine, "echo", b"back") == [b"back"]


async def test_a_stopped_child_is_not_waited_for_as_long_as_a_slow_step(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(stall_limit_s=600.0)
    tasks = await streams(engine, ask, until, idempotent=False)
    os.kill(engine.pid, signal.SIGSTOP)
    assert set(await ends(tasks)) <= {"answered", "engine.died"}
    await until(lambda: engine.restarts == 1)
    assert engine.last_death == "stopped"
    assert await ask(engine, "echo", b"back") == [b"back"]


@pytest.mark.parametrize("hang", ["hang", "hang_gil"])
async def test_a_step_that_never_returns_is_a_stall(start_engine: Start, ask: Ask, until: Until, hang: str) -> None:
    engine = await start_engine(stall_limit_s=0.5)
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, hang, b"")
    assert refusal.value.kind.code == "engine.poison"
    assert engine.last_death == "stall"
    assert await ask(engine, "echo", b"back") == [b"back"]


async def test_a_child_whose_memory_blows_up_is_killed_before_the_machine_suffers(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(footprint_bytes=150 << 20, rhythm=Rhythm(tick_s=0.02, ping_s=0.1))
    tasks = await streams(engine, ask, until)
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, "leak", 4 << 20)
    assert refusal.value.kind.code == "engine.poison"
    assert engine.last_death == "memory"
    assert set(await ends(tasks)) <= {"answered", "engine.died"}
    assert await ask(engine, "echo", b"back") == [b"back"]


async def test_an_engine_that_knows_its_state_after_an_error_lives_on(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(config={"isolated": True})
    with pytest.raises(ProntuarioError) as failure:
        await ask(engine, "raise", b"")
    assert failure.value.kind.code == "engine.failed"
    assert failure.value.kind.status == 500
    assert await ask(engine, "echo", b"same child") == [b"same child"]
    assert engine.restarts == 0


async def test_an_innocent_that_was_alive_at_a_death_is_trusted_again(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine()
    for _ in range(2):
        task = asyncio.create_task(ask(engine, "late", 0.3))
        await until(lambda: engine.running == 1 and engine.status is EngineStatus.READY)
        os.kill(engine.pid, signal.SIGKILL)
        assert await task == [b"late"]
    await until(lambda: engine.restarts == 2)


async def test_too_many_deaths_open_the_circuit_and_nobody_waits_in_vain(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(max_running=1, circuit=Circuit(deaths=3, pause_s=3600))
    killers = [asyncio.create_task(ask(engine, "exit", bytes([number]))) for number in range(8)]
    outcome = Counter(
        end.kind.code
        for end in await asyncio.gather(*killers, return_exceptions=True)
        if isinstance(end, ProntuarioError)
    )
    assert outcome.total() == 8
    assert set(outcome) == {"engine.poison", "engine.unavailable"}
    assert engine.status is EngineStatus.CIRCUIT_OPEN
    assert engine.waiting == engine.running == 0


async def test_random_kills_under_load_lose_no_request_without_an_answer(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(max_running=16, queue_limit=1000, circuit=Circuit(deaths=1000))
    chance = random.Random(7)
    tasks = [
        asyncio.create_task(ask(engine, "stream", [LENGTH, 0.0005], user=f"user{number % 9}")) for number in range(200)
    ]
    for _ in range(3):
        await until(lambda: engine.status is EngineStatus.READY or all(task.done() for task in tasks))
        await asyncio.sleep(chance.random() * 0.1)
        if engine.pid:
            os.kill(engine.pid, signal.SIGKILL)
    outcome = await ends(tasks)
    assert outcome.total() == 200
    assert set(outcome) <= {"answered", "engine.died", "engine.poison"}
    assert outcome["answered"] > 0
