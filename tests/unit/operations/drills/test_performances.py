"""What each drill does, on real records: what it finds, what it misses on purpose, and that it leaves nothing behind."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from typing import TypeVar

import msgspec
import pytest

from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.drills import NodeSeal
from appliance.operations.drills import failover, note, watched
from appliance.operations.drills.audit_pack import AuditParts, audit_drill
from appliance.operations.drills.cloud import CloudRehearsal, cloud_drill
from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.failover import FailoverParts, Handover, failover_drill
from appliance.operations.drills.health import Engine, Finding, HealthParts, health_drill
from appliance.operations.drills.inventory import inventory
from appliance.operations.drills.mirror import MirrorParts
from appliance.operations.drills.model import outcome_of
from appliance.operations.drills.rehearsal import Rehearsal, StepFailed
from appliance.operations.drills.simulation import Copy, SimulationParts, simulation_drill
from appliance.plugin_api.errors import BUSY
from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_export import verify_export
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.sqlite import Error as SqliteError
from tests.fakes.hand_clock import HandClock

T = TypeVar("T")
PATIENCE_S = 60.0
NOW = "2026-03-02T12:00:00.000Z"


async def made(drill: Drill) -> Rehearsal:
    rehearsal = Rehearsal(by="ti.ana")
    with suppress(StepFailed):
        await drill.perform(rehearsal)
    return rehearsal


def outcomes(rehearsal: Rehearsal) -> dict[str, str]:
    return {step.name: step.outcome for step in rehearsal.steps}


class Primary:
    """The record on the node that leads, until it hands over."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.stepped_down = False

    async def read(self, query: Callable[[Query], T]) -> T:
        return await self._database.read(query)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        if self.stepped_down:
            raise BUSY(what="a", waiting=1, retry_after=0.0)
        return await self._database.write(change)


class OtherNode:
    """Has what the record has when it takes over (or, where ``replica`` is an older copy, what that has)."""

    def __init__(self, primary: Primary, replica: Database, *, takes_over: bool = True, silent: int = 0) -> None:
        self._primary, self._replica, self._takes_over, self._silent = primary, replica, takes_over, silent
        self.clock = HandClock()

    def leads(self) -> bool:
        return True

    async def hand_over(self, by: str) -> Handover:
        assert by == "ti.ana"
        self._primary.stepped_down = True
        return Handover(0.5, self._takes_over, "a", "b" if self._takes_over else "")

    async def ask(self, verb: str, body: bytes) -> bytes:
        if self._silent:
            self._silent -= 1
            raise BUSY(what="b", waiting=1, retry_after=0.0)
        return await failover.answer(self._replica, self.clock, verb, body)


@pytest.fixture
async def older(store: Database, tmp_path: Path) -> AsyncIterator[Database]:
    """A copy of the record as it was before the drill."""
    await store.write(lambda tx: audit.append(tx, AuditEvent(at=NOW, action="before")))
    for ending in ("", "-wal"):
        shutil.copy2(f"{store.path}{ending}", tmp_path / f"older.sqlite{ending}")
    async with await Database.open(tmp_path / "older.sqlite", StoreConfig(litestream=False)) as database:
        yield database


# -- failover -----------------------------------------------------------------------------------------------------------
def failing_over(primary: Primary, partner: OtherNode | None) -> Drill:
    return failover_drill(FailoverParts(store=primary, clock=HandClock(), partner=partner))


async def test_a_handover_is_measured_and_every_acknowledged_write_is_found(store: Database) -> None:
    primary = Primary(store)
    rehearsal = await made(failing_over(primary, OtherNode(primary, store, silent=2)))
    assert outcomes(rehearsal) == {"handover": "passed", "writes": "passed"}
    assert (rehearsal.rto_s, rehearsal.rpo_writes) == (0.5, 0)
    assert rehearsal.watched_writes is not None
    assert rehearsal.watched_writes >= watched.AT_LEAST


async def test_acknowledged_writes_that_are_missing_are_counted(store: Database, older: Database) -> None:
    primary = Primary(store)
    rehearsal = await made(failing_over(primary, OtherNode(primary, older)))
    assert outcomes(rehearsal)["writes"] == "failed"
    assert rehearsal.rpo_writes == rehearsal.watched_writes
    assert f"Faltam {rehearsal.rpo_writes} de" in rehearsal.steps[-1].why_pt


