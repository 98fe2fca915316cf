"""What the review queue says of a row, in words. No browser is needed for that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from admin_ui.figures import moment, number
from admin_ui.shapes_review import Cell, DecidedRow, FieldRow, ReviewRow
from admin_ui.words import Words, known

DECISIONS: Final = ("already", "again", "dropped")
NOTED: Final = frozenset({"clinical", "other"})
"""About these core wants to know who has decided."""
WHOLESALE: Final = frozenset({"technical", "audit", "access"})
"""These may be decided together: nobody reads hundreds of rows of an index one by one."""
NOW_TONES: Final = {"same": "ok", "other": "warn", "absent": "bad", "unknown": "plain"}


def name_of(row: ReviewRow | DecidedRow, say: Words) -> str:
    """What the row is; a table that has no word here is called by its own name."""
    found = known(say, "table", row.table)
    return row.table if found == row.table else found


def story_of(row: ReviewRow, say: Words, language: str) -> str:
    """Where, by whom, when and about whom it was written, as far as the row tells."""
    parts = [say("review.removed" if row.kind == "removed" else "review.written", node=row.node)]
    if row.kind == "removed" and (row.who or row.at):
        parts.append(say("review.before"))
    if row.who:
        parts.append(say("review.by", who=row.who))
    if row.at:
        parts.append(say("review.at", time=moment(row.at, language)))
    told = " ".join(parts)
    return f"{told} · {say('review.patient', id=row.patient)}" if row.patient else told


def value_of(field: FieldRow, cell: Cell | None, say: Words, language: str) -> str:
    """A cell in words: what is hidden is told as such, with its length; nothing is shown as an empty place."""
    if cell is None:
        return say("review.no_row")
    if cell.text:
        return cell.text
    return (
        say("review.hidden", size=number(cell.size, language))
        if field.withheld and cell.size
        else say("review.no_value")
    )


def marks_of(field: FieldRow, say: Words) -> str:
    """What is to be noticed of a column."""
    marks = [say("review.differs")] if field.differs else []
    return ", ".join([*marks, say("review.kept")] if field.kept and field.differs else marks)


def of_subject(rows: Sequence[ReviewRow], subject: str) -> list[ReviewRow]:
    """Core's order stays."""
    return [row for row in rows if row.subject == subject]


def decision_of(row: DecidedRow, say: Words) -> str:
    """The decision, with what was noted; words of the command line as they were typed."""
    told = known(say, "decision", row.decision)
    return f"{told}: {row.note}" if row.note else told
