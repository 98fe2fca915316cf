"""Which AI functions the hospital uses. Without them the record goes on as ever (CFM 2.454/2026: a physician may do without AI)."""

from __future__ import annotations

from functools import partial
from typing import Final

from admin_ui.parts import Column, Text, box, button, chip, confirmed, table
from admin_ui.shapes import SwitchRow
from admin_ui.view import Place, View
from admin_ui.words import known

HOSPITAL: Final = "hospital"


def build_switches(view: View) -> None:
    """One row for each function, and its switch for whoever may turn it."""
    Text("h2", view.say("ai.title"))
    Text("p", view.say("ai.lead"), "muted")
    _Switches(view)


class _Switches:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, view.client.ai_switches, self._show)

    def _show(self, rows: list[SwitchRow]) -> None:
        say = self._view.say
        columns = [Column(say("ai.function"), self._name), Column(say("ai.state"), self._state)]
        if self._view.client.may("node.manage"):
            columns.append(Column(say("jobs.actions"), self._actions, "actions"))
        table(columns, rows, say("ai.title"))

    def _name(self, row: SwitchRow) -> str:
        return known(self._view.say, "ai.name", row.function)

    def _state(self, row: SwitchRow) -> None:
        chip(self._view.say, "off" if HOSPITAL in row.off_by else "on", tone="warn" if HOSPITAL in row.off_by else "ok")

    def _actions(self, row: SwitchRow) -> None:
        say = self._view.say
        with box("div", "row"):
            if HOSPITAL in row.off_by:
                button(say("ai.turn_on"), partial(self._turn, row, on=True))
            else:
                button(say("ai.turn_off"), partial(self._ask_off, row), "danger")

    async def _ask_off(self, row: SwitchRow) -> None:
        say = self._view.say
        title = say("ai.off_title", name=self._name(row))
        if await confirmed(title, say("ai.off_text"), yes=say("ai.turn_off"), no=say("act.cancel")):
            await self._turn(row, on=False)

    async def _turn(self, row: SwitchRow, *, on: bool) -> None:
        done = self._view.say("ai.turned_on" if on else "ai.turned_off", name=self._name(row))
        await self._view.act(self._view.client.switch_ai(row.function, on=on), done)
        await self._place.load()
