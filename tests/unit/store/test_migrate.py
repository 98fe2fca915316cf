from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysqlite3 import dbapi2

from appliance.plugin_api.errors import ProntuarioError
from appliance.store.migrate import Migration, known_migrations, migrate, split_statements

ONE = Migration(1, "one", "CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT;")
TWO = Migration(2, "two", "-- readable-by: 1\nCREATE TABLE two (id INTEGER PRIMARY KEY);\nINSERT INTO one VALUES (7);")
BROKEN = Migration(3, "broken", "CREATE TABLE three (id INTEGER);\nINSERT INTO one VALUES (7);")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[dbapi2.Connection]:
    opened = dbapi2.connect(str(tmp_path / "m.sqlite"), isolation_level=None)
    opened.row_factory = dbapi2.Row
    yield opened
    opened.close()


def tables(connection: dbapi2.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def refusal(migrations: list[Migration], connection: dbapi2.Connection) -> str:
    with pytest.raises(ProntuarioError) as caught:
        migrate(migrations, connection)
    assert caught.value.next_step("en")
    return caught.value.kind.code


def test_migrations_are_applied_once_and_recorded(connection: dbapi2.Connection) -> None:
    migrate([ONE, TWO], connection)
    migrate([ONE, TWO], connection)
    rows = [tuple(row)[:4] for row in connection.execute("SELECT * FROM schema_migration ORDER BY number")]
    assert rows == [(1, "one", ONE.checksum, 1), (2, "two", TWO.checksum, 1)]
    assert connection.execute("SELECT count(*) FROM one").fetchone()[0] == 1


def test_a_number_that_was_missing_is_applied_when_it_comes(connection: dbapi2.Connection) -> None:
    three = Migration(3, "three", "CREATE TABLE three (id INTEGER);")
    migrate([ONE, three], connection)
    migrate([ONE, TWO, three], connection)
    assert {"one", "two", "three"} <= tables(connection)


def test_a_failing_migration_leaves_the_old_state(connection: dbapi2.Connection) -> None:
    assert refusal([ONE, TWO, BROKEN], connection) == "store.migration_failed"
    assert "three" not in tables(connection)
    assert not connection.in_transaction
    repaired = Migration(3, "repaired", "CREATE TABLE three (id INTEGER);")
    migrate([ONE, TWO, repaired], connection)
    assert "three" in tables(connection)


def test_the_previous_version_opens_a_newer_database_only_if_every_newer_migration_allows_it(
    connection: dbapi2.Connection,
) -> None:
    migrate([ONE, TWO], connection)
    migrate([ONE], connection)  # two is readable by one
    migrate([ONE, TWO, Migration(3, "three", "CREATE TABLE three (id INTEGER);")], connection)
    assert refusal([ONE], connection) == "store.newer_database"
    assert refusal([ONE, TWO], connection) == "store.newer_database"


def test_a_migration_that_was_changed_afterwards_is_refused(connection: dbapi2.Connection) -> None:
    migrate([ONE], connection)
    changed = Migration(1, "one", ONE.sql.replace("id", "number"))
    assert refusal([changed], connection) == "store.migration_changed"


def test_line_ends_do_not_change_a_checksum() -> None:
    assert Migration(1, "a", "SELECT 1;\r\nSELECT 2;").checksum == Migration(1, "a", "SELECT 1;\nSELECT 2;").checksum


def test_statements_end_where_sqlite_says() -> None:
    script = """-- a comment; with a semicolon
    CREATE TABLE t (a TEXT DEFAULT 'x;y'); CREATE TRIGGER r AFTER INSERT ON t BEGIN
      UPDATE t SET a = ';'; DELETE FROM t;
    END;
    INSERT INTO t VALUES (';') -- the last one needs no end
    """
    statements = split_statements(script)
    assert len(statements) == 3
    assert statements[1].endswith("END;")
    assert split_statements("SELECT 1;\n-- only a comment\n") == ["SELECT 1;"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1, max_size=5))
def test_any_text_in_a_literal_survives_splitting(texts: list[str]) -> None:
    quoted = ["SELECT '" + text.replace("'", "''") + "';" for text in texts]
    assert split_statements("\n".join(quoted)) == quoted


def test_the_appliances_own_migrations_make_a_sound_schema(connection: dbapi2.Connection) -> None:
    own = known_migrations()
    migrate(own, connection)
    assert [m.number for m in own] == sorted({m.number for m in own})
    assert {"store_job", "store_idempotency"} <= tables(connection)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_two_migrations_of_one_number_are_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("SELECT 1;")
    (tmp_path / "0001_b.sql").write_text("SELECT 2;")
    (tmp_path / "notes.txt").write_text("ignored")
    with pytest.raises(ValueError, match="number 1"):
        known_migrations(tmp_path)
