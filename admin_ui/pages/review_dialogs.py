"""A row of the review queue side by side, and the dialog in which a decision is noted."""

from __future__ import annotations

from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.parts import Column, Text, answer_of, box, button, dialog_card, table
from admin_ui.review import DECISIONS, NOTED, marks_of, name_of, story_of, value_of
from admin_ui.shapes_review import DecidedCount, FieldRow, ReviewRow
from admin_ui.view import View

PATH: Final = "/api/admin/review"
MAX_NOTE: Final = 200


async def show_comparison(view: View, row: ReviewRow) -> None:
    """Every column: on the old Mac, in the record at the takeover, in the record now."""
    say, language = view.say, view.language

    def name(field: FieldRow) -> None:
        Text("span", field.name, "mono")
        if marks := marks_of(field, say):
            Text("div", marks, "advice")

    columns = [
        Column(say("review.field"), name),
        Column(say("review.old", node=row.node), lambda field: value_of(field, field.old, say, language)),
        Column(say("review.fence"), lambda field: value_of(field, field.fence, say, language)),
        Column(say("review.fresh"), lambda field: value_of(field, field.now, say, language)),
    ]
    with dialog_card(name_of(row, say)) as dialog:
        Text("p", story_of(row, say, language), "muted")
        table(columns, sorted(row.fields, key=lambda field: not field.differs), say("review.compare"))
        with box("div", "dialog-actions"):
            button(say("act.close"), partial(dialog.submit, False), "bare")
    dialog.classes("broad")
    await answer_of(dialog)


async def ask_decision(view: View, rows: list[ReviewRow]) -> bool:
    """Ask what was decided about ``rows`` and note it; whether it was noted."""
    say = view.say
    one = len(rows) == 1
    title = say("review.decide_one", what=name_of(rows[0], say)) if one else say("review.decide_many", count=len(rows))
    wanted = any(row.subject in NOTED for row in rows)
    with dialog_card(title, "alertdialog") as dialog:
        Text("p", story_of(rows[0], say, view.language) if one else say("review.decide_text"), "muted")
        choice = ui.radio({word: say(f"decision.{word}.text") for word in DECISIONS})
        note = ui.input(label=say("review.note")).props(f"outlined maxlength={MAX_NOTE} autocomplete=off")
        Text("p", say("review.note_hint"), "muted small")
        if one:
            Text("p", say("review.decide_text"), "muted small")
        with box("div", "dialog-actions"):
            button(say("act.cancel"), partial(dialog.submit, False), "bare")
            go = button(say("review.confirm"), partial(dialog.submit, True), "danger")
            go.disable()

    def ready() -> None:
        go.set_enabled(choice.value in DECISIONS and bool((note.value or "").strip() or not wanted))

    choice.on_value_change(ready)
    note.on_value_change(ready)
    if not await answer_of(dialog):
        return False
    body = {"ids": [row.id for row in rows], "decision": choice.value, "note": note.value or ""}
    noted = await view.act(view.client.change("POST", f"{PATH}/decide", DecidedCount, body))
    if noted is not None:
        view.notify(say("review.done", count=noted.count))
    return noted is not None