async def test_another_history_of_the_same_length_is_no_copy(store: Database, older: Database) -> None:
    for number in range(200):
        await older.write(partial(_other_event, number))
    primary = Primary(store)
    rehearsal = await made(failing_over(primary, OtherNode(primary, older)))
    assert rehearsal.rpo_writes == rehearsal.watched_writes


def _other_event(number: int, tx: Transaction) -> None:
    audit.append(tx, AuditEvent(at=NOW, action=f"other {number}"))


async def test_nobody_taking_over_ends_the_drill(store: Database) -> None:
    primary = Primary(store)
    rehearsal = await made(failing_over(primary, OtherNode(primary, store, takes_over=False)))
    assert outcomes(rehearsal) == {"handover": "failed"}


async def test_a_node_alone_never_passes_it(store: Database) -> None:
    drill = failing_over(Primary(store), None)
    rehearsal = await made(drill)
    assert outcome_of(tuple(rehearsal.steps)) == "not_configured"
    assert (drill.disturbs, rehearsal.steps[0].why_pt) == (False, "Não configurado: este nó trabalha sozinho.")


# -- simulation ---------------------------------------------------------------------------------------------------------
def simulating(primary: Primary, partner: OtherNode | None, folder: Path, database: Path) -> Drill:
    pair = FailoverParts(store=primary, clock=HandClock(), partner=partner)
    return simulation_drill(
        SimulationParts(pair=pair, copy=lambda: None, scratch=folder, database=database, here=lambda: True)
    )


def left_over(q: Query) -> int:
    row = q.one("SELECT count(*) FROM record_head WHERE deleted = 0")
    return -1 if row is None else int(str(row[0]))


async def test_the_note_is_read_on_the_other_node_and_nothing_of_it_stays(store: Database, tmp_path: Path) -> None:
    primary = Primary(store)
    rehearsal = await made(simulating(primary, OtherNode(primary, store), tmp_path, store.path))
    assert outcomes(rehearsal) == {
        "note": "passed", "restore": "not_configured", "handover": "passed", "writes": "passed", "note there": "passed",
    }  # fmt: skip
    assert outcome_of(tuple(rehearsal.steps)) == "incomplete"
    assert await store.read(left_over) == 0


async def test_a_node_that_lacks_the_note_fails(store: Database, older: Database, tmp_path: Path) -> None:
    primary = Primary(store)
    rehearsal = await made(simulating(primary, OtherNode(primary, older), tmp_path, store.path))
    assert outcomes(rehearsal)["note there"] == "failed"


async def test_alone_the_note_is_deleted_here(store: Database, tmp_path: Path) -> None:
    rehearsal = await made(simulating(Primary(store), None, tmp_path, store.path))
    assert outcomes(rehearsal)["handover"] == "not_configured"
    assert outcomes(rehearsal)["cleaning"] == "passed"
    assert await store.read(left_over) == 0


def test_an_hour_of_waiting_for_a_consult_neither_fills_the_log_nor_takes_long_to_look_for() -> None:
    """The node that took over looks for every one of them, in one read beside the doctors'."""
    written, second = 0, 0.0
    while second < 3600.0:
        written += 1
        second += watched.pause_s(written)
    assert written < 5000
    assert watched.pause_s(watched.AT_LEAST) == watched.EVERY_S, "brisk at first"


# -- health -------------------------------------------------------------------------------------------------------------
class PlayedEngine:
    def __init__(self, answer: str) -> None:
        self._answer = answer

    async def wait_ready(self, timeout_s: float) -> bool:
        del timeout_s
        return True

    async def prove(self) -> str:
        return self._answer


def healthy(store: Database, doctor: Sequence[str], *, reads: bool = True, **engines: str) -> Drill:
    async def examine() -> list[Finding]:
        return [Finding(f"check-{number}", status) for number, status in enumerate(doctor)]

    played: dict[str, Engine] = {name: PlayedEngine(answer) for name, answer in engines.items()}
    return health_drill(HealthParts(doctor=examine, engines=lambda: played, store=store, reads=lambda: reads))


