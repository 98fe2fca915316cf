"""Writes a resource's index values, and takes them away again."""

from __future__ import annotations

from typing import Any, Final

from appliance.plugin_api.storage import Transaction
from appliance.records.extraction import IndexValues, extract

_TABLES: Final = ("record_token", "record_string", "record_date", "record_reference")


def remove(tx: Transaction, row: int) -> None:
    """Forget what the resource at ``row`` is found by."""
    for table in _TABLES:
        tx.execute(f"DELETE FROM {table} WHERE row = ?", (row,))  # noqa: S608  a fixed name


def add(tx: Transaction, row: int, resource: dict[str, Any], values: IndexValues | None = None) -> None:
    """Make the resource at ``row`` findable."""
    found = values or extract(resource)
    prefix = resource["resourceType"] + "."
    if found.tokens:
        tx.execute_many(
            "INSERT INTO record_token (row, param, system, code, patient) VALUES (?, ?, ?, ?, ?)",
            [(row, prefix + param, system, code, found.patient) for param, system, code in sorted(found.tokens)],
        )
    if found.strings:
        tx.execute_many(
            "INSERT INTO record_string (row, param, folded, exact) VALUES (?, ?, ?, ?)",
            [(row, prefix + param, folded, exact) for param, folded, exact in found.strings],
        )
    if found.dates:
        tx.execute_many(
            "INSERT INTO record_date (row, param, low, high) VALUES (?, ?, ?, ?)",
            [(row, prefix + param, low, high) for param, low, high in sorted(found.dates)],
        )
    if found.references:
        tx.execute_many(
            "INSERT INTO record_reference (row, param, target) VALUES (?, ?, ?)",
            [(row, prefix + param, target) for param, target in sorted(found.references)],
        )
