"""What was signed is remembered outside the record, on both Macs, and only a person's word takes it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cluster.replication_errors import PEER_AWAY
from appliance.config import Paths
from appliance.config.model import Store as StoreConfig
from appliance.daemon.background import SignedHeads
from appliance.daemon.cli import main
from appliance.daemon.control import ControlSocket
from appliance.daemon.pair.neighbour import Service
from appliance.daemon.record import RecordSlot
from appliance.daemon.witness import ACCEPT, Witness
from appliance.plugin_api.errors import ProntuarioError
from appliance.security import audit
from appliance.security.audit_heads import HeadSigner
from appliance.security.files import make_private_folder
from appliance.security.vault import Vault
from appliance.store.database import Database
from appliance.telemetry.clock import instant
from tests.fakes.hand_clock import HandClock


class Mac:
    """A node's witness and slot; ``line`` is what its questions go through."""

    def __init__(self, folder: Path, signer: HeadSigner, clock: HandClock, slot: RecordSlot | None = None) -> None:
        self.paths, self.signer, self.clock = Paths(folder), HeadSigner(signer._key), clock
        self.paths.database.parent.mkdir(parents=True)
        self.slot, self.services = slot or RecordSlot(), dict[str, Service]()
        self.witness = Witness(self.paths, self.slot, self.signer, clock)
        self.away = False

    def pair_with(self, other: Mac) -> None:
        async def ask(service: str, verb: str, body: bytes) -> bytes:
            if self.away:
                raise PEER_AWAY()
            return await other.services[service](verb, body)

        self.witness.join(self.services, ask)

    @asynccontextmanager
    async def leading(self, database: Path) -> AsyncIterator[None]:
        async with await Database.open(database, StoreConfig(litestream=False)) as opened:
            self.slot.put(opened)
            try:
                yield
            finally:
                self.slot.put(None)

    async def signs(self, events: int) -> None:
        for number in range(events):
            event = audit.AuditEvent(at=instant(self.clock.now()), action="read", resource=f"Patient/{number}")
            await self.slot.write(lambda tx, event=event: audit.append(tx, event))
        await SignedHeads(self.slot, self.signer, self.clock, saw=self.witness.saw)._keep()


@pytest.fixture
def macs(tmp_path: Path) -> tuple[Mac, Mac]:
    signer, clock = HeadSigner.open(Paths(tmp_path / "keys"), Vault(bytes(32))), HandClock()
    a, b = Mac(tmp_path / "a", signer, clock), Mac(tmp_path / "b", signer, clock)
    a.pair_with(b)
    b.pair_with(a)
    return a, b


async def test_a_log_put_back_on_one_mac_is_missed_by_the_other(macs: tuple[Mac, Mac], tmp_path: Path) -> None:
    a, _b = macs
    async with a.leading(tmp_path / "record.sqlite"):
        await a.signs(3)
        assert (await a.signer.check(a.slot)).ok
    a.paths.audit_head.unlink()  # who is root on one Mac takes its memory as well
    async with a.leading(tmp_path / "old.sqlite"):
        await a.signs(2)
        report = await a.signer.check(a.slot)
        assert report.problems == ("the log was cut: a head kept outside the record counts 3 events",)
        a.away = True
        assert (await a.signer.check(a.slot)).ok, "nobody else can be asked; the next check will"
        a.away = False
        await a.signs(4)
        assert len((await a.signer.check(a.slot)).problems) == 1, "a longer log of another kind is no better"


async def test_a_head_that_only_one_mac_has_is_not_remembered(macs: tuple[Mac, Mac], tmp_path: Path) -> None:
    """It may be lost with that Mac, and nobody has cut anything off then."""
    signs, b = macs
    a = Mac(tmp_path / "alone", signs.signer, signs.clock, Degraded())
    a.pair_with(b)
    async with a.leading(tmp_path / "record.sqlite"):
        await a.signs(3)
    assert not a.paths.audit_head.exists()
    assert not b.paths.audit_head.exists()


class Degraded(RecordSlot):
    """Acknowledges on this node alone."""

    @property
    def mode(self) -> str:
        return "degraded"


async def test_a_person_says_on_each_mac_that_the_record_was_restored(macs: tuple[Mac, Mac], tmp_path: Path) -> None:
    a, b = macs
    async with a.leading(tmp_path / "record.sqlite"):
        await a.signs(3)
    async with a.leading(tmp_path / "restored.sqlite"):
        await a.signs(2)
        assert not (await a.signer.check(a.slot)).ok
        assert await a.witness.verbs()[ACCEPT]({}) == {"forgotten": 3, "record_here": True}
        assert not (await a.signer.check(a.slot)).ok, "the other one still remembers"
        assert await b.witness.verbs()[ACCEPT]({}) == {"forgotten": 3, "record_here": False}
        assert (await a.signer.check(a.slot)).ok
        written = (await a.slot.read(audit.read_events))[0].event
        assert (written.action, written.user_id, written.resource) == ("audit log restored", "operator", "audit/3")


async def test_the_command_wants_a_word_and_tells_where_else_it_is_needed(
    macs: tuple[Mac, Mac], tmp_path: Path
) -> None:
    """On the Mac without the record."""
    a, b = macs
    async with a.leading(tmp_path / "record.sqlite"):
        await a.signs(3)
    make_private_folder(b.paths.run)
    control = ControlSocket(b.paths.socket("control"), b.witness.verbs())
    await control.start()
    try:
        for typed, status in (("sim", 1), ("RESTAURADO", 0)):
            words = ["audit", "accept-restored", "--home", str(b.paths.home), "--yes-i-typed", typed]
            done = await asyncio.to_thread(CliRunner().invoke, main, words)
            assert done.exit_code == status, done.output
            assert b.paths.audit_head.exists() == bool(status)
    finally:
        await control.stop()
    assert "A head of 3 events is forgotten here; the record is on the other Mac" in done.output


async def test_a_log_that_does_not_agree_with_itself_is_not_accepted(macs: tuple[Mac, Mac], tmp_path: Path) -> None:
    a, _b = macs
    async with a.leading(tmp_path / "record.sqlite"):
        await a.signs(3)
        stranger = HeadSigner.open(Paths(tmp_path / "stranger"), Vault(bytes(32)))
        await a.signs(0)
        await a.slot.write(lambda tx: audit.append(tx, audit.AuditEvent(at=instant(a.clock.now()), action="read")))
        await a.slot.write(lambda tx: stranger.keep(tx, instant(a.clock.now())))
        with pytest.raises(ProntuarioError, match=r"audit\.damaged"):
            await a.witness.verbs()[ACCEPT]({})
        assert a.paths.audit_head.exists()
