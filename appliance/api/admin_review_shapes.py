"""The review queue as the dashboard sees it: which row, of whom and when, and its columns side by side as far as they may be seen."""

from __future__ import annotations

from typing import Literal

import msgspec

Decision = Literal["already", "again", "dropped"]
"""``already``: it is in the record in another form; ``again``: its author records it again; ``dropped``: it need not be kept."""
MAX_NOTE = 200
MAX_IDS = 200


class Cell(msgspec.Struct, frozen=True):
    """A value as text. Withheld, ``text`` is empty and ``size`` tells how long it is: in characters, or bytes of a blob."""

    text: str = ""
    size: int = 0


class FieldRow(msgspec.Struct, frozen=True, kw_only=True):
    """One column: on the old primary, in the record when the other node took over, and in the record now; None: no such row.

    ``differs``: ``old`` is not what ``fence`` was; ``kept``: ``now`` is what ``old`` is, withheld or not.
    """

    name: str
    withheld: bool
    differs: bool
    kept: bool
    old: Cell | None
    fence: Cell | None
    now: Cell | None


class ReviewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that only an old primary had. ``kind``: ``added``, ``changed`` or ``removed`` there.

    ``subject``: what its table is about (``cluster.review_order``). ``who`` (a username) and ``at`` (FHIR instant) as far as
    the row tells, else empty; ``patient``: a resource's id. ``now``: ``same`` as on the old primary, ``other``, ``absent``, or
    ``unknown`` where the table is not there. ``complete``: False when it was too large to travel with its contents.
    """

    id: str
    node: str
    epoch: int
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
    """A row that a person has decided about; ``decision`` is one of ``Decision``, or free words given at the command line."""

    id: str
    node: str
    table: str
    subject: str
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


class ReviewView(msgspec.Struct, frozen=True):
    """The queue: counts of all that waits, the first rows of it in the order of review, and the latest decisions."""

    count: int
    subjects: list[SubjectCount]
    rows: list[ReviewRow]
    decided: list[DecidedRow]


class Decided(msgspec.Struct, forbid_unknown_fields=True):
    """A person's decision about rows, all of them or none; ``note`` in a few words, without a patient's data."""

    ids: list[str]
    decision: Decision
    note: str = ""


class DecidedCount(msgspec.Struct, frozen=True):
    """It is noted for so many rows."""

    count: int
