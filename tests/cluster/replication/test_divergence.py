"""Rows that only an old primary has: found, sent, queued, decided once."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.cluster.divergence import DivergenceQueue, DivergentRow, compare_tail, from_report, to_reports
from appliance.cluster.model import Position
from appliance.cluster.peer_messages import MAX_CALL_BYTES
from appliance.cluster.review_order import WORDS, Subject, subject_of
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.store.database import Database
from appliance.store.migrate import Migration
from appliance.store.soundness import table_names

TABLES = Migration(
    1,
    "tables",
    """CREATE TABLE one (id TEXT PRIMARY KEY, body TEXT, bytes BLOB) STRICT;
    CREATE TABLE two (a INTEGER, b TEXT, value REAL, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;
    CREATE TABLE loose (said TEXT) STRICT;
    CREATE VIRTUAL TABLE words USING fts5 (text);""",
)
LATER = Migration(
    2, "later", "ALTER TABLE one ADD COLUMN more TEXT; CREATE TABLE three (id INTEGER PRIMARY KEY) STRICT;"
)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def databases(tmp_path: Path, tail: Callable[[Transaction], None], *later: Migration) -> tuple[Path, Path]:
    """The old primary's database with ``tail`` after the fence, and a copy as it was at the fence."""
    old, fence = tmp_path / "old.sqlite", tmp_path / "fence.sqlite"
    config = StoreConfig(litestream=False)

    def both(tx: Transaction) -> None:
        tx.execute("INSERT INTO one VALUES ('same', 'x', x'00ff'), ('changes', 'x', x'01'), ('goes', 'x', NULL)")
        tx.execute("INSERT INTO two VALUES (1, 'a', 0.5), (1, 'b', 0.5)")
        tx.execute("INSERT INTO loose VALUES ('twice'), ('twice')")
        tx.execute("INSERT INTO words VALUES ('febre')")

    async with await Database.open(old, config, migrations=[TABLES]) as database:
        await database.write(both)
    shutil.copy(old, fence)
    async with await Database.open(old, config, migrations=[TABLES, *later]) as database:
        await database.write(tail)
    return old, fence


async def test_rows_that_were_added_changed_and_removed_are_told_apart(tmp_path: Path) -> None:
    def tail(tx: Transaction) -> None:
        tx.execute("INSERT INTO one VALUES ('new', 'y', x'02')")
        tx.execute("UPDATE one SET body = 'y' WHERE id = 'changes'")
        tx.execute("DELETE FROM one WHERE id = 'goes'")
        tx.execute("UPDATE two SET value = 1.5 WHERE b = 'b'")
        tx.execute("INSERT INTO loose VALUES ('once')")
        tx.execute("INSERT INTO words VALUES ('tosse')")

    found = compare_tail(*await databases(tmp_path, tail))
    told = {(row.table, tuple(row.key.values()), row.kind) for row in found if not row.table.startswith("words")}
    assert told == {
        ("one", ("new",), "added"),
        ("one", ("changes",), "changed"),
        ("one", ("goes",), "removed"),
        ("two", (1, "b"), "changed"),
        ("loose", (3,), "added"),
    }
    by_key = {tuple(row.key.values()): row for row in found}
    assert by_key["new",].old == {"id": "new", "body": "y", "bytes": {"base64": "Ag=="}}
    assert (by_key["changes",].fence or {})["body"] == "x"
    assert (by_key["goes",].old, (by_key["goes",].fence or {})["id"]) == (None, "goes")


async def test_equal_databases_have_no_divergent_row(tmp_path: Path) -> None:
    assert compare_tail(*await databases(tmp_path, lambda _tx: None)) == []


async def test_a_schema_that_grew_after_the_fence_hides_nothing(tmp_path: Path) -> None:
    def tail(tx: Transaction) -> None:
        tx.execute("INSERT INTO three VALUES (7)")
        tx.execute("INSERT INTO one (id, more) VALUES ('new', 'z')")

    found = compare_tail(*await databases(tmp_path, tail, LATER))
    told = {(row.table, tuple(row.key.values()), row.kind) for row in found}
    assert {("three", (7,), "added"), ("one", ("new",), "added")} <= told
    assert {table for table, _, _ in told} <= {"three", "one", "schema_migration"}


def test_reports_fit_the_link_and_carry_every_row() -> None:
    rows = [DivergentRow("one", {"id": n}, "added", {"body": "x" * 60_000}, None) for n in range(50)]
    rows.append(DivergentRow("one", {"id": "huge"}, "added", {"body": "x" * MAX_CALL_BYTES}, None))
    reports = list(to_reports(rows))
    assert len(reports) > 2
    assert max(map(len, reports)) <= MAX_CALL_BYTES
    assert [row for report in reports for row in from_report(report)] == [
        *rows[:-1],
        DivergentRow("one", {"id": "huge"}, "added", None, None),
    ]
    assert list(to_reports([])) == []


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[DivergenceQueue]:
    async with await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False)) as database:
        yield DivergenceQueue(database)


