"""The audit log, newest first, fifty at a time."""

from __future__ import annotations

from typing import Final

from admin_ui.figures import moment, number
from admin_ui.frame import frame
from admin_ui.parts import Column, Text, box, button, card, dialog_card, table
from admin_ui.shapes import AccessRow
from admin_ui.view import Place, View
from admin_ui.words import known

PAGE: Final = 50
REFUSED: Final = 400
FAILED: Final = 500


def build(view: View) -> None:
    """One table that grows downwards."""
    with frame(view, "/audit", view.say("nav.audit"), view.say("audit.lead")), card():
        _Log(view)


class _Log:
    def __init__(self, view: View) -> None:
        self._view = view
        self._rows: list[AccessRow] = []
        self._place = Place(view, lambda: view.client.audit(limit=PAGE), self._show)

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
        if rows[-1].seq > 1:
            with box("div", "row"):
                button(say("audit.older"), self._older)

    async def _older(self) -> None:
        older = await self._view.act(self._view.client.audit(self._rows[-1].seq, PAGE))
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
