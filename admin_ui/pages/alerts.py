"""Alerts of both Macs: what is on, with the runbook to open and a button to say that one sees to it; and the last week's."""

from __future__ import annotations

from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.figures import moment
from admin_ui.frame import frame
from admin_ui.parts import Column, Text, button, card, chip, table
from admin_ui.shapes_alerts import AlertRow
from admin_ui.view import Place, View

PERIOD_S: Final = 5.0
TONES: Final = {"critical": "bad", "warning": "warn"}


def build(view: View) -> None:
    """Two tables, asked again every few seconds."""
    with frame(view, "/alerts", view.say("nav.alerts"), view.say("alerts.lead")):
        ui.timer(PERIOD_S, _Alerts(view).place.load)


class _Alerts:
    def __init__(self, view: View) -> None:
        self._view = view
        self.place = Place(view, view.client.alerts, self._show)

    def _show(self, rows: list[AlertRow]) -> None:
        say = self._view.say
        on = [row for row in rows if row.ended is None]
        over = [row for row in rows if row.ended is not None]
        for title, chosen in (("alerts.on", on), ("alerts.over", over)):
            with card(say(title)):
                if chosen:
                    table(self._columns(over=chosen is over), chosen, say(title))
                else:
                    Text("p", say("alerts.none"), "empty")

    def _columns(self, *, over: bool) -> list[Column]:
        say, language = self._view.say, self._view.language
        columns = [
            Column(say("alerts.severity"), self._severity),
            Column(say("alerts.what"), self._what),
            Column(say("alerts.where"), lambda row: row.node),
            Column(say("alerts.since"), lambda row: moment(row.began, language)),
        ]
        if over:
            columns.append(Column(say("alerts.until"), lambda row: moment(row.ended, language)))
        columns.append(Column(say("alerts.seen"), self._seen))
        return columns

    def _severity(self, row: AlertRow) -> None:
        chip(
            self._view.say, row.severity, prefix="severity", tone="plain" if row.ended else TONES.get(row.severity, "")
        )

    def _what(self, row: AlertRow) -> None:
        Text("span", row.en if self._view.language == "en" else row.pt)
        if row.labels:
            Text("div", ", ".join(f"{name} {value}" for name, value in sorted(row.labels.items())), "muted")
        if row.ended is None:
            Text("div", self._view.say("alerts.page", page=row.runbook), "advice")

    def _seen(self, row: AlertRow) -> None:
        if row.seen_by is not None:
            Text("span", row.seen_by)
        elif row.ended is None and self._view.client.may("node.manage"):
            button(self._view.say("alerts.see"), partial(self._see, row))
        else:
            Text("span", "–")

    async def _see(self, row: AlertRow) -> None:
        await self._view.act(self._view.client.see_alert(row.id), self._view.say("alerts.noted"))
        await self.place.load()
