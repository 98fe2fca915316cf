"""A queued row made fit to be seen: who and when as far as it tells, its columns side by side, contents only for who may read them.

Whoever looks after the machine decides nothing about patients and needs none of their data to find the person who does:
ids, times, authors and states are shown, and of everything else only whether it differs and how long it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

import msgspec

from appliance.api.admin_review_shapes import Cell, FieldRow, ReviewRow
from appliance.cluster.divergence import QueuedRow, Values, from_values, to_values
from appliance.cluster.review_order import Subject, subject_of
from appliance.plugin_api.storage import Query
from appliance.store.soundness import quoted

OPEN: Final = frozenset(
    {
        "amends", "attempt", "attempts", "audio_bytes", "audio_s", "author", "author_name", "decision", "deleted",
        "display_name", "end_s", "function", "generation", "id", "kind", "language", "last_updated", "media_type", "number",
        "owner", "pages", "patient", "purpose", "reason", "role", "row", "rowid", "scope", "seq", "sequence", "size", "start_s",
        "state", "subject", "template", "total_chunks", "truncated", "type", "uploader_name", "username", "version", "way",
    }
)  # fmt: skip
OPEN_ENDS: Final = ("_id", "_at", "_by", "_version")
"""Columns that say who, when, which and how far, in every table; all others hold what somebody said, or a secret."""
_OPEN_ANYWHERE: Final = frozenset({"id", "version"})
"""In a table that we do not know, a plugin's perhaps, any other name may hold a patient's data."""
_READERS: Final = {Subject.CLINICAL: "record.read", Subject.OTHER: "record.read", Subject.AUDIT: "audit.read"}
"""Who may see the rest; nobody that of other tables: hashes, keys and what is made from other rows."""
_AUTHORS: Final = (
    "signed_by", "decided_by", "reviewed_by", "changed_by", "uploaded_by", "asked_by", "kept_by", "author", "withdrawn_by", "owner",
    "created_by", "user_id",
)  # fmt: skip
_LATER: Final = frozenset({"expires_at", "not_after"})
_NATURAL: Final = {"record_version": ("type", "id", "version"), "record_head": ("type", "id")}
"""Tables whose key is a place in line: the other node has given the same place to another row since."""
_NAMES: Final = "SELECT id, username FROM security_user WHERE id IN (SELECT value FROM json_each(?))"


class Reader:
    """Reads the record for one person with ``permissions``; ``tables``: of the record as it is now."""

    def __init__(self, query: Query, tables: Collection[str], permissions: Collection[str]) -> None:
        self._query = query
        self._tables = tables
        self._permissions = permissions

    def rows(self, queued: Iterable[QueuedRow]) -> list[ReviewRow]:
        """In the given order."""
        found = list(queued)
        names = names_of(self._query, (author_of(one) for one in found))
        return [self._row(one, names) for one in found]

    def _row(self, one: QueuedRow, names: dict[str, str]) -> ReviewRow:
        row, subject = one.row, subject_of(one.row.table)
        known, now = self._now(one)
        same = "unknown"
        if known:
            same = (
                "same"
                if _alike(row.old, now, but=row.key if row.table in _NATURAL else ())
                else "absent"
                if now is None
                else "other"
            )
        author = author_of(one)
        return ReviewRow(
            id=one.id, node=one.node, epoch=one.epoch, found_at=one.found_at, table=row.table, subject=subject.name.lower(),
            kind=row.kind, key=key_of(one), who=names.get(author, author), at=_written_at(one), patient=patient_of(one), now=same,
            complete=_complete(one), fields=self._fields(one, subject, now),
        )  # fmt: skip

    def _fields(self, one: QueuedRow, subject: Subject, now: Values | None) -> tuple[FieldRow, ...]:
        old, fence = one.row.old, one.row.fence
        may = _READERS.get(subject, "") in self._permissions
        rows = []
        for name in old or fence or {}:
            was, is_, fresh = (None if side is None else side.get(name) for side in (old, fence, now))
            withheld = not (may or _is_open(subject, name))
            hidden = withheld or any(isinstance(value, dict) for value in (was, is_, fresh))
            rows.append(
                FieldRow(
                    name=name, withheld=hidden, differs=was != is_, kept=now is not None and old is not None and was == fresh,
                    old=_cell(old, name, hidden=hidden), fence=_cell(fence, name, hidden=hidden), now=_cell(now, name, hidden=hidden),
                )
            )  # fmt: skip
        return tuple(rows)

    def _now(self, one: QueuedRow) -> tuple[bool, Values | None]:
        """Whether the row's place in the record can be told, and what stands there; None: nothing."""
        row = one.row
        told = row.old or row.fence
        keys = _NATURAL.get(row.table, tuple(row.key))
        if row.table not in self._tables or told is None or "rowid" in keys or subject_of(row.table) is Subject.AUDIT:
            return False, None
        columns = {
            str(found["name"]) for found in self._query.all("SELECT name FROM pragma_table_info(?)", (row.table,))
        }
        wanted = from_values({name: told.get(name, row.key.get(name)) for name in keys})
        if not columns.issuperset(wanted):
            return False, None
        where = " AND ".join(f"{quoted(name)} IS ?" for name in wanted)
        sql = f"SELECT * FROM {quoted(row.table)} WHERE {where}"  # noqa: S608  names of the schema, quoted
        found_now = self._query.one(sql, tuple(wanted.values()))
        return True, None if found_now is None else to_values(found_now, [name for name in told if name in columns])


