"""Updates: this Mac's version, the one under way step by step, those before, and bundles on a stick with the commands to type."""

from __future__ import annotations

import shlex
from typing import Final

from nicegui import ui

from admin_ui.figures import moment, size
from admin_ui.frame import frame
from admin_ui.parts import Column, Text, card, chip, facts, table
from admin_ui.shapes_updates import FoundUpdate, UpdateEntry, UpdateRow, UpdatesPicture
from admin_ui.view import Place, View

PERIOD_S: Final = 5.0
PATH: Final = "/api/admin/updates"


def build(view: View) -> None:
    """Four cards, asked again every few seconds."""
    with frame(view, "/updates", view.say("nav.updates"), view.say("updates.lead")):
        ui.timer(PERIOD_S, _Updates(view).place.load)


class _Updates:
    def __init__(self, view: View) -> None:
        self._view = view
        self.place = Place(view, self._load, self._show)

    async def _load(self) -> UpdatesPicture:
        return await self._view.client.get(PATH, UpdatesPicture)

    def _show(self, picture: UpdatesPicture) -> None:
        say = self._view.say
        with card(say("updates.now")):
            self._now(picture.report)
        with card(say("updates.found")):
            self._found(picture.found)
        with card(say("updates.past")):
            self._past(picture.report.past)

    def _in(self, pt: str, en: str) -> str:
        return en if self._view.language == "en" else pt

    def _now(self, row: UpdateRow) -> None:
        say = self._view.say
        rows = [(say("updates.running"), row.running or say("updates.by_hand"))]
        if row.version:
            rows.append((say("updates.update"), say("updates.from_to", before=row.before, version=row.version)))
            rows.append((say("updates.step"), self._in(row.step_pt, row.step_en)))
        if row.waits_pt:
            rows.append((say("updates.waits"), self._in(row.waits_pt, row.waits_en)))
        if row.failure_pt:
            rows.append((say("updates.went_back"), self._in(row.failure_pt, row.failure_en)))
        facts(rows)
        if row.half_done:
            Text("p", say("updates.half_done"), "bad-text")
        if row.entries:
            columns = [
                Column(say("updates.at"), lambda one: moment(one.at, self._view.language)),
                Column(say("updates.step"), lambda one: one.step),
                Column(say("updates.what"), self._what),
            ]
            table(columns, list(reversed(row.entries)), say("updates.history"))

    def _what(self, entry: UpdateEntry) -> None:
        chip(self._view.say, entry.what, prefix="update_what")
        if entry.code:
            Text("div", entry.code, "advice")

    def _found(self, found: list[FoundUpdate]) -> None:
        say = self._view.say
        if not found:
            Text("p", say("updates.none_found"), "empty")
            return
        columns = [
            Column(say("updates.folder"), lambda one: one.folder),
            Column(say("updates.version"), self._version),
            Column(say("updates.state"), self._state),
        ]
        table(columns, found, say("updates.found"))

    def _version(self, one: FoundUpdate) -> str:
        return f"{one.version} ({one.made}, {size(one.bytes, self._view.language)})" if one.version else "–"

    def _state(self, one: FoundUpdate) -> None:
        say = self._view.say
        if one.refused:
            chip(say, "refused")
            Text("div", self._in(one.refused_pt, one.refused_en), "advice")
            return
        Text("span", say("updates.may_come"), "chip ok")
        Text("div", self._in(one.notes_pt, one.notes_en))
        Text("div", say("updates.commands", folder=shlex.quote(one.folder)), "advice")

    def _past(self, past: list[UpdateRow]) -> None:
        say = self._view.say
        if not past:
            Text("p", say("updates.no_past"), "empty")
            return
        columns = [
            Column(say("updates.update"), lambda one: say("updates.from_to", before=one.before, version=one.version)),
            Column(say("updates.step"), lambda one: self._in(one.step_pt, one.step_en)),
            Column(say("updates.went_back"), lambda one: self._in(one.failure_pt, one.failure_en) or "–"),
        ]
        table(columns, list(reversed(past)), say("updates.past"))
