"""Blobs that nobody names go slowly, and one that somebody names never."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest

from appliance.config.model import Store as StoreConfig
from appliance.operations.orphans import KEEP_ASIDE_S, NAMED_BY, SAFE_AGE_S, OrphanCollector, named_blobs
from appliance.plugin_api.storage import Transaction
from appliance.store.blobs import BlobRef, BlobStore, DataKey, addresses_in
from appliance.store.database import Database
from tests.fakes.leaping_clock import LeapingClock

KEY = DataKey("key-1", hashlib.sha256(b"test").digest())
OLD = timedelta(seconds=SAFE_AGE_S + 60)
VERY_OLD = timedelta(seconds=KEEP_ASIDE_S + 60)


@dataclass
class Peer:
    """The other copy; counts what it was told to forget."""

    forgotten: list[str] = field(default_factory=list)

    async def keep(self, address: str, path: Path) -> None:
        assert path.name == address

    async def forget(self, address: str) -> None:
        self.forgotten.append(address)


@dataclass
class Ward:
    folder: Path
    database: Database
    clock: LeapingClock
    blobs: BlobStore

    async def keep(self, text: bytes) -> BlobRef:
        async def chunks() -> AsyncIterator[bytes]:
            yield text

        return await self.blobs.put(chunks(), KEY)

    async def name(self, ref: BlobRef) -> None:
        """As an upload of a chunk does it; the rows around it don't matter here."""

        def change(tx: Transaction) -> None:
            tx.execute("INSERT INTO someone (blob) VALUES (?)", (ref.address,))

        await self.database.write(change)

    def restart(self, other: Peer | None = None) -> None:
        """A new process owns the folder."""
        self.blobs = BlobStore(self.folder, other)

    @property
    def collector(self) -> OrphanCollector:
        return OrphanCollector(self.folder, self.blobs, self.database, self.clock)

    async def read(self, ref: BlobRef) -> bytes:
        return b"".join([piece async for piece in self.blobs.open(ref, KEY)])


@pytest.fixture
async def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ward]:
    monkeypatch.setattr("appliance.operations.orphans.NAMED_BY", (*NAMED_BY, ("someone", "blob")))
    path = tmp_path / "record.sqlite"
    async with await Database.open(path, StoreConfig(litestream=False)) as database:
        await database.write(lambda tx: tx.execute("CREATE TABLE someone (blob TEXT)"))
        yield Ward(tmp_path / "blobs", database, LeapingClock(), BlobStore(tmp_path / "blobs"))


def test_every_column_that_names_blobs_is_known() -> None:
    """A new table with a column of this name must be told to the collector, or its blobs would be nobody's."""
    found = set()
    for file in resources.files("appliance.store.migrations").iterdir():
        if file.name.endswith(".sql"):
            text = re.sub(r"--[^\n]*", "", file.read_text(encoding="utf-8"))
            for table, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\)", text, re.DOTALL):
                found |= {(table, name) for name in re.findall(r"^\s*(\w*blob\w*)\s+TEXT", columns, re.MULTILINE)}
            found |= set(re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w*blob\w*)\s", text))
    assert found == set(NAMED_BY)


async def test_a_named_blob_is_never_touched_however_old(ward: Ward) -> None:
    ref = await ward.keep(b"palavras")
    await ward.name(ref)
    ward.restart()
    for age in (OLD, VERY_OLD, VERY_OLD):
        ward.clock.ahead += age
        report = await ward.collector.collect()
        assert (report.old, report.aside, report.expired, report.named) == ((), (), (), 1)
    assert await ward.read(ref) == b"palavras"


async def test_an_orphan_is_reported_then_set_aside_then_deleted_on_both(ward: Ward) -> None:
    peer = Peer()
    ref = await ward.keep(b"x" * 1000)
    ward.restart(peer)
    assert [one.address for one in (await ward.collector.look()).young] == [ref.address]
    ward.clock.ahead += OLD
    looked = await ward.collector.look()
    assert [one.address for one in looked.old] == [ref.address]
    assert looked.old[0].size > 1000
    assert looked.figures()["orphan_bytes"] == looked.old[0].size
    assert list(addresses_in(ward.folder)) == [ref.address]  # looking changes nothing
    await ward.collector.collect()
    assert list(addresses_in(ward.folder)) == []
    assert list(addresses_in(ward.blobs.aside)) == [ref.address]
    await ward.collector.collect()
    assert peer.forgotten == []
    ward.clock.ahead += VERY_OLD
    assert [one.address for one in (await ward.collector.collect()).expired] == [ref.address]
    assert list(addresses_in(ward.blobs.aside)) == []
    assert peer.forgotten == [ref.address]


async def test_what_this_process_kept_lately_is_safe_from_a_leaping_clock(ward: Ward) -> None:
    ref = await ward.keep(b"em voo")
    ward.clock.ahead += timedelta(days=400)  # somebody sets the date while the transaction is under way
    report = await ward.collector.collect()
    assert report.old == ()
    assert [one.address for one in report.young] == [ref.address]
    await ward.name(ref)
    assert await ward.read(ref) == b"em voo"


async def test_a_clock_that_went_back_makes_nothing_old(ward: Ward) -> None:
    await ward.keep(b"x")
    ward.restart()
    ward.clock.ahead -= timedelta(days=400)
    assert (await ward.collector.collect()).old == ()


async def test_a_read_brings_back_what_was_set_aside(ward: Ward) -> None:
    ref = await ward.keep(b"voltou")
    ward.restart()
    ward.clock.ahead += OLD
    await ward.collector.collect()
    assert await ward.read(ref) == b"voltou"
    assert list(addresses_in(ward.folder)) == [ref.address]
    assert list(addresses_in(ward.blobs.aside)) == []


async def test_what_is_named_after_all_is_brought_back_instead_of_deleted(ward: Ward) -> None:
    ref = await ward.keep(b"de novo")
    ward.restart()
    ward.clock.ahead += OLD
    await ward.collector.collect()
    await ward.name(ref)
    ward.clock.ahead += VERY_OLD
    report = await ward.collector.collect()
    assert report.expired == ()
    assert list(addresses_in(ward.folder)) == [ref.address]


async def test_a_file_that_goes_meanwhile_is_no_failure(ward: Ward) -> None:
    ref = await ward.keep(b"x")
    ward.restart()
    await ward.blobs.delete(ref)
    await ward.blobs.set_aside(ref.address)
    await ward.blobs.delete_aside(ref.address)
    assert (await ward.collector.collect()).figures()["orphans"] == 0


async def test_names_come_from_the_record(ward: Ward) -> None:
    ref = await ward.keep(b"x")
    await ward.name(ref)
    assert await ward.database.read(named_blobs) == {ref.address}
