"""What the review queue says of a row: no browser is needed for that."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from admin_ui.review import decision_of, marks_of, name_of, of_subject, story_of, value_of
from admin_ui.shapes_review import Cell, DecidedRow, FieldRow, ReviewRow
from admin_ui.words import words

PT, EN = words("pt"), words("en")


def row(**more: Any) -> ReviewRow:
    plain = ReviewRow(
        id="x", node="mac-b", found_at="", table="care_note", subject="clinical", kind="added", key="id=1", who="", at="",
        patient="", now="absent", complete=True, fields=(),
    )  # fmt: skip
    return msgspec.structs.replace(plain, **more)


def field(**more: Any) -> FieldRow:
    plain = FieldRow(name="x", withheld=False, differs=False, kept=False, old=None, fence=None, now=None)
    return msgspec.structs.replace(plain, **more)


def test_a_row_tells_its_story_as_far_as_it_is_known() -> None:
    assert story_of(row(), PT, "pt") == "Escrita em mac-b"
    assert story_of(row(who="ana", at="ontem", patient="p-7"), PT, "pt") == (
        "Escrita em mac-b por ana em ontem · paciente p-7"
    )
    assert story_of(row(kind="removed"), PT, "pt") == "Removida em mac-b"
    assert story_of(row(kind="removed", who="ana"), PT, "pt") == "Removida em mac-b – antes escrita por ana"
    assert story_of(row(who="ana", patient="p-7"), EN, "en") == "Written on mac-b by ana · patient p-7"


def test_a_table_is_named_in_words_or_by_its_own_name() -> None:
    assert (name_of(row(), PT), name_of(row(), EN)) == ("Nota", "Note")
    assert name_of(row(table="some_plugin"), PT) == "some_plugin"


@pytest.mark.parametrize(
    ("cell", "withheld", "said"),
    [
        (None, False, "não havia"),
        (None, True, "não havia"),
        (Cell(), False, "vazio"),
        (Cell(), True, "vazio"),
        (Cell("signed"), False, "signed"),
        (Cell(size=1204), True, "oculto (1.204)"),
    ],
)
def test_what_is_hidden_is_told_as_hidden_and_nothing_as_nothing(cell: Cell | None, withheld: bool, said: str) -> None:
    assert value_of(field(withheld=withheld), cell, PT, "pt") == said


def test_what_changed_is_marked_and_whether_the_record_has_it_by_now() -> None:
    assert marks_of(field(), PT) == marks_of(field(kept=True), PT) == ""
    assert marks_of(field(differs=True), PT) == "mudou"
    assert marks_of(field(differs=True, kept=True), EN) == "changed, the same now"


def test_rows_keep_the_order_of_review() -> None:
    rows = [row(id="1"), row(id="2", subject="audit"), row(id="3")]
    assert [one.id for one in of_subject(rows, "clinical")] == ["1", "3"]


def test_a_decision_of_the_command_line_is_told_as_it_was_typed() -> None:
    def decided(decision: str, note: str = "") -> DecidedRow:
        return DecidedRow(node="b", table="x", key="", decided_at="", decided_by="", decision=decision, note=note)

    assert decision_of(decided("again", "Dra. Ana"), PT) == "registrada de novo: Dra. Ana"
    assert decision_of(decided("entered again"), PT) == "entered again"
