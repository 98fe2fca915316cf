"""What an old primary wrote that the record lacks: found by comparison, kept in a queue for people, never merged by itself."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from appliance.cluster.model import Position
from appliance.cluster.peer_messages import MAX_CALL_BYTES
from appliance.cluster.review_order import Subject, ranks, subject_of
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.storage import Query, Row, Store, Transaction
from appliance.store.soundness import quoted, table_names
from appliance.store.sqlite import fold_wal, inspect
from appliance.telemetry.clock import instant

_ROOM_FOR_FIELDS: Final = 4096
_OWN_TABLES: Final = frozenset({"cluster_divergence"})
Values = dict[str, Any]
"""A row as JSON: column → value; bytes as ``{"base64": …}``."""


class DivergentRow(msgspec.Struct, frozen=True):
    """A row that differs: ``old`` as on the old primary, ``fence`` as in the record's history at the fence."""

    table: str
    key: Values
    kind: Literal["added", "changed", "removed"]
    old: Values | None
    fence: Values | None


class QueuedRow(msgspec.Struct, frozen=True):
    """A row of the review queue; ``resolved_*`` and ``resolution`` are empty until a person has decided about it."""

    id: str
    node: str
    epoch: int
    row: DivergentRow
    found_at: str
    resolved_at: str = ""
    resolved_by: str = ""
    resolution: str = ""


def compare_tail(old: Path, fence: Path) -> list[DivergentRow]:
    """Every row of the database ``old`` that differs from ``fence`` (its own history, restored up to where it counts).

    Nobody else may have the files open; ``old``'s WAL is folded into it. Blocks: it reads both databases whole.

    Raises:
        Exception: SQLite's errors for a file that is damaged.
    """
    fold_wal(old)
    attach = fence.absolute().as_uri() + "?mode=ro&immutable=1"

    def compare(query: Query) -> list[DivergentRow]:
        query.all("ATTACH ? AS fence", (attach,))
        known = {str(row["name"]) for row in query.all("SELECT name FROM pragma_table_list WHERE schema = 'fence'")}
        tables = [name for name in table_names(query) if name not in _OWN_TABLES]
        return [row for table in tables for row in _compare_table(query, table, known)]

    return inspect(old, compare)


def _compare_table(query: Query, table: str, known: set[str]) -> Iterator[DivergentRow]:
    columns = _columns(query, "main", table)
    key = [name for name, place in sorted(columns.items(), key=lambda item: item[1]) if place] or ["rowid"]
    if table not in known:
        for row in query.all(f"SELECT {_list(key)}, * FROM main.{quoted(table)}"):  # noqa: S608  the schema's own names
            yield DivergentRow(table, to_values(row, key), "added", to_values(row, columns), None)
        return
    both = [name for name in columns if name in _columns(query, "fence", table)]
    chosen = _list(dict.fromkeys([*key, *both]))
    ours, theirs = (f"SELECT {chosen} FROM {side}.{quoted(table)}" for side in ("main", "fence"))  # noqa: S608  same
    before = {_identity(row, key): row for row in query.all(f"{theirs} EXCEPT {ours}")}
    for row in query.all(f"{ours} EXCEPT {theirs}"):
        was = before.pop(_identity(row, key), None)
        old, fence = to_values(row, both), None if was is None else to_values(was, both)
        yield DivergentRow(table, to_values(row, key), "added" if was is None else "changed", old, fence)
    for row in before.values():
        yield DivergentRow(table, to_values(row, key), "removed", None, to_values(row, both))


def _columns(query: Query, schema: str, table: str) -> dict[str, int]:
    """Column → its place in the primary key (0: none)."""
    rows = query.all("SELECT name, pk FROM pragma_table_info(?, ?)", (table, schema))
    return {str(row["name"]): int(str(row["pk"])) for row in rows}


def _list(names: Iterable[str]) -> str:
    return ", ".join(name if name == "rowid" else quoted(name) for name in names)


def _identity(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in key)


def to_values(row: Row, names: Iterable[str]) -> Values:
    """Columns of a row as JSON."""
    return {name: _plain(row[name]) for name in names}


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def from_values(values: Values) -> dict[str, Any]:
    """Columns as SQLite has them: bytes are bytes again."""
    return {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value for name, value in values.items()
    }


# -- over the peer link ---------------------------------------------------------------------------------------------------
def to_reports(rows: Iterable[DivergentRow]) -> Iterator[bytes]:
    """``rows`` in pieces that fit a ``Call``. A row that fits none travels without its contents, but is named."""
    piece: list[msgspec.Raw] = []
    size = 0
    for row in rows:
        body = msgspec.msgpack.encode(row)
        if len(body) > MAX_CALL_BYTES - _ROOM_FOR_FIELDS:
            body = msgspec.msgpack.encode(DivergentRow(row.table, row.key, row.kind, None, None))
        if piece and size + len(body) > MAX_CALL_BYTES - _ROOM_FOR_FIELDS:
            yield msgspec.msgpack.encode(piece)
            piece, size = [], 0
        piece.append(msgspec.Raw(body))
        size += len(body)
    if piece:
        yield msgspec.msgpack.encode(piece)


