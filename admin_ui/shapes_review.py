"""The review queue as core tells it, as far as the dashboard shows it."""

from __future__ import annotations

import msgspec


class Cell(msgspec.Struct, frozen=True):
    """A value; withheld, only its length is told."""

    text: str = ""
    size: int = 0


class FieldRow(msgspec.Struct, frozen=True, kw_only=True):
    """One column on the old primary, in the record at the takeover, and in the record now; None: no such row there."""

    name: str
    withheld: bool
    differs: bool
    kept: bool
    old: Cell | None
    fence: Cell | None
    now: Cell | None


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that waits. ``kind``: ``added``, ``changed``, ``removed``; ``now``: ``same``, ``other``, ``absent``, ``unknown``."""

    id: str
    node: str
    found_at: str
    table: str
    subject: str
    kind: str
    key: str
    who: str
    at: str
    patient: str
    now: str
    complete: bool
    fields: tuple[FieldRow, ...]


class DecidedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row about which a person has decided."""

    node: str
    table: str
    key: str
    decided_at: str
    decided_by: str
    decision: str
    note: str


class SubjectCount(msgspec.Struct, frozen=True):
    """How many rows about ``subject`` wait."""

    subject: str
    title_pt: str
    title_en: str
    count: int


class ReviewPicture(msgspec.Struct, frozen=True):
    """The queue, its first rows, and the latest decisions."""

    count: int
    subjects: list[SubjectCount]
    rows: list[ReviewRow]
    decided: list[DecidedRow]


class DecidedCount(msgspec.Struct, frozen=True):
    """So many rows were decided about."""

    count: int
