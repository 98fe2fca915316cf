"""The restore proof against a real Litestream: what it reads and counts, what it refuses, and what it makes anew."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

import pytest

from appliance.cluster.model import Position
from appliance.config.model import Store as StoreConfig
from appliance.operations import proof
from appliance.operations.proof import count_growing, prove_blobs, prove_own_copy, prove_received, read_newest
from appliance.operations.schedule_memory import Figure
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.store.database import Database
from appliance.store.litestream import Litestream, Patience
from appliance.telemetry.clock import SystemClock

T = TypeVar("T")
NOW = "2026-03-02T12:00:00.000Z"
PATIENT = {"resourceType": "Patient", "name": [{"family": "Souza"}]}


@dataclass
class Node:
    home: Path
    database: Database
    litestream: Litestream

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def path(self) -> Path:
        return self.home / "record.sqlite"

    async def work(self, count: int = 3) -> None:
        """Patients, each with its audit event."""

        def change(tx: Transaction) -> None:
            repository.create(tx, dict(PATIENT), now=NOW)
            audit.append(tx, AuditEvent(at=NOW, action="patient.write"))

        for _ in range(count):
            await self.database.write(change)

    async def prove(self) -> dict[str, Figure]:
        sync = self.litestream.barrier.confirm
        return await prove_own_copy(self.spool, self.home / "proofs", self.path, self.database, sync=sync)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    home = tmp_path / "data"
    litestream = Litestream(
        home / "record.sqlite", home / "spool", tmp_path / "run", patience=Patience(between_pings_s=600.0)
    )
    config = StoreConfig(barrier_timeout_s=60.0)
    async with await Database.open(home / "record.sqlite", config, barrier=litestream.barrier) as database:
        await litestream.start()
        yield Node(home, database, litestream)
    await litestream.stop()


class Awakened:
    """Litestream, stopped while its files were damaged: running, it would make good what it still has."""

    def __init__(self, node: Node) -> None:
        self.litestream = node.litestream
        assert self.litestream.pid is not None
        os.kill(self.litestream.pid, signal.SIGSTOP)
        for file in node.spool.rglob("*.ltx"):
            file.write_bytes(file.read_bytes()[:50])

    async def renew(self) -> Path:
        self.wake()
        return await self.litestream.renew()

    def wake(self) -> None:
        assert self.litestream.pid is not None
        os.kill(self.litestream.pid, signal.SIGCONT)


async def test_a_good_copy_is_restored_counted_and_read(node: Node) -> None:
    await node.work()
    figures = await node.prove()
    assert (figures["audit_events"], figures["read"]) == (3, "Patient")
    assert list((node.home / "proofs").iterdir()) == []  # nothing is left of it


async def test_an_empty_record_proves_itself_too(node: Node) -> None:
    figures = await node.prove()
    assert (figures["audit_events"], figures["read"]) == (0, "-")


async def test_a_damaged_copy_is_refused_and_where_nobody_may_make_it_anew_it_stays(node: Node) -> None:
    await node.work()
    asleep = Awakened(node)
    with pytest.raises(ProntuarioError, match=r"backup\.not_restorable"):
        await prove_own_copy(node.spool, node.home / "proofs", node.path, node.database)
    asleep.wake()
    assert list((node.home / "proofs").iterdir()) == []
    assert list(node.home.glob("spool.failed-*")) == []


async def test_a_damaged_copy_is_made_anew_proven_and_told(node: Node) -> None:
    await node.work()
    with pytest.raises(ProntuarioError, match=r"backup\.renewed") as told:
        await prove_own_copy(node.spool, node.home / "proofs", node.path, node.database, renew=Awakened(node))
    (aside,) = node.home.glob("spool.failed-*")
    assert aside.name in told.value.sentence("pt")
    figures = await node.prove()
    assert figures["audit_events"] == 3


class FaultyStore:
    """A record whose integrity check finds faults."""

    async def read(self, query: Callable[[Query], T]) -> T:
        """Counts rows as they are; only the integrity check fails."""
        return cast("T", {"audit_event": 0} if query is count_growing else 7)

    async def write(self, change: Callable[[Transaction], T]) -> T:
        raise AssertionError(change)


async def test_a_damaged_record_is_not_copied_over_the_last_good_copy(node: Node) -> None:
    asleep = Awakened(node)
    with pytest.raises(ProntuarioError, match=r"backup\.record_damaged"):
        await prove_own_copy(node.spool, node.home / "proofs", node.path, FaultyStore(), renew=asleep)
    asleep.wake()
    assert list(node.home.glob("spool.failed-*")) == []


async def test_a_copy_that_stopped_growing_is_found(node: Node) -> None:
    await node.work(1)
    await node.litestream.barrier.confirm()
    old = node.home / "old"
    await asyncio.to_thread(shutil.copytree, node.spool, old)
    await node.work(2)
    with pytest.raises(ProntuarioError, match=r"backup\.behind") as behind:
        await prove_own_copy(old, node.home / "proofs", node.path, node.database)
    assert behind.value.details == {"missing": 2, "table": "audit_event"}


async def test_a_standby_proves_what_it_received(node: Node) -> None:
    await node.work()
    txid = await node.litestream.barrier.sync()
    figures = await prove_received(node.spool, Position(4, txid), node.home / "proofs", node.path, SystemClock())
    assert (figures["epoch"], figures["txid"], figures["audit_events"]) == (4, txid, 3)


async def test_a_proof_never_fills_the_disk(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "SPARE_BYTES", 1 << 60)
    with pytest.raises(ProntuarioError, match=r"backup\.no_room"):
        await node.prove()


async def test_a_resource_that_is_not_fhir_is_found(node: Node) -> None:
    await node.work(1)
    assert await node.database.read(read_newest) == "Patient"

    def spoil(tx: Transaction) -> None:
        tx.execute("DROP TRIGGER IF EXISTS record_version_is_fixed")
        tx.execute('UPDATE record_version SET body = \'{"resourceType":"Patient","gender":7}\'')

    await node.database.write(spoil)
    with pytest.raises(ProntuarioError, match=r"fhir\."):
        await node.database.read(read_newest)


async def test_blobs_are_read_one_by_one(tmp_path: Path) -> None:
    good = tmp_path / "e3" / "b0" / "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    good.parent.mkdir(parents=True)
    good.touch()
    assert await prove_blobs(tmp_path) == {"blobs": 1}
    good.write_bytes(b"x")
    with pytest.raises(ProntuarioError, match=r"backup\.blobs_damaged"):
        await prove_blobs(tmp_path)
