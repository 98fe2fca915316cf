"""Recurring work: what the nodes check by themselves, when it succeeded last, and what failed and why."""

from __future__ import annotations

from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.figures import moment, number, size
from admin_ui.parts import Column, Text, box, button, chip, table
from admin_ui.shapes import TaskRow
from admin_ui.view import Place, View
from admin_ui.words import WORDS

PERIOD_S: Final = 5.0


def build_routine(view: View) -> None:
    """One row for each task and node; asked again every few seconds."""
    Text("p", view.say("routine.lead"), "muted")
    routine = _Routine(view)
    ui.timer(PERIOD_S, routine.place.load)


class _Routine:
    def __init__(self, view: View) -> None:
        self._view = view
        self._own = ""
        """The answering node: core puts its rows first."""
        self.place = Place(view, view.client.schedule, self._show)

    def _show(self, rows: list[TaskRow]) -> None:
        if not rows:
            Text("p", self._view.say("routine.none"), "empty")
            return
        self._own = rows[0].node
        table(self._columns(two=len({row.node for row in rows}) > 1), rows, self._view.say("routine.title"))

    def _columns(self, *, two: bool) -> list[Column]:
        say = self._view.say
        columns = [Column(say("routine.task"), self._what)]
        if two:
            columns.append(Column(say("routine.node"), lambda row: row.node))
        columns += [
            Column(say("routine.state"), self._state),
            Column(say("routine.last"), lambda row: self._moment(row.ok_at, "routine.never")),
            Column(say("routine.due"), lambda row: self._moment(row.due_at, "routine.soon") if row.here else "–"),
            Column(say("routine.found"), self._found),
        ]
        if self._view.client.may("job.manage"):
            columns.append(Column(say("jobs.actions"), self._actions, "actions"))
        return columns

    def _title(self, row: TaskRow) -> str:
        return row.title_en if self._view.language == "en" else row.title_pt

    def _what(self, row: TaskRow) -> None:
        Text("span", self._title(row))
        if row.trouble is not None and row.here:
            english = self._view.language == "en"
            Text("div", row.trouble.cause_en if english else row.trouble.cause_pt, "bad-text")
            Text("div", row.trouble.step_en if english else row.trouble.step_pt, "advice")

    def _state(self, row: TaskRow) -> None:
        if not row.here:
            chip(self._view.say, "elsewhere", tone="plain")
        elif row.running:
            chip(self._view.say, "running", tone="warn")
        elif row.trouble is not None:
            chip(self._view.say, "failed")
        else:
            chip(self._view.say, "ok" if row.ok_at else "waiting")

    def _found(self, row: TaskRow) -> str:
        told = [self._figure(name, value) for name, value in row.figures.items() if f"figure.{name}" in WORDS]
        return ", ".join(told) or "–"

    def _figure(self, name: str, value: float | str) -> str:
        if not isinstance(value, str):
            value = (size if name.endswith("bytes") else number)(value, self._view.language)
        return self._view.say(f"figure.{name}", value=value)

    def _moment(self, at: str | None, otherwise: str) -> str:
        return moment(at, self._view.language) if at else self._view.say(otherwise)

    def _actions(self, row: TaskRow) -> None:
        with box("div", "row"):
            if row.here and not row.running and row.node == self._own:
                button(self._view.say("routine.run"), partial(self._run, row))

    async def _run(self, row: TaskRow) -> None:
        say = self._view.say
        await self._view.act(self._view.client.run_task(row.name), say("routine.begun", name=self._title(row)))
        await self.place.load()
