"""The operator's commands for the pair: core says what each would do, and what must be typed where data is at stake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from admin_ui.parts import Text, answer_of, box, button, confirmed, dialog_card
from admin_ui.shapes_cluster import ActionRow
from admin_ui.view import View
from admin_ui.words import known

DANGEROUS = frozenset({"promote", "mark-lost"})


def build_actions(view: View, actions: tuple[ActionRow, ...], again: Callable[[], Awaitable[None]]) -> None:
    """One button for each; what can't be done now is shown with its reason, and can't be pressed."""
    with box("ul", "parts commands"):
        for row in actions:
            with box("li"):
                look = "danger" if row.action in DANGEROUS else "main"
                press = button(_name(view, row), partial(_carry_out, view, row, again), look)
                press.set_enabled(not row.refused)
                Text("p", _refused(view, row) or _sentence(view, row), "muted")


async def _carry_out(view: View, row: ActionRow, again: Callable[[], Awaitable[None]]) -> None:
    name, sentence, say = _name(view, row), _sentence(view, row), view.say
    asked = row.phrase or row.target
    sure = (
        await typed(view, name, sentence, asked)
        if asked
        else await confirmed(name, sentence, yes=name, no=say("act.cancel"))
    )
    if sure:
        await view.act(view.client.act_on_pair(row.action, asked), say("cluster.begun", name=name))
        await again()


async def typed(view: View, title: str, detail: str, phrase: str) -> bool:
    """Ask for ``phrase`` to be typed exactly; only then can the command be given."""
    say = view.say
    with dialog_card(title, "alertdialog") as dialog:
        Text("p", detail)
        field = ui.input(label=say("cluster.type_it", phrase=phrase)).props(
            "outlined autocomplete=off spellcheck=false"
        )
        with box("div", "dialog-actions"):
            button(say("act.cancel"), partial(dialog.submit, False), "bare")
            go = button(title, partial(dialog.submit, True), "danger")
            go.disable()
        field.on_value_change(lambda: go.set_enabled((field.value or "").strip() == phrase))
    return bool(await answer_of(dialog))


def _name(view: View, row: ActionRow) -> str:
    return known(view.say, "cluster.do", row.action)


def _refused(view: View, row: ActionRow) -> str:
    """Core's reason as a sentence; it may begin with a node's name, which keeps its small letters."""
    reason = row.refused if view.language == "en" else row.refused_pt or row.refused
    return view.say("cluster.refused", reason=reason.rstrip(".")) if reason else ""


def _sentence(view: View, row: ActionRow) -> str:
    return row.sentence_en if view.language == "en" else row.sentence_pt
