"""Whether a database is whole, and how much is in it."""

from __future__ import annotations

from typing import Any

from appliance.plugin_api.storage import Query


def table_names(query: Query) -> list[str]:
    """The record's own tables; shadow tables of indexes, SQLite's and Litestream's are left out."""
    tables = query.all("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' ORDER BY name")
    return [str(row["name"]) for row in tables if not str(row["name"]).startswith(("sqlite_", "_litestream_"))]


def quoted(name: str) -> str:
    """A name of the schema as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'


def count_rows(query: Query) -> dict[str, int]:
    """How many rows each table has, by name."""
    counts: dict[str, Any] = {}
    for name in table_names(query):
        row = query.one(f"SELECT count(*) FROM {quoted(name)}")  # noqa: S608  the schema's own names, quoted
        counts[name] = row[0] if row is not None else 0
    return counts


def problems(query: Query) -> int:
    """How many faults ``integrity_check`` and ``foreign_key_check`` find. Minutes for a large database."""
    found = [str(row[0]) for row in query.all("PRAGMA integrity_check")]
    dangling = query.all("PRAGMA foreign_key_check")
    return (found != ["ok"]) * len(found) + len(dangling)