async def test_a_row_is_queued_once_and_decided_once(queue: DivergenceQueue) -> None:
    rows = [
        DivergentRow("one", {"id": "a"}, "added", {"id": "a", "body": "ç"}, None),
        DivergentRow("one", {"id": "b"}, "removed", None, {"id": "b"}),
    ]
    assert await queue.add("a", Position(3, 17), rows, NOW) == 2
    assert await queue.add("a", Position(3, 17), rows, NOW) == 0  # the report came twice
    pending = await queue.pending()
    assert ([one.row for one in pending], {(one.node, one.epoch) for one in pending}) == (rows, {("a", 3)})
    await queue.resolve(pending[0].id, by="admin", resolution="entered again", now=NOW)
    assert (await queue.count(), [one.row for one in await queue.pending()]) == (1, rows[1:])
    with pytest.raises(ProntuarioError) as caught:
        await queue.resolve(pending[0].id, by="admin", resolution="again", now=NOW)
    assert caught.value.kind.code == "not_found"


async def test_what_was_said_about_a_patient_is_reviewed_first_and_the_audit_trail_last(queue: DivergenceQueue) -> None:
    tables = [
        "audit_event",
        "store_job",
        "security_session",
        "some_plugin",
        "record_token",
        "care_note",
        "record_version",
    ]
    for age, table in enumerate(tables):
        row = DivergentRow(table, {"id": age}, "added", {"id": age}, None)
        await queue.add("a", Position(3, 17), [row], NOW + timedelta(seconds=age))
    await queue.add("a", Position(3, 17), [DivergentRow("care_note", {"id": "x"}, "added", None, None)], NOW)
    wanted = [
        "care_note",
        "care_note",
        "record_version",
        "some_plugin",
        "security_session",
        "store_job",
        "record_token",
    ]
    pending = await queue.pending()
    assert [one.row.table for one in pending] == [*wanted, "audit_event"]
    assert [one.row.key["id"] for one in pending[:2]] == ["x", 5], "of one subject the oldest first"
    assert [one.row.table for one in await queue.pending(3)] == wanted[:3]
    assert await queue.counts() == {
        Subject.CLINICAL: 3, Subject.OTHER: 1, Subject.ACCESS: 1, Subject.TECHNICAL: 2, Subject.AUDIT: 1,
    }  # fmt: skip
    await queue.resolve(pending[0].id, by="admin", resolution="entered again", now=NOW)
    assert (await queue.counts())[Subject.CLINICAL] == 2


async def test_every_table_of_the_record_has_a_place_in_the_review(tmp_path: Path) -> None:
    async with await Database.open(tmp_path / "record.sqlite", StoreConfig(litestream=False)) as database:
        tables = await database.read(table_names)
    assert {table for table in tables if subject_of(table) is Subject.OTHER} == set()
    assert {"care_note", "record_version"} <= {table for table in tables if subject_of(table) is Subject.CLINICAL}
    assert {table for table in tables if table.startswith("audit")} == {
        table for table in tables if subject_of(table) is Subject.AUDIT
    }
    assert set(WORDS) == set(Subject)
