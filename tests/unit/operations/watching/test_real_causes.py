"""Alerts of the work: a real child is killed, a real job given up, a real request refused; and each ends when that is mended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

from appliance.config.model import Store as StoreConfig
from appliance.daemon.assembly import _count_fallbacks
from appliance.engines.circuit import Circuit
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus
from appliance.plugin_api.hooks import Provider
from appliance.plugin_host.abilities import Offer, PluginAbilities
from appliance.store.database import Database
from appliance.store.jobs import Job, JobQueue, PermanentFailure, enqueue
from appliance.telemetry.clock import SystemClock
from tests.api.harness import api_under_test
from tests.api.test_core_commit import ROUTES, drop_audit
from tests.fakes.providers import Chat
from tests.plugins.host.test_abilities import offer
from tests.unit.operations.watching.box import PATIENCE_S, Box, fires, until

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
HOUR_S = 3600.0
KILLED = {"engine": "chat", "cause": "SIGKILL"}


@fires("JobsGivenUp")
async def test_a_job_that_is_given_up(box: Box, tmp_path: Path) -> None:
    async def refuse(_job: Job) -> None:
        raise PermanentFailure("x")

    path, config = tmp_path / "record.sqlite", StoreConfig(litestream=False)
    async with await Database.open(path, config, metrics=box.metrics) as database:
        queue = JobQueue(database, SystemClock(), box.metrics)
        queue.register("draft", refuse)
        box.expect()
        await database.write(lambda tx: enqueue(tx, "draft", {}))
        await queue.start()
        try:
            await until(lambda: box.figure("jobs_ended_total", kind="draft", outcome="dead"))
        finally:
            await queue.stop()
        box.expect("JobsGivenUp")
        box.expect(within=HOUR_S + 60)


@fires("AuditNotWritten")
async def test_requests_that_are_refused_because_nothing_can_be_audited(box: Box, tmp_path: Path) -> None:
    async with api_under_test(tmp_path, ROUTES) as api:
        box.metrics = api.metrics
        box.looks(0)
        async with api.client(await api.phone()) as client:
            await drop_audit(api)
            assert (await client.get("/api/notes/1")).status_code == 503
            assert "AuditNotWritten" in box.on()
            await api.store.write(lambda tx: tx.execute("DROP TRIGGER no_audit"))
            assert (await client.get("/api/notes/1")).status_code != 503
        assert "AuditNotWritten" not in box.on(within=700)


class OfEngine(Chat):
    """Able as long as its engine's child lives, as every provider of ours."""

    def __init__(self, engine: EngineSupervisor) -> None:
        super().__init__("best")
        self._engine = engine

    def model(self) -> ModelInfo:
        self.ready = self._engine.status is EngineStatus.READY
        return super().model()


@asynccontextmanager
async def supervised(box: Box) -> AsyncIterator[EngineSupervisor]:
    spec, figures = EngineSpec("chat", ECHO, queue_limit=10, max_running=1), EngineMetrics(box.metrics)
    engine = EngineSupervisor(spec, MemoryLedger(1 << 30), metrics=figures, circuit=Circuit(deaths=3, pause_s=HOUR_S))
    figures.show(engine)
    await engine.start()
    try:
        assert await engine.wait_ready(PATIENCE_S)
        yield engine
    finally:
        await engine.stop(0.0)


@fires("QueueFull", "EngineDying", "EngineCircuitOpen", "FallbackActive")
async def test_an_engine_whose_child_is_killed_again_and_again(box: Box) -> None:
    """Its plugin's substitute serves meanwhile; then a person says that the cause is gone."""
    async with supervised(box) as engine:
        best = Offer("best", Provider("chat_model", "main", OfEngine(engine), priority=2), (engine,))
        abilities = PluginAbilities([best, offer("second")], {})
        _count_fallbacks(SimpleNamespace(abilities=abilities), box.metrics)  # type: ignore[arg-type]
        assert abilities.chat_model().plugin == "best"
        box.expect()
        await fills_its_queue(box, engine)
        box.expect()
        for death in range(3):
            await until(lambda: engine.status is EngineStatus.READY)
            os.kill(engine.pid, signal.SIGKILL)
            await until(lambda seen=death: (box.figure("engine_deaths_total", **KILLED) or 0) > seen)  # type: ignore[misc]
        await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
        assert abilities.chat_model().plugin == "second"
        box.expect("EngineDying", "EngineCircuitOpen", "FallbackActive")
        engine.reset()
        await until(lambda: engine.status is EngineStatus.READY)
        assert abilities.chat_model().plugin == "best"
        box.expect("EngineDying", "FallbackActive")
        box.expect(within=1000)


async def fills_its_queue(box: Box, engine: EngineSupervisor) -> None:
    """Ten people ask, and the model answers nobody; then they stop waiting."""

    async def ask() -> None:
        async for _ in engine.submit("mute", b"", CallOptions(deadline_s=PATIENCE_S, user="ana")):
            pass

    calls = [asyncio.create_task(ask()) for _ in range(10)]
    try:
        await until(lambda: engine.waiting == 9)
        box.expect("QueueFull", within=70)
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await until(lambda: engine.waiting == 0 and engine.running == 0)
