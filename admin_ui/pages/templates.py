"""The hospital's note templates: see, edit, check with the line at fault, return to the product's; and its words for dictation."""

from __future__ import annotations

from functools import partial
from typing import Final
from urllib.parse import quote

from admin_ui.frame import frame
from admin_ui.pages.hospital_words import HospitalWords
from admin_ui.pages.template_editor import edit_template, new_name
from admin_ui.parts import Column, Text, box, button, card, chip, confirmed, table
from admin_ui.shapes_notes import TemplateRow, TemplateRows
from admin_ui.view import Place, View
from admin_ui.words import known

PATH: Final = "/api/hospital/note-templates"
PRODUCTS: Final = frozenset({"soap", "evolucao", "anamnese", "alta"})
"""Names that the product brings a file for: there is something to return to."""


def build(view: View) -> None:
    """The templates and the words; whoever runs the node changes them."""
    with frame(view, "/note-templates", view.say("nav.templates"), view.say("templates.lead")):
        with card():
            _Templates(view)
        with card():
            HospitalWords(view)


class _Templates:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, partial(view.client.get, PATH, TemplateRows), self._show)

    def _show(self, found: TemplateRows) -> None:
        say = self._view.say
        with box("div", "row-between"):
            Text("h2", say("nav.templates"))
            if self._view.client.may("node.manage"):
                button(say("templates.new"), self._new, "main")
        if not found.templates:
            Text("p", say("templates.none"), "empty")
            return
        columns = [
            Column(say("templates.name"), partial(self._name, found.default)),
            Column(say("templates.title"), lambda row: row.title),
            Column(say("templates.source"), self._source),
            Column(say("templates.version"), lambda row: str(row.version), "number"),
            Column(say("jobs.actions"), self._actions, "actions"),
        ]
        table(columns, found.templates, say("nav.templates"))

    def _name(self, default: str, row: TemplateRow) -> None:
        Text("span", row.name, "mono")
        if row.name == default:
            Text("div", self._view.say("templates.default"), "advice")

    def _source(self, row: TemplateRow) -> None:
        chip(self._view.say, row.source, prefix="source", tone="ok" if row.source == "hospital" else "plain")

    def _actions(self, row: TemplateRow) -> None:
        say, may = self._view.say, self._view.client.may("node.manage")
        with box("div", "row"):
            button(say("templates.edit" if may else "templates.open"), partial(self._edit, row.name))
            if may and row.source == "hospital":
                word = "templates.restore" if row.name in PRODUCTS else "templates.remove"
                button(say(word), partial(self._restore, row), "danger")

    async def _edit(self, name: str) -> None:
        if await edit_template(self._view, name):
            await self._place.load()

    async def _new(self) -> None:
        name = await new_name(self._view)
        if name and await edit_template(self._view, name, like="soap"):
            await self._place.load()

    async def _restore(self, row: TemplateRow) -> None:
        say = self._view.say
        word = known(say, "templates", "restore" if row.name in PRODUCTS else "remove")
        title = say("templates.restore_title", name=row.name)
        if await confirmed(title, say("templates.restore_text"), yes=word, no=say("act.cancel")):
            call = self._view.client.change("DELETE", f"{PATH}/{quote(row.name, safe='')}", object, seen=row.version)
            await self._view.act(call, say("templates.restored", name=row.name))
            await self._place.load()
