"""Every alert of the box fires because something is really broken: through the part that measures it, its metric, the feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance.api.metering import Meters
from appliance.cluster.model import ClusterStatus, Position, Role
from appliance.config.model import Config, Paths, Power
from appliance.config.model import Store as StoreConfig
from appliance.daemon import watching as daemon_watching
from appliance.daemon.watching import Watching, show_pair
from appliance.engines.engine_metrics import EngineMetrics
from appliance.operations.backup import NOT_RESTORABLE
from appliance.operations.power.reading import Reading, Supply
from appliance.operations.power.watch import PowerWatch
from appliance.operations.schedule import Schedule, Task
from appliance.operations.watching.conditions import snapshot
from appliance.operations.watching.feed import AlertFeed
from appliance.operations.watching.node_figures import AuditCheck, show_machine
from appliance.operations.watching.outbox import Outbox
from appliance.operations.watching.targets import DeliveryError, Notice
from appliance.plugin_api.engine import EngineSpec, EngineStatus
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_heads import HeadSigner
from appliance.store.database import Database
from appliance.store.meters import StoreMeters
from appliance.telemetry.clock import instant
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock
from tests.unit.operations.power.test_watch import NotedHands, ScriptedUps

PATIENCE_S = 60.0


@dataclass
class Box:
    """A node's figures under a clock that a test moves."""

    folder: Path
    metrics: Metrics = field(default_factory=Metrics)
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.feed = AlertFeed(self.folder / "alerts.json", "a")

    def looks(self, seconds: float) -> None:
        for _ in range(int(seconds / 10) + 1):
            self.feed.look(snapshot(self.metrics.registry, self.clock.now().timestamp()))
            self.clock.pass_time(10.0)

    def on(self) -> set[str]:
        return {one.rule for one in self.feed.on()}

    def expect(self, *rules: str, within: float = 0.0) -> None:
        """Exactly these are on after ``within`` seconds."""
        self.looks(within)
        assert self.on() == set(rules)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


# -- power --------------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def fed(box: Box) -> AsyncIterator[tuple[ScriptedUps, Callable[[int], Awaitable[None]]]]:
    ups = ScriptedUps()
    watch = PowerWatch(Power(kind="nut", confirm_s=2, calm_s=2), NotedHands(), box.clock, box.metrics, ups)

    async def during(seconds: int) -> None:
        for _ in range(seconds):
            await watch.look(ups)
            box.clock.pass_time(1.0)
        box.looks(0)

    await during(1)
    box.expect()
    yield ups, during


async def test_power(box: Box) -> None:
    async with fed(box) as (ups, during):
        ups.answer = Reading(supply=Supply.BATTERY)
        await during(5)
        box.expect("OnBattery")
        ups.answer = Reading(supply=Supply.LOW)
        await during(5)
        box.expect("OnBattery", "BatteryLow")
        ups.answer = Reading(supply=Supply.MAINS, worn=True)
        await during(5)
        box.expect("BatteryWorn")
        ups.answer = None
        await during(5)
        box.expect("UpsSilent", within=70)


# -- machine ------------------------------------------------------------------------------------------------------------
def certificate(path: Path, ends: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(ends - timedelta(days=365)).not_valid_after(ends).sign(key, hashes.SHA256())
    )  # fmt: skip
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def test_certificates(box: Box, tmp_path: Path) -> None:
    server, now = tmp_path / "server.pem", box.clock.now()
    show_machine(box.metrics, tmp_path, {"server": server, "node": tmp_path / "missing.pem"})
    for days, rules in ((40, set()), (20, {"CertificateEnding"}), (3, {"CertificateEnding", "CertificateEnds"})):
        certificate(server, now + timedelta(days=days))
        box.looks(0)
        assert {rule for rule in box.on() if rule.startswith("Certificate")} == rules
    server.write_text("no certificate")
    box.looks(0)
    assert not {rule for rule in box.on() if rule.startswith("Certificate")}, "that is doctor's matter"


