"""Drills: what comes when, what the last ones measured and whether it grows, each report as a signed PDF."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.charts import LiveChart
from admin_ui.drill_calls import DrillCalls
from admin_ui.figures import moment, number
from admin_ui.frame import frame
from admin_ui.parts import Column, Text, box, button, card, chip, confirmed, table
from admin_ui.shapes_drills import DrillLine, DrillPicture, DrillReport
from admin_ui.view import Place, View

PERIOD_S: Final = 5.0
SHOWN: Final = 60
TONES: Final = {"passed": "ok", "incomplete": "warn", "failed": "bad", "not_configured": "plain", "given_up": "warn"}
TREND: Final = ("failover", "simulation")


def build(view: View) -> None:
    """Schedule, trend and history."""
    with frame(view, "/drills", view.say("nav.drills"), view.say("drills.lead")):
        drills = _Drills(view)
        ui.timer(PERIOD_S, drills.place.load)


class _Drills:
    def __init__(self, view: View) -> None:
        self._view, self._calls = view, DrillCalls(view.client)
        self.place = Place(view, self._calls.picture, self._show)

    def _show(self, picture: DrillPicture) -> None:
        say = self._view.say
        with card(say("drills.coming")):
            table(self._coming(), picture.drills, say("drills.coming"))
        titles = {row.name: self._title(row) for row in picture.drills}
        self._trend(picture.history, titles)
        with card(say("drills.history")):
            if picture.history:
                table(self._made(titles), picture.history[:SHOWN], say("drills.history"))
            else:
                Text("p", say("drills.none"), "empty")

    def _trend(self, history: Sequence[DrillReport], titles: dict[str, str]) -> None:
        measured = [one for one in reversed(history) if one.rto_s is not None and one.drill in TREND]
        if len(measured) < 2:  # noqa: PLR2004  one point is no trend
            return
        with card(self._view.say("drills.trend")):
            chart = LiveChart(self._view, [titles.get(name, name) for name in TREND])
            chart.show(
                [
                    (
                        datetime.fromisoformat(one.ended_at),
                        tuple(one.rto_s if one.drill == name else None for name in TREND),
                    )
                    for one in measured
                ]
            )

    def _coming(self) -> list[Column]:
        say = self._view.say
        columns = [
            Column(say("drills.drill"), self._what),
            Column(say("drills.when"), self._when),
            Column(say("drills.last"), self._last),
        ]
        if self._view.client.may("job.manage"):
            columns.append(Column(say("drills.actions"), self._actions, "actions"))
        return columns

    def _made(self, titles: dict[str, str]) -> list[Column]:
        say, language = self._view.say, self._view.language
        return [
            Column(say("drills.ended"), lambda one: moment(one.ended_at, language)),
            Column(say("drills.drill"), lambda one: titles.get(one.drill, one.drill)),
            Column(say("drills.node"), lambda one: one.node),
            Column(say("drills.outcome"), self._outcome),
            Column(say("drills.rto"), self._rto, "number"),
            Column(say("drills.rpo"), self._rpo),
            Column(say("drills.by"), lambda one: one.asked_by or say("drills.schedule")),
            Column(say("drills.pdf"), self._file, "actions"),
        ]

    def _title(self, row: DrillLine) -> str:
        return row.title_en if self._view.language == "en" else row.title_pt

    def _what(self, row: DrillLine) -> None:
        Text("strong", self._title(row))
        Text("div", row.about_en if self._view.language == "en" else row.about_pt, "muted")
        if row.put_off:
            Text("div", self._view.say("drills.put_off"), "bad-text")

    def _when(self, row: DrillLine) -> None:
        say, language = self._view.say, self._view.language
        if row.running:
            Text("span", say("drills.running"), "chip warn")
        elif not row.here:
            Text("span", say("drills.elsewhere"), "muted")
        elif row.announced_for:
            Text("span", say("drills.announced", time=moment(row.announced_for, language)), "chip warn")
        else:
            Text("span", moment(row.due_at, language) if row.due_at else say("drills.soon"))
        if row.postponed:
            Text("div", say("drills.postponed", count=row.postponed), "muted")

    def _last(self, row: DrillLine) -> None:
        if row.last is None:
            Text("span", "–")
            return
        self._outcome(row.last)
        Text("div", moment(row.last.ended_at, self._view.language), "muted")

    def _outcome(self, one: DrillReport) -> None:
        chip(self._view.say, one.outcome, prefix="outcome", tone=TONES.get(one.outcome, "plain"))
        why = one.why_en if self._view.language == "en" else one.why_pt
        if why:
            Text("div", why, "bad-text" if one.outcome == "failed" else "muted")

    def _rto(self, one: DrillReport) -> str:
        if one.rto_s is None:
            return "–"
        return self._view.say("drills.seconds", value=number(round(one.rto_s, 2), self._view.language))

    def _rpo(self, one: DrillReport) -> str:
        if one.rpo_writes is None:
            return "–"
        return self._view.say("drills.writes", missing=one.rpo_writes, watched=one.watched_writes)

    def _file(self, one: DrillReport) -> None:
        button("PDF", partial(self._fetch, one))

    def _actions(self, row: DrillLine) -> None:
        with box("div", "row"):
            if row.here and not row.running:
                button(self._view.say("drills.run"), partial(self._run, row))

    async def _run(self, row: DrillLine) -> None:
        say = self._view.say
        about = row.about_en if self._view.language == "en" else row.about_pt
        if await confirmed(say("drills.sure"), about, yes=say("drills.run"), no=say("drills.cancel")):
            await self._view.act(self._calls.run(row.name), say("drills.begun"))
            await self.place.load()

    async def _fetch(self, one: DrillReport) -> None:
        found = await self._view.act(self._calls.report(one.id))
        if found is not None:
            ui.download.content(found.pdf, f"{found.id}.pdf", "application/pdf")