async def test_health_asks_the_doctor_every_engine_and_the_record(store: Database) -> None:
    await store.write(lambda tx: repository.create(tx, {"resourceType": "Patient"}, now=NOW))
    rehearsal = await made(healthy(store, ["ok", "warning", "skipped"], chat="", speech="engine.busy", odd="unproved"))
    assert set(outcomes(rehearsal).values()) == {"passed"}
    figures = {step.name: step.figures for step in rehearsal.steps}
    assert figures["doctor"] == {"checks": 3, "warnings": 1}
    assert (figures["record"], figures["engine speech"]) == ({"read": "Patient"}, {"answer": "busy"})


async def test_health_names_what_is_ill(store: Database) -> None:
    rehearsal = await made(healthy(store, ["failed", "ok"], reads=False, chat="circuit_open"))
    assert outcomes(rehearsal) == {"doctor": "failed", "engine chat": "failed"}
    assert "check-0" in rehearsal.steps[0].why_pt
    assert "chat" in rehearsal.steps[1].why_pt


class Torn(Primary):
    """A record whose file SQLite can't read any more."""

    async def read(self, query: Callable[[Query], T]) -> T:
        raise SqliteError("database disk image is malformed")


async def test_a_record_that_can_not_be_read_is_a_failed_step_of_the_report(store: Database) -> None:
    async def nothing() -> list[Finding]:
        return []

    parts = HealthParts(doctor=nothing, engines=dict, store=Torn(store), reads=lambda: True)
    rehearsal = await made(health_drill(parts))
    assert outcomes(rehearsal) == {"doctor": "passed", "record": "failed"}
    assert "malformed" not in rehearsal.steps[1].why_en, "an error's text may quote the data"


# -- cloud --------------------------------------------------------------------------------------------------------------
class Cloud:
    async def rehearse(self) -> CloudRehearsal:
        return CloudRehearsal(4.5, 20, 1)


@pytest.mark.parametrize(
    ("cloud", "outcome"), [(None, "not_configured"), (object(), "not_configured"), (Cloud(), "passed")]
)
async def test_a_cloud_that_is_not_there_never_passes(cloud: object, outcome: str) -> None:
    rehearsal = await made(cloud_drill(lambda: cloud, lambda: True))
    assert outcome_of(tuple(rehearsal.steps)) == outcome
    assert rehearsal.rto_s == (4.5 if outcome == "passed" else None)


class Carried:
    """A record with its Litestream, and a folder outside to which somebody carries the copy."""

    def __init__(self, folder: Path, database: Database, litestream: Litestream, paths: Paths) -> None:
        self.spool, self.outside = paths.spool, folder / "nas"
        self.parts = MirrorParts(
            mirror=self.outside, store=database, clock=HandClock(), scratch=folder / "scratch", database=paths.database,
            copy=lambda: Copy(spool=self.spool, sync=litestream.barrier.sync), carried_s=0.0,
        )  # fmt: skip

    async def drill(self, *, carried_s: float = 0.0) -> Rehearsal:
        return await made(cloud_drill(lambda: None, lambda: True, replace(self.parts, carried_s=carried_s)))

    async def carries(self) -> None:
        """What a hospital's rsync does, again and again."""
        while True:
            with suppress(OSError):  # Litestream merges files away meanwhile
                await asyncio.to_thread(copytree, self.spool, self.outside / self.spool.name, dirs_exist_ok=True)
            await asyncio.sleep(0.02)


@pytest.fixture
async def carried(tmp_path: Path) -> AsyncIterator[Carried]:
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    litestream = Litestream(paths.database, paths.spool, paths.run)
    config = StoreConfig(barrier_timeout_s=60.0)
    async with await Database.open(paths.database, config, barrier=litestream.barrier) as database:
        try:
            await litestream.start()
            yield Carried(tmp_path, database, litestream, paths)
        finally:
            await litestream.stop()


