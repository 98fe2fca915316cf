"""Real children of the echo engine; whatever a test does, none of them survives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import psutil
import pytest

from appliance.engines.circuit import Circuit
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineSpec

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
PATIENCE_S = 60.0
StartEngine = Callable[..., Awaitable[EngineSupervisor]]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Poll until a condition holds; never a fixed sleep."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  there is no event for what another process does
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def is_gone() -> Callable[[int], bool]:
    return gone


@pytest.fixture
async def start_engine() -> AsyncIterator[StartEngine]:
    started: list[EngineSupervisor] = []
    pids: set[int] = set()

    async def start(
        *,
        ready: bool = True,
        rhythm: Rhythm | None = None,
        circuit: Circuit | None = None,
        ledger: MemoryLedger | None = None,
        metrics: EngineMetrics | None = None,
        **spec: Any,
    ) -> EngineSupervisor:
        fields = {"name": "echo", "factory": ECHO, **spec}
        engine = EngineSupervisor(
            EngineSpec(**fields),
            ledger or MemoryLedger(),
            metrics=metrics,
            rhythm=rhythm or Rhythm(tick_s=0.05, ping_s=0.1, probe_s=30),
            circuit=circuit,
        )
        started.append(engine)
        await engine.start()
        if ready:
            assert await engine.wait_ready(PATIENCE_S), engine.last_lines()
            pids.add(engine.pid)
        return engine

    yield start
    for engine in started:
        pids.add(engine.pid)
        await engine.stop(0.0)
    assert [pid for pid in pids if pid and not gone(pid)] == []


@pytest.fixture
def ask() -> Callable[..., Awaitable[list[bytes]]]:
    """Every piece of one answer. Values are packed; bytes travel as they are."""

    async def collect(engine: EngineSupervisor, kind: str, value: object = b"", **options: Any) -> list[bytes]:
        payload = value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
        call = CallOptions(**{"deadline_s": PATIENCE_S, "user": "ana", **options})
        return [piece async for piece in engine.submit(kind, payload, call)]

    return collect
