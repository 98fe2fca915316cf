"""Doctor: this Mac examined on demand; failures first with cause and next step, what was not seen told as such, and the file."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec
from nicegui import ui

from admin_ui.figures import moment, number
from admin_ui.findings import CALLING, KINDS, TONES, chosen, counted, kind_of
from admin_ui.frame import frame
from admin_ui.parts import Text, box, button, card, chip, facts
from admin_ui.shapes_doctor import DoctorPicture, DoctorRound, FindingRow, RawPicture
from admin_ui.view import Place, View
from admin_ui.words import known

PATH: Final = "/api/admin/doctor"
PERIOD_S: Final = 2.0


def build(view: View) -> None:
    """The examination, and under it what it found."""
    with frame(view, "/doctor", view.say("nav.doctor"), view.say("doctor.lead")):
        ui.timer(PERIOD_S, _Doctor(view).place.refresh)


class _Doctor:
    def __init__(self, view: View) -> None:
        self._view = view
        self._kinds = set(CALLING)
        self._typed = ""
        self._last: DoctorRound | None = None
        self.place = Place(view, partial(view.client.get, PATH, DoctorPicture), self._show)

    def _show(self, picture: DoctorPicture) -> None:
        self._last = picture.last
        with card(self._view.say("doctor.exam", node=picture.node)):
            self._exam(picture)
        if picture.last is not None:
            with card():
                self._filters(picture.last)
                self._list = box("div", "place")
                self._fill()

    # -- the examination ------------------------------------------------------------------------------------------------
    def _exam(self, picture: DoctorPicture) -> None:
        say, last = self._view.say, picture.last
        if picture.trouble is not None:
            pt, told = self._view.language != "en", picture.trouble
            with box("div", "notice", role="alert"):
                Text("span", f"{told.cause_pt if pt else told.cause_en} {told.step_pt if pt else told.step_en}")
        if picture.running:
            Text("p", say("doctor.running", by=picture.asked_by), "notice quiet").props["role"] = "status"
            ui.linear_progress(show_value=False).props("indeterminate rounded").classes("progress")
        if last is None:
            if not picture.running:
                Text("p", say("doctor.never"), "empty")
        else:
            self._outcome(last)
        with box("div", "row"):
            if self._view.client.may("node.manage"):
                button(say("doctor.run"), self._run, "main").set_enabled(not picture.running)
            if last is not None:
                button(say("doctor.download"), self._download)
        Text("p", say("doctor.other"), "muted small")

    def _outcome(self, last: DoctorRound) -> None:
        say, language = self._view.say, self._view.language
        took = say("doctor.took", time=moment(last.at, language), seconds=number(last.seconds, language), by=last.by)
        counts = counted(last.report.findings)
        told = ", ".join(f"{known(say, 'findings', kind)}: {count}" for kind, count in counts.items() if count)
        facts([(say("doctor.when"), took), (say("doctor.verdict"), told)])

    async def _run(self) -> None:
        await self._view.act(self._view.client.change("POST", f"{PATH}/run", object), self._view.say("doctor.begun"))
        await self.place.load()

    async def _download(self) -> None:
        found = await self._view.act(self._view.client.get(PATH, RawPicture))
        if found is not None and found.last is not None and self._last is not None:
            name = "".join(letter for letter in self._last.at[:19] if letter.isalnum() or letter == "-")
            content = msgspec.json.format(bytes(found.last.report))
            ui.download.content(content, f"prontuario-doctor-{name}.json", "application/json")

    # -- what it found --------------------------------------------------------------------------------------------------
    def _filters(self, last: DoctorRound) -> None:
        say = self._view.say
        counts = counted(last.report.findings)
        with box("div", "tabs", role="group", aria_label=say("doctor.filter")):
            for kind in KINDS:
                self._toggle(kind, f"{say(f'findings.{kind}')} {counts[kind]}")
        search = ui.input(say("doctor.search"), value=self._typed, on_change=lambda change: self._search(change.value))
        search.props("outlined dense clearable debounce=200 type=search")

    def _toggle(self, kind: str, label: str) -> None:
        def press() -> None:
            self._kinds ^= {kind}
            mark()
            self._fill()

        made = button(label, press).classes("toggle figure")

        def mark() -> None:
            made.props["aria-pressed"] = "true" if kind in self._kinds else "false"
            made.update()

        mark()

    def _search(self, typed: str | None) -> None:
        self._typed = typed or ""
        self._fill()

    def _fill(self) -> None:
        say = self._view.say
        rows = self._last.report.findings if self._last is not None else ()
        self._list.clear()
        with self._list:
            counts = counted(rows)
            if not counts["failed"] + counts["warning"]:
                Text("p", say("doctor.all_well"), "notice quiet")
            if counts["unseen"] and "unseen" in self._kinds:
                Text("p", say("doctor.unseen_note", count=counts["unseen"]), "notice quiet")
            found = chosen(rows, self._kinds, self._typed)
            if not found and self._kinds:
                Text("p", say("doctor.none_chosen"), "empty")
            with box("ul", "parts"):
                for row in found:
                    with box("li"):
                        self._line(row)

    def _line(self, row: FindingRow) -> None:
        say, kind, pt = self._view.say, kind_of(row), self._view.language != "en"
        with box("div"):
            chip(say, kind, prefix="finding", tone=TONES[kind])
        with box("div"):
            with box("div", "named"):
                Text("strong", row.title_pt if pt else row.title_en)
                Text("span", f"{row.id}.{row.verdict}", "mono muted")
            Text("p", row.cause_pt if pt else row.cause_en)
            step = row.step_pt if pt else row.step_en
            if step:
                Text("p", step, "advice")
            if row.runbook:
                Text("p", say("doctor.runbook", name=row.runbook), "advice small")