def names_of(query: Query, users: Iterable[str]) -> dict[str, str]:
    """User id → username, of those that are known here."""
    ids = msgspec.json.encode(sorted({user for user in users if user})).decode()
    return {str(row[0]): str(row[1]) for row in query.all(_NAMES, (ids,))}


def key_of(one: QueuedRow) -> str:
    """The row's key for a person: ``id=…``; what may say more is left out."""
    row, subject = one.row, subject_of(one.row.table)
    told = row.old or row.fence or {}
    key = {name: told[name] for name in _NATURAL.get(row.table, ()) if name in told} or row.key
    return ", ".join(f"{name}={value}" for name, value in key.items() if _is_open(subject, name))


def author_of(one: QueuedRow) -> str:
    """The user id of who wrote it, as far as the row tells; else empty."""
    told = _told(one)
    return next((str(told[name]) for name in _AUTHORS if told.get(name)), "")


def patient_of(one: QueuedRow) -> str:
    """The id of the patient whom it is about, as far as the row tells; else empty."""
    told = _told(one)
    for name in ("patient_id", "patient"):
        if told.get(name):
            return str(told[name]).removeprefix("Patient/")
    if told.get("type") == "Patient" and told.get("id"):
        return str(told["id"])
    if told.get("scope") == "patient":
        return str(told.get("subject", ""))
    reference = _inside(told.get("body"), "subject", "reference") or _inside(told.get("body"), "patient", "reference")
    return reference.removeprefix("Patient/") if reference.startswith("Patient/") else ""


def _is_open(subject: Subject, name: str) -> bool:
    return name.endswith(OPEN_ENDS) or name in (_OPEN_ANYWHERE if subject is Subject.OTHER else OPEN)


def _written_at(one: QueuedRow) -> str:
    """The latest moment that the row names."""
    told = _told(one)
    times = [
        str(value)
        for name, value in told.items()
        if value and name not in _LATER and (name.endswith("_at") or name in ("last_updated", "at"))
    ]
    return max(times, default="")


def _told(one: QueuedRow) -> Values:
    """The row's columns, and those of an audit event, which is JSON in one column."""
    told = one.row.old or one.row.fence or {}
    if one.row.table == "audit_event":
        event = _decoded(told.get("body"))
        return {**told, **{name: event.get(name) for name in ("at", "user_id", "patient")}}
    return told


def _decoded(text: Any) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(str(text or "{}"))
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _inside(text: Any, *way: str) -> str:
    found: Any = _decoded(text)
    for name in way:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _complete(one: QueuedRow) -> bool:
    return one.row.old is not None or one.row.fence is not None


def _alike(old: Values | None, now: Values | None, *, but: Collection[str]) -> bool:
    if old is None or now is None:
        return old is now
    return all(now.get(name) == value for name, value in old.items() if name not in but)


def _cell(side: Values | None, name: str, *, hidden: bool) -> Cell | None:
    if side is None:
        return None
    value = side.get(name)
    if value is None:
        return Cell()
    if isinstance(value, dict):
        return Cell(size=len(from_values({name: value})[name]))
    return Cell(size=len(str(value))) if hidden else Cell(text=str(value))
