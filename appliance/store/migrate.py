"""Numbered SQL files, applied forward only, each in one transaction, each recorded with its checksum.

A file's first lines may say ``-- readable-by: 7``: a program that knows migrations up to 7 can still use a database that
has this one. Without the line only programs that know the migration itself can. So the previous version opens a newer
database exactly when every newer migration allows it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final

from pysqlite3 import dbapi2

from appliance.store import errors
from appliance.telemetry.logs import get_logger

log = get_logger("store")
_NAME: Final = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_READABLE_BY: Final = re.compile(r"^--\s*readable-by:\s*(\d+)\s*$", re.MULTILINE)
_TABLE: Final = """CREATE TABLE IF NOT EXISTS schema_migration (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    readable_by INTEGER NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ'))
) STRICT"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, line ends normalised."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()

    @property
    def readable_by(self) -> int:
        """The lowest newest-known migration of a program that can use a database with this one."""
        found = _READABLE_BY.search(self.sql)
        return int(found[1]) if found else self.number


def known_migrations(folder: Traversable | None = None) -> list[Migration]:
    """The migrations in ``folder`` (the appliance's own by default), by number.

    Raises:
        ValueError: two files have the same number.
    """
    folder = folder or resources.files("appliance.store.migrations")
    found: dict[int, Migration] = {}
    for entry in folder.iterdir():
        if match := _NAME.fullmatch(entry.name):
            migration = Migration(int(match["number"]), match["name"], entry.read_text(encoding="utf-8"))
            if migration.number in found:
                raise ValueError(f"two migrations have the number {migration.number}")
            found[migration.number] = migration
    return [found[number] for number in sorted(found)]


def migrate(migrations: list[Migration], connection: Any) -> None:
    """Apply what ``connection``'s database lacks. An interrupted step leaves the database as it was before that step.

    Raises:
        ProntuarioError: ``store.newer_database``, ``store.migration_changed``, ``store.migration_failed``.
    """
    connection.execute(_TABLE)
    applied = {row["number"]: row for row in connection.execute("SELECT * FROM schema_migration ORDER BY number")}
    known = {migration.number: migration for migration in migrations}
    newest = max(known, default=0)
    for number, row in applied.items():
        if number not in known:
            if row["readable_by"] > newest:
                raise errors.NEWER_DATABASE(migration=number)
        elif row["checksum"] != known[number].checksum:
            raise errors.MIGRATION_CHANGED(migration=number)
    for migration in migrations:
        if migration.number not in applied:
            _apply(migration, connection)


def _apply(migration: Migration, connection: Any) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in split_statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_migration (number, name, checksum, readable_by) VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, migration.readable_by),
        )
        connection.execute("COMMIT")
    except dbapi2.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise errors.MIGRATION_FAILED(migration=migration.number, reason=str(error)) from error
    log.info("migration applied", migration=migration.number)


def split_statements(script: str) -> list[str]:
    """The statements of ``script``. SQLite itself says where one ends, so semicolons in texts and triggers are safe.

    (``executescript`` would commit first, and break the one-transaction rule.)
    """
    statements: list[str] = []
    current = ""
    for piece in re.split(r"(?<=;)", script):
        current += piece
        if dbapi2.complete_statement(current):
            statements.append(current.strip())
            current = ""
    rest = re.sub(r"--[^\n]*", "", current).strip()
    return [*statements, rest] if rest else statements