def from_report(body: bytes) -> list[DivergentRow]:
    """The rows of a piece.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.msgpack.decode(body, type=list[DivergentRow])


# -- the queue ------------------------------------------------------------------------------------------------------------
class DivergenceQueue:
    """The review queue in the record itself; only the primary writes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, node: str, base: Position, rows: Sequence[DivergentRow], now: datetime) -> int:
        """Keep what ``node`` wrote after ``base``; how many of ``rows`` were new."""

        def change(tx: Transaction) -> int:
            return sum(_insert(tx, node, base, row, instant(now)) for row in rows)

        return await self._store.write(change)

    async def pending(self, limit: int = 200) -> list[QueuedRow]:
        """See ``waiting``."""
        return await self._store.read(lambda read: waiting(read, limit))

    async def counts(self) -> dict[Subject, int]:
        """See ``waiting_by_subject``."""
        return await self._store.read(waiting_by_subject)

    async def count(self) -> int:
        """How many rows wait for a decision."""

        def query(read: Query) -> int:
            row = read.one("SELECT count(*) AS n FROM cluster_divergence WHERE resolved_at IS NULL")
            return 0 if row is None else int(str(row["n"]))

        return await self._store.read(query)

    async def resolve(self, divergence_id: str, *, by: str, resolution: str, now: datetime) -> None:
        """See ``settle``."""
        await self._store.write(lambda tx: settle(tx, divergence_id, by=by, resolution=resolution, now=now))


def waiting(read: Query, limit: int) -> list[QueuedRow]:
    """Rows about which nobody has decided yet: by what they are about (``review_order``), then the oldest first."""
    order = msgspec.json.encode(ranks(_waiting(read))).decode()
    found = read.all(
        "SELECT * FROM cluster_divergence WHERE resolved_at IS NULL"
        " ORDER BY (SELECT value FROM json_each(?) WHERE key = table_name), found_at, rowid LIMIT ?",
        (order, limit),
    )
    return [_queued(row) for row in found]


def waiting_by_subject(read: Query) -> dict[Subject, int]:
    """How many rows wait for a decision, by what they are about; in the order of review, without zeros."""
    found: Counter[Subject] = Counter()
    for table, count in _waiting(read).items():
        found[subject_of(table)] += count
    return dict(sorted(found.items()))


def settled(read: Query, limit: int) -> list[QueuedRow]:
    """Rows that were decided about, the latest decision first."""
    found = read.all(
        "SELECT * FROM cluster_divergence WHERE resolved_at IS NOT NULL ORDER BY resolved_at DESC, rowid DESC LIMIT ?",
        (limit,),
    )
    return [_queued(row) for row in found]


def find(read: Query, divergence_id: str) -> QueuedRow | None:
    """A row of the queue, decided about or not."""
    row = read.one("SELECT * FROM cluster_divergence WHERE id = ?", (divergence_id,))
    return None if row is None else _queued(row)


def settle(tx: Transaction, divergence_id: str, *, by: str, resolution: str, now: datetime) -> QueuedRow:
    """Note what a person decided; the row. What that means for the record was done there, by the ordinary ways.

    Raises:
        ProntuarioError: ``not_found``: there is no such row, or it is decided already.
    """
    found = tx.one("SELECT * FROM cluster_divergence WHERE id = ? AND resolved_at IS NULL", (divergence_id,))
    if found is None:
        raise NOT_FOUND(what=f"cluster_divergence/{divergence_id}")
    tx.execute(
        "UPDATE cluster_divergence SET resolved_at = ?, resolved_by = ?, resolution = ? WHERE id = ?",
        (instant(now), by, resolution, divergence_id),
    )
    return _queued(found)


def _waiting(read: Query) -> dict[str, int]:
    """Table → how many of its rows wait for a decision."""
    found = read.all(
        "SELECT table_name, count(*) AS n FROM cluster_divergence WHERE resolved_at IS NULL GROUP BY table_name"
    )
    return {str(row["table_name"]): int(str(row["n"])) for row in found}


def _insert(tx: Transaction, node: str, base: Position, row: DivergentRow, at: str) -> int:
    key, old, fence = (
        None if part is None else msgspec.json.encode(part, order="sorted").decode()
        for part in (row.key, row.old, row.fence)
    )
    digest = hashlib.sha256(msgspec.json.encode([node, base.epoch, row.table, key, row.kind, old])).hexdigest()
    return tx.execute(
        "INSERT INTO cluster_divergence (id, node, epoch, base_txid, table_name, row_key, kind, old, fence, found_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (digest, node, base.epoch, base.txid, row.table, key, row.kind, old, fence, at),
    )


def _queued(row: Row) -> QueuedRow:
    def loaded(column: str) -> Any:
        return None if row[column] is None else msgspec.json.decode(str(row[column]))

    fields = {
        "id": row["id"],
        "node": row["node"],
        "epoch": row["epoch"],
        "found_at": row["found_at"],
        "resolved_at": row["resolved_at"] or "",
        "resolved_by": row["resolved_by"] or "",
        "resolution": row["resolution"] or "",
        "row": {
            "table": row["table_name"],
            "kind": row["kind"],
            "key": loaded("row_key"),
            "old": loaded("old"),
            "fence": loaded("fence"),
        },
    }
    return msgspec.convert(fields, QueuedRow)