def test_disk(box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [30 << 30]
    monkeypatch.setattr("shutil.disk_usage", lambda _path: SimpleNamespace(free=free[0], total=1 << 40))
    show_machine(box.metrics, tmp_path, {})
    box.expect(within=400)
    free[0] = 10 << 30
    box.expect("DiskFilling", within=310)
    free[0] = 1 << 30
    box.expect("DiskFilling", "DiskFull")


# -- record -------------------------------------------------------------------------------------------------------------
async def test_an_audit_log_that_somebody_changed(box: Box, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    store = await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False))
    try:
        signer = HeadSigner.open(paths, SealsNothing())  # type: ignore[arg-type]
        event = AuditEvent(at=instant(box.clock.now()), action="read", user_id="ana", resource="Patient/1", status=200)
        await store.write(lambda tx: audit.append(tx, event))
        await store.write(lambda tx: signer.keep(tx, instant(box.clock.now())))
        check = AuditCheck(store, box.metrics)
        await check.check()
        box.expect()
        await store.write(lambda tx: tx.execute("DROP TRIGGER IF EXISTS audit_event_update"))
        triggers = await store.read(
            lambda q: [str(row[0]) for row in q.all("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        )
        for trigger in triggers:
            await store.write(lambda tx, name=trigger: tx.execute(f"DROP TRIGGER {name}"))
        await store.write(lambda tx: tx.execute("UPDATE audit_event SET body = replace(body, 'ana', 'bia')"))
        with pytest.raises(Exception, match=r"audit\.damaged"):
            await check.check()
        box.expect("AuditMismatch")
    finally:
        await store.close()


class SealsNothing:
    def seal(self, clear: bytes, _context: bytes) -> bytes:
        return clear

    def open(self, sealed: bytes, _context: bytes) -> bytes:
        return sealed


def test_an_audit_event_that_can_not_be_written_and_a_write_that_is_not_confirmed(box: Box) -> None:
    meters, store = Meters(box.metrics), StoreMeters(box.metrics)
    box.expect()
    meters.count_unaudited()
    box.expect("AuditNotWritten")
    store.unconfirmed(3)
    box.expect("AuditNotWritten", "WritesUnconfirmed")
    box.expect(within=700)


async def test_recurring_work_that_fails_and_that_does_not_run(box: Box, tmp_path: Path) -> None:
    async def fail() -> Mapping[str, int | float | str]:
        raise NOT_RESTORABLE(exit_code=1)

    schedule = Schedule(tmp_path / "s.json", box.clock, box.metrics, settle_s=0.0, poll_s=0.005)
    here = [True]
    schedule.add(Task(name="restore-proof", title_pt="p", title_en="p", every_s=3600.0, run=fail, here=lambda: here[0]))
    box.expect()
    schedule.start()
    try:
        for failures, rules in ((1, ["RestoreProofFailed"]), (2, ["RestoreProofFailed", "RoutineFailed"])):
            schedule.run_soon("restore-proof")
            async with asyncio.timeout(PATIENCE_S):
                while schedule.report()[0].failures < failures:  # noqa: ASYNC110  the loop's own doing
                    await asyncio.sleep(0.005)
            box.expect(*rules)
    finally:
        await schedule.stop()
    box.clock.pass_time(10 * 3600.0)
    box.expect("RestoreProofFailed", "RoutineFailed", "RestoreProofLate")
    here[0] = False
    box.looks(0)
    assert "RestoreProofLate" not in box.on(), "the other node's by now"


# -- engines ------------------------------------------------------------------------------------------------------------
@dataclass
class ShownEngine:
    spec: EngineSpec
    waiting: int = 0
    running: int = 0
    away: int = 0
    far_room: int = 0
    resident_bytes: int = 0
    status: EngineStatus = EngineStatus.READY


def test_engines(box: Box) -> None:
    figures, engine = EngineMetrics(box.metrics), ShownEngine(EngineSpec("chat", "x:Y", queue_limit=10))
    figures.show(engine)
    box.expect()
    engine.waiting = 9
    box.expect("QueueFull", within=70)
    engine.waiting = 0
    for _ in range(3):
        figures.deaths.labels("chat", "SIGKILL").inc()
    engine.status = EngineStatus.CIRCUIT_OPEN
    box.expect("EngineDying", "EngineCircuitOpen")


# -- the pair -----------------------------------------------------------------------------------------------------------
WELL = ClusterStatus(
    node="a", peer="b", role=Role.PRIMARY, mode="paired", epoch=3, leader="a", leader_since=None, own=Position(3, 9),
    peer_held=Position(3, 9), lag_txids=0, lag_s=0.0, in_sync="b", unreplicated_rows=0, voters=(3, 3), vip=None, last_drill=None,
)  # fmt: skip


def test_the_pair(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    status, report = [WELL], SimpleNamespace(peer_reachable=True)
    monkeypatch.setattr(daemon_watching.operator, "status", lambda _roles: status[0])
    roles: Any = SimpleNamespace(hands=SimpleNamespace(report=lambda: report))
    show_pair(box.metrics, roles)
    box.expect(within=100)
    for change, rule in (
        ({"mode": "degraded"}, "ClusterDegraded"),
        ({"lag_s": 30.0}, "ReplicationLag"),
        ({"leader": None}, "ReadOnly"),
        ({"voters": (2, 3)}, "VoterLost"),
    ):
        status[0] = msgspec.structs.replace(WELL, **change)
        box.expect(rule, within=70)
    status[0], report.peer_reachable = WELL, False
    box.expect("PeerAway", within=40)


async def test_clocks_that_differ(box: Box, tmp_path: Path) -> None:
    other, ahead = Watching(Paths(tmp_path / "b"), Config(), HandClock(), Metrics(), "b"), HandClock()
    own = Watching(Paths(tmp_path / "a"), Config(), ahead, Metrics(), "a")
    own._neighbour = SimpleNamespace(call=lambda _service, verb, body: other._serve_peer(verb, body))  # type: ignore[assignment]
    offset = box.metrics.gauge("clock_peer_offset_seconds", "x")
    offset.set_function(lambda: own._offset_s)
    for step_s, rules in ((0.0, []), (0.9, []), (5.0, ["ClockOff"])):
        ahead.step_wall(step_s)
        await own._measure()
        box.expect(*rules, within=70)


# -- the rest -----------------------------------------------------------------------------------------------------------
class DeadTarget:
    name = "mail"

    async def send(self, notice: Notice) -> None:
        raise DeliveryError(notice.status)


async def test_alerts_that_nobody_takes(box: Box) -> None:
    outbox = Outbox([DeadTarget()], box.metrics, "x")
    box.feed._tell = outbox.tell
    fallbacks = box.metrics.counter("capability_fallbacks_total", "x", ("capability",))
    fallbacks.labels("chat_model").inc()
    box.looks(0)
    fallbacks.labels("chat_model").inc()
    box.expect("FallbackActive")
    box.looks(920)
    assert box.on() == {"AlertsNotSent"}


def test_litestream_that_stopped_and_jobs_given_up(box: Box) -> None:
    up = box.metrics.gauge("litestream_up", "x")
    up.set(1)
    ended = box.metrics.counter("jobs_ended_total", "x", ("kind", "outcome"))
    ended.labels("draft", "done").inc()
    box.expect()
    up.set(0)
    ended.labels("draft", "dead").inc()
    box.expect("CopyStopped", "JobsGivenUp", within=70)