async def test_a_copy_outside_is_restored_and_one_that_nobody_carries_fails(carried: Carried) -> None:
    nobody = await carried.drill()
    assert outcomes(nobody) == {"mirror": "failed", "cloud": "not_configured"}
    assert "pasta spool" in nobody.steps[0].why_pt
    carrier = asyncio.create_task(carried.carries())
    try:
        whole = await carried.drill(carried_s=PATIENCE_S)
    finally:
        carrier.cancel()
        await asyncio.wait({carrier})
    assert outcomes(whole) == {"mirror": "passed", "cloud": "not_configured"}
    assert (whole.rpo_writes, whole.watched_writes) == (0, watched.AT_LEAST)
    assert whole.rto_s is not None
    assert outcome_of(tuple(whole.steps)) == "incomplete", "no cloud is no success"
    trails = await carried.drill()
    assert (outcomes(trails)["mirror"], trails.rpo_writes) == ("failed", watched.AT_LEAST)
    assert "10" in trails.steps[0].why_pt


async def test_without_a_copy_here_or_outside_the_drill_claims_nothing(carried: Carried) -> None:
    none_outside = await made(cloud_drill(lambda: None, lambda: True, replace(carried.parts, mirror=None)))
    assert outcomes(none_outside) == {"cloud": "not_configured"}
    none_here = await made(cloud_drill(lambda: None, lambda: True, replace(carried.parts, copy=lambda: None)))
    assert outcomes(none_here) == {"mirror": "not_configured", "cloud": "not_configured"}


# -- audit --------------------------------------------------------------------------------------------------------------
async def test_the_audit_pack_proves_itself_and_tells_no_secret(store: Database, seal: NodeSeal) -> None:
    await store.write(_a_year)
    secrets = seal.root.server_key.parent
    drill = audit_drill(
        AuditParts(store=store, clock=HandClock(), signer=seal.signer, secrets=secrets, node="a", here=lambda: True)
    )
    rehearsal = await made(drill)
    assert outcomes(rehearsal) == dict.fromkeys(("chain", "export", "access", "keys"), "passed")
    events = rehearsal.files["audit-events-01.json"]
    verdict = verify_export(events, seal.key_id)
    assert (verdict.ok, verdict.events) == (True, 30)
    roles = msgspec.json.decode(rehearsal.files["access-by-role.json"], type=dict[str, dict[str, int]])
    assert roles == {"": {"patient.read": 10}, "nurse": {"patient.read": 20}}
    told = rehearsal.files["keys-and-certificates.json"]
    for key in secrets.glob("*.key"):
        assert key.read_bytes()[40:80] not in told
    found = inventory(secrets)
    assert {"root.key", "audit.key"} <= {one.file for one in found.keys}
    assert {one.mode for one in found.keys} == {"0600"}


def _a_year(tx: Transaction) -> None:
    tx.execute(
        "INSERT INTO security_user (id, username, display_name, role, created_at) VALUES ('u1', 'n', 'N', 'nurse', ?)",
        (NOW,),
    )
    for number in range(30):
        audit.append(tx, AuditEvent(at=NOW, action="patient.read", user_id="u1" if number % 3 else "nobody"))


async def test_a_damaged_audit_log_stops_the_pack_s_claim(store: Database, seal: NodeSeal) -> None:
    await store.write(_a_year)
    await store.write(_tamper)
    drill = audit_drill(
        AuditParts(
            store=store, clock=HandClock(), signer=seal.signer, secrets=seal.root.server_key.parent, node="a", here=lambda: True
        )
    )  # fmt: skip
    rehearsal = await made(drill)
    assert outcomes(rehearsal)["chain"] == "failed"


def _tamper(tx: Transaction) -> None:
    for name in [
        str(row[0])
        for row in tx.all("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_event'")
    ]:
        tx.execute(f"DROP TRIGGER {name}")
    tx.execute("UPDATE audit_event SET body = replace(body, 'patient.read', 'patient.edit') WHERE seq = 7")


async def test_a_note_that_is_gone_reads_as_nothing(store: Database) -> None:
    written = await note.write(store, HandClock(), "x")
    assert await store.read(lambda q: note.digest_of(q, written.place)) == written.sha256
    await note.forget(store, HandClock(), written.place)
    await note.forget(store, HandClock(), written.place)
    assert await store.read(lambda q: note.digest_of(q, written.place)) == ""


async def test_an_unexpected_error_is_no_step_s_business() -> None:
    rehearsal = Rehearsal(by="x")
    with pytest.raises(ZeroDivisionError):
        async with rehearsal.step("odd", "x", "x"):
            raise ZeroDivisionError
