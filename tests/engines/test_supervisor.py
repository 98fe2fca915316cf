from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from appliance.engines.circuit import Circuit
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.ledger import MemoryLedger
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineStatus, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.metrics import Metrics

Ask = Callable[..., Awaitable[list[bytes]]]
Start = Callable[..., Awaitable[Any]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


def code(outcome: object) -> str:
    return outcome.kind.code if isinstance(outcome, ProntuarioError) else repr(outcome)


async def test_an_answer_comes_back_and_the_model_is_told(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(config={"model_id": "tiny"})
    assert await ask(engine, "echo", b"bom dia") == [b"bom dia"]
    assert engine.status is EngineStatus.READY
    assert engine.loaded is not None
    assert engine.loaded.model_id == "tiny"
    assert engine.loaded.demonstration


async def test_a_stream_arrives_in_pieces_and_in_order(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine()
    pieces = await ask(engine, "stream", [500])
    assert [int.from_bytes(piece, "little") for piece in pieces] == list(range(500))


async def test_two_hundred_streams_do_not_mix(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(max_running=200)
    answers = await asyncio.gather(*(ask(engine, "stream", [number + 1]) for number in range(200)))
    assert [len(answer) for answer in answers] == list(range(1, 201))


async def test_a_large_request_and_a_large_answer(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine()
    payload = os.urandom(3 << 20)
    assert await ask(engine, "echo", payload) == [payload]
    assert len((await ask(engine, "big", 5 << 20))[0]) == 5 << 20


async def test_a_bad_request_fails_alone(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine()
    neighbour = asyncio.create_task(ask(engine, "stream", [20, 0.01]))
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, "no such kind")
    assert refusal.value.kind.code == "engine.rejected"
    assert refusal.value.kind.status == 422
    assert refusal.value.details["reason"] == "invalid"
    assert len(await neighbour) == 20
    assert engine.restarts == 0


async def test_the_engines_own_code_reaches_the_caller(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine()
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, "fail", "context_too_long")
    assert refusal.value.kind.status == 422
    assert refusal.value.details["reason"] == "context_too_long"


async def test_a_late_answer_is_a_deadline_and_frees_the_slot(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(max_running=1)
    with pytest.raises(ProntuarioError) as late:
        await ask(engine, "late", 50.0, deadline_s=0.2)
    assert late.value.kind.code == "engine.deadline"
    assert late.value.kind.status == 504
    assert engine.running == 0
    assert await ask(engine, "echo", b"next") == [b"next"]
    assert engine.restarts == 0


async def test_a_request_that_waits_too_long_never_reaches_the_child(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(max_running=1)
    blocker = asyncio.create_task(ask(engine, "mute", b""))
    await until(lambda: engine.running == 1)
    with pytest.raises(ProntuarioError) as late:
        await ask(engine, "segv", b"", deadline_s=0.2)
    assert late.value.kind.code == "engine.deadline"
    assert engine.waiting == 0
    blocker.cancel()
    await asyncio.gather(blocker, return_exceptions=True)
    assert await ask(engine, "echo", b"alive") == [b"alive"]
    assert engine.restarts == 0


async def test_a_full_queue_says_busy_with_its_length_and_when_to_return(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(max_running=1, queue_limit=2)
    tasks = [asyncio.create_task(ask(engine, "mute", b"")) for _ in range(3)]
    await until(lambda: engine.waiting == 2 and engine.running == 1)
    with pytest.raises(ProntuarioError) as busy:
        await ask(engine, "echo", b"one too many")
    assert busy.value.kind.status == 429
    assert busy.value.details["waiting"] == 2
    assert busy.value.retry_after is not None
    assert busy.value.retry_after >= 1
    for task in tasks:
        task.cancel()
    assert {type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)} == {asyncio.CancelledError}
    assert await ask(engine, "echo", b"room again") == [b"room again"]


async def test_closing_the_iterator_frees_the_slot_at_once(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(max_running=1)
    async with aclosing(engine.submit("stream", msgspec.msgpack.encode([10_000, 0.01]), CallOptions())) as stream:
        assert await anext(stream) == bytes(8)
        assert engine.running == 1
    assert engine.running == 0
    assert await ask(engine, "echo", b"next") == [b"next"]


async def test_an_engine_that_ignores_cancels_is_replaced(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(stall_limit_s=0.3)
    async with aclosing(engine.submit("stubborn", b"", CallOptions())) as stream:
        await anext(stream)
    await until(lambda: engine.restarts == 1)
    assert engine.last_death == "cancel ignored"
    assert await ask(engine, "echo", b"fresh") == [b"fresh"]


async def test_one_greedy_user_does_not_delay_the_others(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(max_running=1)
    order: list[str] = []

    async def one(user: str) -> None:
        await ask(engine, "echo", b"", user=user)
        order.append(user)

    blocker = asyncio.create_task(ask(engine, "late", 0.3, user="blocker"))
    await until(lambda: engine.running == 1)
    tasks = [asyncio.create_task(one("greedy")) for _ in range(20)]
    await until(lambda: engine.waiting == 20)
    tasks += [asyncio.create_task(one(user)) for user in ("ana", "bia")]
    await asyncio.gather(blocker, *tasks)
    assert set(order[:3]) == {"greedy", "ana", "bia"}


async def test_an_urgent_request_overtakes(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(max_running=1)
    order: list[str] = []

    async def one(name: str, lane: Lane) -> None:
        await ask(engine, "echo", b"", lane=lane)
        order.append(name)

    blocker = asyncio.create_task(ask(engine, "late", 0.3))
    await until(lambda: engine.running == 1)
    tasks = [asyncio.create_task(one("background", Lane.BACKGROUND))]
    await until(lambda: engine.waiting == 1)
    tasks.append(asyncio.create_task(one("urgent", Lane.URGENT)))
    await asyncio.gather(blocker, *tasks)
    assert order == ["urgent", "background"]


async def test_requests_wait_while_the_engine_loads(start_engine: Start, ask: Ask) -> None:
    engine = await start_engine(ready=False, config={"load_delay_s": 0.5})
    assert engine.status is EngineStatus.STARTING
    assert engine.loaded is None
    assert await ask(engine, "echo", b"patient") == [b"patient"]


async def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(start_engine: Start, ask: Ask) -> None:
    ledger = MemoryLedger(1000)
    with pytest.raises(ProntuarioError) as refusal:
        await start_engine(ready=False, ledger=ledger, footprint_bytes=2000)
    assert refusal.value.kind.code == "engine.memory"
    assert ledger.held() == {}


async def test_a_model_that_turns_out_larger_than_the_budget_is_refused(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine(ready=False, ledger=MemoryLedger(1 << 30), config={"footprint_bytes": 2 << 30})
    waiting = asyncio.create_task(ask(engine, "echo", b""))
    assert not await engine.wait_ready(60)
    await until(lambda: engine.status is EngineStatus.REFUSED)
    assert code((await asyncio.gather(waiting, return_exceptions=True))[0]) == "engine.unavailable"
    assert engine.pid == 0


@pytest.mark.parametrize(
    ("config", "cause"),
    [({"load_error": "no weights"}, "load failed: RuntimeError"), ({"load_exit": 7}, "exit 7")],
)
async def test_an_engine_that_can_not_load_opens_the_circuit(
    start_engine: Start, ask: Ask, config: dict[str, object], cause: str
) -> None:
    engine = await start_engine(ready=False, config=config, circuit=Circuit(deaths=2))
    assert not await engine.wait_ready(60)
    assert engine.status is EngineStatus.CIRCUIT_OPEN
    assert engine.last_death == cause
    with pytest.raises(ProntuarioError) as refusal:
        await ask(engine, "echo", b"")
    assert refusal.value.kind.code == "engine.unavailable"
    assert refusal.value.retry_after is not None
    assert refusal.value.retry_after > 10
    assert (await engine.health()).status == "failed"


async def test_a_load_that_takes_too_long_is_ended(start_engine: Start, until: Until) -> None:
    engine = await start_engine(ready=False, config={"load_delay_s": 600}, load_limit_s=0.5, circuit=Circuit(deaths=1))
    await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
    assert engine.last_death == "load limit"


async def test_the_circuit_tries_again_after_its_pause(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(circuit=Circuit(deaths=1, pause_s=0.2))
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
    await until(lambda: engine.status is EngineStatus.READY)
    assert await ask(engine, "echo", b"back") == [b"back"]


async def test_an_operator_closes_the_circuit(start_engine: Start, ask: Ask, until: Until) -> None:
    engine = await start_engine(circuit=Circuit(deaths=1, pause_s=3600))
    os.kill(engine.pid, signal.SIGKILL)
    await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
    engine.reset()
    await until(lambda: engine.status is EngineStatus.READY)
    assert await ask(engine, "echo", b"back") == [b"back"]


async def test_stop_lets_running_requests_finish(start_engine: Start, ask: Ask, until: Until, is_gone: Any) -> None:
    engine = await start_engine()
    pid = engine.pid
    running = asyncio.create_task(ask(engine, "stream", [20, 0.01]))
    await until(lambda: engine.running == 1)
    await engine.stop(drain_s=30)
    assert len(await running) == 20
    assert is_gone(pid)
    assert engine.status is EngineStatus.STOPPED


async def test_stop_ends_what_does_not_finish_with_a_clear_error(
    start_engine: Start, ask: Ask, until: Until, is_gone: Any
) -> None:
    engine = await start_engine(max_running=1, rhythm=Rhythm(tick_s=0.05, ping_s=0.1, drain_grace_s=0.2))
    pid = engine.pid
    tasks = [asyncio.create_task(ask(engine, "hang", b"")) for _ in range(3)]
    await until(lambda: engine.waiting == 2 and engine.running == 1)
    await engine.stop(drain_s=0.1)
    assert {code(end) for end in await asyncio.gather(*tasks, return_exceptions=True)} == {"engine.unavailable"}
    assert is_gone(pid)
    with pytest.raises(ProntuarioError):
        await ask(engine, "echo", b"")


async def test_a_stopped_engine_can_be_started_again(start_engine: Start, ask: Ask) -> None:
    ledger = MemoryLedger(100)
    engine = await start_engine(ledger=ledger, footprint_bytes=0)
    await engine.stop(0.5)
    await engine.start()
    assert await engine.wait_ready(60)
    assert await ask(engine, "echo", b"again") == [b"again"]


async def test_an_operators_restart_loses_no_idempotent_request_and_blames_nobody(
    start_engine: Start, ask: Ask, until: Until
) -> None:
    engine = await start_engine()
    waiting = [asyncio.create_task(ask(engine, "late", 0.3)) for _ in range(5)]
    await until(lambda: engine.running == 5)
    engine.restart()
    assert await asyncio.gather(*waiting) == [[b"late"]] * 5
    assert engine.last_death == "restart asked"


async def test_what_a_child_writes_is_kept_for_the_operator_and_not_logged(
    start_engine: Start, ask: Ask, until: Until, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = await start_engine()
    await ask(engine, "noise", "paciente Maria da Silva")
    await until(engine.last_lines)
    await engine.stop(1)
    assert engine.last_lines() == ["paciente Maria da Silva"]
    written = capsys.readouterr()
    assert "Maria" not in written.out + written.err


async def test_a_child_gets_no_secrets_of_the_core(start_engine: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "opensesame")
    engine = await start_engine(environment={"OPENBLAS_NUM_THREADS": "1"})
    with open(f"/proc/{engine.pid}/environ", "rb") as file:  # noqa: PTH123  a file of the kernel, at once
        variables = file.read().split(b"\0")
    assert b"OPENBLAS_NUM_THREADS=1" in variables
    assert not [variable for variable in variables if b"opensesame" in variable]


async def test_figures_of_the_engine_and_of_its_requests(start_engine: Start, ask: Ask, until: Until) -> None:
    metrics = Metrics()
    engine = await start_engine(metrics=EngineMetrics(metrics))
    await ask(engine, "echo", b"")
    with pytest.raises(ProntuarioError):
        await ask(engine, "fail", "nope")
    await until(lambda: "hoard_bytes" in engine.stats)
    text = metrics.render().decode()
    assert 'prontuario_engine_requests_total{engine="echo",outcome="ok"} 1.0' in text
    assert 'prontuario_engine_requests_total{engine="echo",outcome="rejected"} 1.0' in text
    assert 'prontuario_engine_first_output_seconds_count{engine="echo"} 1.0' in text
    assert engine.resident_bytes > 1 << 20
