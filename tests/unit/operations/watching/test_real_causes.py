"""Alerts whose figure comes from a part with a life of its own: a real child is killed, a real job given up, a real write refused."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.cluster.events import Timeline
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.roles import RoleLoop, RoleSettings
from appliance.config.model import Store as StoreConfig
from appliance.daemon.assembly import _count_fallbacks
from appliance.daemon.watching import show_pair
from appliance.engines.circuit import Circuit
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.operations import proof
from appliance.operations.proof import prove_own_copy
from appliance.operations.schedule import Schedule, Task
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.abilities import PluginAbilities
from appliance.store.database import Database
from appliance.store.jobs import Job, JobQueue, PermanentFailure, enqueue
from appliance.store.litestream import Litestream
from appliance.store.process_lock import ProcessLock
from appliance.telemetry.clock import SystemClock
from tests.api.harness import api_under_test
from tests.api.test_core_commit import ROUTES, drop_audit
from tests.fakes.node_hands import FakeHands
from tests.fakes.providers import Chat
from tests.fakes.store_barriers import BrokenBarrier
from tests.plugins.host.test_abilities import offer
from tests.unit.operations.watching.test_broken_inputs import Box

PATIENCE_S = 60.0
ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  another process has to act
            await asyncio.sleep(0.01)


@asynccontextmanager
async def record(box: Box, **options: Any) -> AsyncIterator[Database]:
    path = box.folder / "record.sqlite"
    async with await Database.open(path, StoreConfig(litestream=False), metrics=box.metrics, **options) as database:
        yield database


def deaths(box: Box) -> float:
    return (
        box.metrics.registry.get_sample_value("prontuario_engine_deaths_total", {"engine": "chat", "cause": "SIGKILL"})
        or 0.0
    )


# -- the record ---------------------------------------------------------------------------------------------------------
async def test_a_litestream_that_ends(box: Box, tmp_path: Path) -> None:
    """A child that ends at once, under the leash that the real one has."""
    litestream = Litestream(tmp_path / "record.sqlite", tmp_path / "spool", tmp_path / "run", metrics=box.metrics)
    lock = await ProcessLock.take(tmp_path / "lock")
    try:
        assert await litestream._run_once(Path(shutil.which("false") or ""), lock) != 0
    finally:
        lock.release()
        await litestream.stop()
    box.expect("CopyStopped", within=70)


async def test_a_write_that_the_copy_does_not_confirm(box: Box) -> None:
    async with record(box, barrier=BrokenBarrier(OSError(), failures=1)) as database:
        box.expect()
        with pytest.raises(ProntuarioError):
            await database.write(lambda tx: tx.one("SELECT 1"))
        box.expect("WritesUnconfirmed")


async def test_a_job_that_is_given_up(box: Box) -> None:
    async def refuse(_job: Job) -> None:
        raise PermanentFailure("x")

    async with record(box) as database:
        queue = JobQueue(database, SystemClock(), box.metrics)
        queue.register("draft", refuse)
        box.expect()
        await database.write(lambda tx: enqueue(tx, "draft", {}))
        await queue.start()
        try:
            dead = {"kind": "draft", "outcome": "dead"}
            await until(lambda: box.metrics.registry.get_sample_value("prontuario_jobs_ended_total", dead))
        finally:
            await queue.stop()
        box.expect("JobsGivenUp")


async def test_a_copy_for_whose_proof_there_is_no_room(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No disk has an exbibyte to spare: the proof itself refuses, as it does on a full disk."""
    monkeypatch.setattr(proof, "SPARE_BYTES", 1 << 60)
    schedule = Schedule(tmp_path / "s.json", box.clock, box.metrics, settle_s=0.0, poll_s=0.005)
    async with record(box) as database:
        schedule.add(
            Task(
                name="restore-proof", title_pt="p", title_en="p", every_s=3600.0,
                run=lambda: prove_own_copy(tmp_path / "spool", tmp_path / "scratch", database.path, database),
            )
        )  # fmt: skip
        box.expect()
        schedule.start()
        schedule.run_soon("restore-proof")
        try:
            await until(lambda: schedule.report()[0].failures)
        finally:
            await schedule.stop()
    trouble = schedule.report()[0].trouble
    assert trouble is not None
    assert trouble.code == "backup.no_room"
    box.expect("RestoreProofFailed")


async def test_requests_that_are_refused_because_nothing_can_be_audited(tmp_path: Path) -> None:
    async with api_under_test(tmp_path, ROUTES) as api:
        box = Box(tmp_path, metrics=api.metrics)
        box.looks(0)
        async with api.client(await api.phone()) as client:
            await drop_audit(api)
            assert (await client.get("/api/notes/1")).status_code == 503
        box.looks(0)
        assert "AuditNotWritten" in box.on()


# -- engines and capabilities -------------------------------------------------------------------------------------------
async def test_an_engine_whose_child_is_killed_again_and_again(box: Box) -> None:
    spec = EngineSpec("chat", ECHO, queue_limit=10, max_running=1)
    figures = EngineMetrics(box.metrics)
    engine = EngineSupervisor(spec, MemoryLedger(1 << 30), metrics=figures, circuit=Circuit(deaths=3, pause_s=3600.0))
    figures.show(engine)

    async def ask() -> None:
        options = CallOptions(deadline_s=PATIENCE_S, user="ana")
        async for _ in engine.submit("mute", b"", options):
            pass

    await engine.start()
    calls = []
    try:
        assert await engine.wait_ready(PATIENCE_S)
        box.expect()
        calls = [asyncio.create_task(ask()) for _ in range(10)]
        await until(lambda: engine.waiting == 9)
        box.expect("QueueFull", within=70)
        for death in range(3):
            await until(lambda: engine.status is EngineStatus.READY)
            os.kill(engine.pid, signal.SIGKILL)
            await until(lambda death=death: deaths(box) > death)  # type: ignore[misc]
        await until(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
        box.looks(0)
        assert {"EngineDying", "EngineCircuitOpen"} <= box.on()
    finally:
        await engine.stop(0.0)
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_substitute_that_serves_while_the_preferred_model_is_away(box: Box) -> None:
    best = Chat("best", ready=False)
    abilities = PluginAbilities([offer("best", best, priority=2), offer("second")], {})
    _count_fallbacks(SimpleNamespace(abilities=abilities), box.metrics)  # type: ignore[arg-type]
    box.expect()
    assert abilities.chat_model().plugin == "second"
    box.expect("FallbackActive")
    best.ready = True
    assert abilities.chat_model().plugin == "best"
    box.expect(within=700)


# -- machine and pair ---------------------------------------------------------------------------------------------------
async def test_a_node_that_sees_neither_a_leader_nor_the_other_one(box: Box) -> None:
    """A role loop to which no voter has answered yet, and hands that do not reach the other node."""
    client, hands = EtcdClient(["http://127.0.0.1:9"]), FakeHands("a")
    loop = RoleLoop(
        RoleSettings(node="a", peer="b", ttl_s=1, heartbeat_s=0.3), hands, EtcdKeys(client), LeaseClock(),
        timeline=Timeline(box.folder / "timeline.json"),
    )  # fmt: skip
    show_pair(box.metrics, loop)
    try:
        box.expect("ReadOnly", within=40)
        hands.peer_reachable = False
        box.expect("ReadOnly", "PeerAway", "VoterLost", within=40)
    finally:
        await client.close()
