"""The audit log: who saw what, by patient, person and day, newest first; and the same as a file with its proof."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from typing import Final

import msgspec
from nicegui import ui

from admin_ui.figures import moment, number
from admin_ui.frame import frame
from admin_ui.parts import Column, Text, box, button, card, dialog_card, table
from admin_ui.shapes import AccessRow, AuditExport
from admin_ui.view import Place, View
from admin_ui.words import known

PAGE: Final = 50
REFUSED: Final = 400
FAILED: Final = 500
DAYS: Final = frozenset({"from", "to"})


def build(view: View) -> None:
    """One table that grows downwards."""
    with frame(view, "/audit", view.say("nav.audit"), view.say("audit.lead")), card():
        _Log(view)


class _Question:
    """Whom, what and when the auditor asks about; empty fields ask about all."""

    def __init__(self, view: View, ask: Callable[[], Awaitable[None]], export: Callable[[], Awaitable[None]]) -> None:
        say = view.say
        with box("div", "filters", role="search"):
            self._fields = {
                "patient": ui.input(say("audit.patient")).props("outlined dense placeholder=Patient/…"),
                "user": ui.input(say("audit.person")).props("outlined dense autocomplete=off"),
                "from": ui.input(say("audit.from")).props("outlined dense type=date stack-label"),
                "to": ui.input(say("audit.to")).props("outlined dense type=date stack-label"),
            }
            button(say("audit.search"), ask, "main")
            button(say("audit.export"), export)
        Text("p", say("audit.export_hint"), "muted")
        for field in self._fields.values():
            field.on("keydown.enter", ask)

    def asked(self) -> dict[str, str]:
        """The parameters as core wants them; the last day is included."""
        given = {name: str(field.value or "").strip() for name, field in self._fields.items()}
        if given["to"]:
            given["to"] = (date.fromisoformat(given["to"]) + timedelta(days=1)).isoformat()
        return {name: local_midnight(text) if name in DAYS else text for name, text in given.items() if text}


def local_midnight(day: str) -> str:
    """The instant at which ``day`` (ISO 8601) begins where the dashboard's machine is."""
    return datetime.combine(date.fromisoformat(day), time.min).astimezone().isoformat()


class _Log:
    def __init__(self, view: View) -> None:
        self._view = view
        self._rows: list[AccessRow] = []
        self._question = _Question(view, self._ask, self._export)
        self._exported = Text("p", "", "notice quiet")  # it stays: a key is to be written down
        self._exported.props["role"] = "status"
        self._exported.set_visibility(False)
        self._place = Place(view, self._fetch, self._show)

    async def _fetch(self) -> list[AccessRow]:
        return await self._view.client.audit(limit=PAGE, asked=self._question.asked())

    async def _ask(self) -> None:
        await self._place.load()

    async def _export(self) -> None:
        content = await self._view.act(self._view.client.audit_export(self._question.asked()))
        if content is None:
            return
        made = msgspec.json.decode(content, type=AuditExport)
        say, language = self._view.say, self._view.language
        name = "".join(letter for letter in made.made_at[:19] if letter.isalnum() or letter == "-")
        ui.download.content(content, f"prontuario-audit-{name}.json", "application/json")
        count = number(len(made.events), language)
        told = say("audit.exported", count=count, signer=made.head.key_id)
        self._exported.text = told if made.complete else f"{told} {say('audit.export_more', count=count)}"
        self._exported.set_visibility(True)

    def _show(self, rows: list[AccessRow]) -> None:
        say, self._rows = self._view.say, rows
        with box("div", "row-between"):
            Text("span", say("audit.shown", count=len(rows)), "muted figure")
            with box("div", "row"):
                button(say("audit.check"), self._check)
                button(say("audit.refresh"), self._place.load)
        if not rows:
            Text("p", say("audit.none"), "empty")
            return
        table(self._columns(), rows, say("nav.audit"))
        if rows[-1].seq > 1 and len(rows) % PAGE == 0:
            with box("div", "row"):
                button(say("audit.older"), self._older)

    async def _older(self) -> None:
        older = await self._view.act(self._view.client.audit(self._rows[-1].seq, PAGE, self._question.asked()))
        if older is not None:
            self._place.show([*self._rows, *older])

    async def _check(self) -> None:
        report = await self._view.act(self._view.client.audit_check())
        if report is None:
            return
        if report.ok:
            said = self._view.say("audit.intact", count=number(report.size, self._view.language))
            self._view.notify(said)
            return
        with dialog_card(self._view.say("status.failed"), "alertdialog") as dialog:
            Text("p", self._view.say("audit.broken"), "notice")
            for problem in report.problems:
                Text("p", problem, "mono")
            with box("div", "dialog-actions"):
                button(self._view.say("act.close"), dialog.close)
        dialog.open()

    def _columns(self) -> list[Column]:
        say, language = self._view.say, self._view.language
        return [
            Column("Nº", lambda row: str(row.seq), "number"),
            Column(say("audit.when"), lambda row: moment(row.at, language)),
            Column(say("audit.who"), self._who),
            Column(say("audit.what"), self._what),
            Column(say("audit.about"), self._about, "mono"),
            Column(say("audit.device"), lambda row: row.device or "–"),
            Column(say("audit.outcome"), self._outcome, "short"),
        ]

    def _who(self, row: AccessRow) -> str:
        role = f" ({known(self._view.say, 'role', row.role)})" if row.role else ""
        return (row.user or "–") + role

    def _what(self, row: AccessRow) -> None:
        Text("span", row.action)
        if row.route:
            Text("div", f"{row.method} {row.route}", "mono muted")

    def _about(self, row: AccessRow) -> None:
        Text("span", row.resource or row.patient or "–")
        if row.resource and row.patient and row.patient != row.resource:
            Text("div", row.patient, "muted")

    def _outcome(self, row: AccessRow) -> None:
        word, tone = "status.success", "ok"
        if row.status >= REFUSED:
            word, tone = ("status.failed", "bad") if row.status >= FAILED else ("status.refused", "warn")
        with box("div", "row"):
            Text("span", self._view.say(word), f"chip {tone}")
            Text("span", str(row.status) if row.status else "", "figure muted")
