"""Restores from a spool that a real Litestream wrote."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from appliance.config.model import Store as StoreConfig
from appliance.operations import backup
from appliance.operations.backup import RestoreReport, check_blobs, restore, verify_latest
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.blobs import BlobStore, DataKey
from appliance.store.database import Database
from appliance.store.litestream import Litestream, Patience
from appliance.store.spool import thin
from appliance.store.sqlite import inspect

KEY = DataKey("key-1", hashlib.sha256(b"test").digest())


class Node:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.spool = home / "data" / "spool"
        self.litestream = Litestream(
            home / "data" / "record.sqlite", self.spool, home / "run", patience=Patience(between_pings_s=600.0)
        )
        self.database: Database

    async def note(self, *names: str) -> None:
        def change(tx: Transaction) -> None:
            tx.execute('CREATE TABLE IF NOT EXISTS "odd ""name" (id TEXT PRIMARY KEY, body TEXT)')
            tx.execute_many('INSERT INTO "odd ""name" VALUES (?, ?)', [(name, "y" * 500) for name in names])

        await self.database.write(change)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    made = Node(tmp_path / "Application Support" / "Prontuário 100%")  # a Mac's homes lie below a folder like that
    config = StoreConfig(barrier_timeout_s=60.0)
    path = made.home / "data" / "record.sqlite"
    async with await Database.open(path, config, barrier=made.litestream.barrier) as database:
        made.database = database
        await made.litestream.start()
        yield made
    await made.litestream.stop()


@pytest.mark.parametrize("content", [b"no database at all" * 500, b"SQLite format 3\x00" + bytes(9000)])
def test_a_copy_that_sqlite_can_not_even_read_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """So that the proof of a node alone has it made anew, and a person is told what to do."""

    def write(_spool: Path, output: Path, _at: datetime | None) -> None:
        output.write_bytes(content)

    monkeypatch.setattr(backup, "_run_litestream", write)
    with pytest.raises(ProntuarioError, match=r"backup\.damaged"):
        restore(tmp_path / "spool", tmp_path / "to")
    assert not (tmp_path / "to" / "record.sqlite").exists()


def names(query: Query) -> set[str]:
    return {str(row["id"]) for row in query.all('SELECT id FROM "odd ""name"')}


async def test_everything_acknowledged_is_restored_and_counted_while_the_node_runs(node: Node, tmp_path: Path) -> None:
    await node.note("a", "b")
    await node.note("c")
    stages: list[str] = []
    report = await asyncio.to_thread(restore, node.spool, tmp_path / "to", on_stage=stages.append)
    assert await asyncio.to_thread(inspect, tmp_path / "to" / "record.sqlite", names) == {"a", "b", "c"}
    assert (report.integrity, report.rows['odd "name'], report.rows["store_job"], report.at) == ("ok", 3, 0, None)
    assert report.total_rows == sum(report.rows.values())
    assert report.tables == len(report.rows)
    assert report.size_bytes == (tmp_path / "to" / "record.sqlite").stat().st_size
    assert stages == ["restore", "check", "count", "blobs"]
    assert os.listdir(tmp_path / "to") == ["record.sqlite"]  # noqa: PTH208  the whole of it
    assert msgspec.json.decode(msgspec.json.encode(report), type=RestoreReport) == report


async def test_a_restored_record_can_be_served(node: Node, tmp_path: Path) -> None:
    await node.note("a")
    report = await asyncio.to_thread(restore, node.spool, tmp_path / "to")
    async with await Database.open(Path(report.database), StoreConfig(litestream=False)) as restored:
        assert await restored.read(names) == {"a"}
        await restored.write(lambda tx: tx.execute('INSERT INTO "odd ""name" VALUES (?, ?)', ("b", "")))


async def test_the_record_is_restored_as_it_was_at_a_time(node: Node, tmp_path: Path) -> None:
    await node.note("early")
    between = datetime.now(UTC) + timedelta(seconds=1.5)
    await asyncio.sleep(3)
    await node.note("late")
    report = await asyncio.to_thread(restore, node.spool, tmp_path / "then", between)
    assert await asyncio.to_thread(inspect, tmp_path / "then" / "record.sqlite", names) == {"early"}
    assert report.at is not None
    await asyncio.to_thread(restore, node.spool, tmp_path / "now")
    assert await asyncio.to_thread(inspect, tmp_path / "now" / "record.sqlite", names) == {"early", "late"}


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:50])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def newest_step(folder: Path) -> Path:
    return max((folder / "ltx" / "0").glob("*.ltx"))


DAMAGE = {
    "a working file cut short": lambda working, _spool: cut(newest_step(working)),
    "a working file with a flipped bit": lambda working, _spool: flip(newest_step(working)),
    "an empty working file": lambda working, _spool: newest_step(working).write_bytes(b""),
    "no working files": lambda working, _spool: shutil.rmtree(working),
    "no spool": lambda _working, spool: shutil.rmtree(spool),
    "no newest steps in the spool": lambda _working, spool: shutil.rmtree(spool / "ltx" / "0"),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damaged_replication_files_heal_by_themselves(tmp_path: Path, damage: str) -> None:
    home = tmp_path / "home"
    for number, life in enumerate(("a", "b", "c")):
        node = Node(home)
        config = StoreConfig(barrier_timeout_s=60.0)
        async with await Database.open(
            home / "data" / "record.sqlite", config, barrier=node.litestream.barrier
        ) as database:
            node.database = database
            await node.litestream.start()
            await node.note(f"{life}1")
            await node.note(f"{life}2")
        await node.litestream.stop()
        if number == 0:
            DAMAGE[damage](home / "data" / ".record.sqlite-litestream", node.spool)
    await asyncio.to_thread(restore, node.spool, tmp_path / "to")
    kept = await asyncio.to_thread(inspect, tmp_path / "to" / "record.sqlite", names)
    assert kept == {"a1", "a2", "b1", "b2", "c1", "c2"}


async def test_a_spool_that_fails_its_proof_can_be_renewed_while_the_node_runs(node: Node, tmp_path: Path) -> None:
    await node.note("a", "b")
    assert node.litestream.pid is not None
    os.kill(node.litestream.pid, signal.SIGSTOP)  # running, it would make good what it still has
    for file in node.spool.rglob("*.ltx"):
        cut(file)
    with pytest.raises(ProntuarioError) as caught:
        await verify_latest(node.spool, tmp_path / "scratch")
    assert caught.value.kind.code == "backup.not_restorable"
    os.kill(node.litestream.pid, signal.SIGCONT)
    aside = await node.litestream.renew()
    assert list(aside.rglob("*.ltx"))
    await node.note("c")
    assert (await verify_latest(node.spool, tmp_path / "scratch")).rows['odd "name'] == 3


async def test_a_thinned_spool_restores_everything(node: Node, tmp_path: Path) -> None:
    await node.note("0")
    level_2 = node.spool / "ltx" / "2"
    written = 1
    async with asyncio.timeout(90):
        while not level_2.is_dir() or len(list(level_2.glob("*.ltx"))) < 2:  # a compaction comes every ten seconds
            await node.note(str(written))
            written += 1
            await asyncio.sleep(0.4)
    thinned = await asyncio.to_thread(thin, node.spool, now_s=time.time() + 30 * 24 * 3600)
    assert thinned > 3
    await node.note("last")
    await asyncio.to_thread(restore, node.spool, tmp_path / "to")
    expected = {*map(str, range(written)), "last"}
    assert await asyncio.to_thread(inspect, tmp_path / "to" / "record.sqlite", names) == expected
    assert (await node.litestream.health()).status == "ok"


async def test_a_time_before_the_first_copy_is_refused_and_nothing_is_left(node: Node, tmp_path: Path) -> None:
    await node.note("a")
    with pytest.raises(ProntuarioError) as caught:
        await asyncio.to_thread(restore, node.spool, tmp_path / "to", datetime(2020, 1, 1, tzinfo=UTC))
    assert caught.value.kind.code == "backup.not_restorable"
    assert list((tmp_path / "to").iterdir()) == []
    with pytest.raises(ValueError, match="time zone"):
        restore(node.spool, tmp_path / "to", datetime(2026, 1, 1))  # noqa: DTZ001  the point


async def test_a_record_is_never_overwritten(node: Node, tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "record.sqlite").write_text("precious")
    with pytest.raises(ProntuarioError) as caught:
        restore(node.spool, tmp_path / "to")
    assert (caught.value.kind.code, caught.value.kind.status) == ("backup.target_taken", 409)
    assert (tmp_path / "to" / "record.sqlite").read_text() == "precious"


async def test_an_empty_spool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    with pytest.raises(ProntuarioError) as caught:
        restore(tmp_path / "spool", tmp_path / "to")
    assert caught.value.kind.code == "backup.not_restorable"


async def test_a_damaged_spool_is_never_presented_as_a_record(node: Node, tmp_path: Path) -> None:
    await node.note(*(str(n) for n in range(300)))
    copy = tmp_path / "spool-copy"
    await node.database.close()
    await node.litestream.stop()
    shutil.copytree(node.spool, copy)
    for file in sorted(copy.rglob("*.ltx")):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    with pytest.raises(ProntuarioError) as caught:
        await asyncio.to_thread(restore, copy, tmp_path / "to")
    assert caught.value.kind.code in {"backup.not_restorable", "backup.damaged"}
    assert list((tmp_path / "to").iterdir()) == []


async def test_a_copy_with_dangling_references_is_told(node: Node, tmp_path: Path) -> None:
    def dangle(connection: object) -> None:
        execute = connection.execute  # type: ignore[attr-defined]
        execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        execute("CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent (id))")
        execute("PRAGMA foreign_keys = OFF")
        execute("INSERT INTO child (parent) VALUES (7)")

    await node.database._writer_thread.run(dangle)
    await node.note("a")
    with pytest.raises(ProntuarioError) as caught:
        await asyncio.to_thread(restore, node.spool, tmp_path / "to")
    assert caught.value.kind.code == "backup.damaged"
    assert list((tmp_path / "to").iterdir()) == []


async def test_blobs_are_read_and_compared_with_their_addresses(node: Node, tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")

    async def audio() -> AsyncIterator[bytes]:
        yield b"audio" * 1000

    good, bad = await store.put(audio(), KEY), await store.put(audio(), KEY)
    file = tmp_path / "blobs" / bad.address[:2] / bad.address[2:4] / bad.address
    file.write_bytes(file.read_bytes()[:-1])
    await node.note("a")
    report = await asyncio.to_thread(restore, node.spool, tmp_path / "to", blobs=tmp_path / "blobs")
    assert report.blobs is not None
    assert (report.blobs.whole, report.blobs.damaged) == (1, (bad.address,))
    await store.delete(bad)
    assert check_blobs(tmp_path / "blobs").damaged == ()
    assert good.address not in report.blobs.damaged


async def test_the_proof_leaves_nothing_behind(node: Node, tmp_path: Path) -> None:
    await node.note("a", "b")
    scratch = tmp_path / "scratch"
    report = await verify_latest(node.spool, scratch)
    assert report.rows['odd "name'] == 2
    assert list(scratch.iterdir()) == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(ProntuarioError):
        await verify_latest(tmp_path / "empty", scratch)
    assert list(scratch.iterdir()) == []
