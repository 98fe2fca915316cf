"""The review queue: what an old primary wrote and the record has not, side by side, and what people decided about it."""

from __future__ import annotations

from functools import partial

from admin_ui.figures import moment
from admin_ui.frame import frame
from admin_ui.pages.review_dialogs import PATH, ask_decision, show_comparison
from admin_ui.parts import Column, Text, box, button, card, chip, table
from admin_ui.review import NOW_TONES, WHOLESALE, decision_of, name_of, of_subject, story_of
from admin_ui.shapes_review import DecidedRow, ReviewPicture, ReviewRow, SubjectCount
from admin_ui.view import Place, View
from admin_ui.words import known


def build(view: View) -> None:
    """Asked once: each look at the queue is an access to patients' rows, and is recorded as one."""
    with frame(view, "/review", view.say("nav.review"), view.say("review.lead")):
        _Queue(view)


class _Queue:
    def __init__(self, view: View) -> None:
        self._view = view
        self._place = Place(view, partial(view.client.get, PATH, ReviewPicture), self._show)

    def _show(self, picture: ReviewPicture) -> None:
        say = self._view.say
        if not picture.count:
            with card():
                Text("p", say("review.none"), "notice quiet")
        else:
            with box("div", "notice quiet"):
                Text("p", say("review.how"))
                Text("p", say("review.hidden_note"), "muted small")
        for subject in picture.subjects:
            with card():
                self._subject(subject, of_subject(picture.rows, subject.subject))
        if picture.decided:
            with card(say("review.past")):
                table(self._past(), picture.decided, say("review.past"))

    def _subject(self, subject: SubjectCount, rows: list[ReviewRow]) -> None:
        say = self._view.say
        title = known(say, "review.subject", subject.subject)
        if title == subject.subject:  # of a newer core
            title = subject.title_en if self._view.language == "en" else subject.title_pt
        with box("div", "row-between"):
            Text("h2", f"{title} ({subject.count})")
            if self._may_decide() and subject.subject in WHOLESALE and len(rows) > 1:
                button(say("review.decide_all", count=len(rows)), partial(self._decide, rows))
        if len(rows) < subject.count:
            Text("p", say("review.shown", shown=len(rows), all=subject.count), "muted")
        with box("ul", "parts"):
            for row in rows:
                with box("li"):
                    self._row(row)

    def _row(self, row: ReviewRow) -> None:
        say = self._view.say
        with box("div"):
            chip(say, row.kind, prefix="review.kind", tone="plain")
        with box("div", "entry"):
            with box("div", "named"):
                Text("strong", name_of(row, say))
                Text("span", row.key, "mono muted")
            Text("p", story_of(row, say, self._view.language), "figure")
            chip(say, row.now, prefix="review.now", tone=NOW_TONES.get(row.now, "plain"))
            if not row.complete:
                Text("p", say("review.large", node=row.node), "advice")
            with box("div", "row"):
                if row.fields:
                    button(say("review.compare"), partial(show_comparison, self._view, row))
                if self._may_decide():
                    button(say("review.decide"), partial(self._decide, [row]))

    def _may_decide(self) -> bool:
        return self._view.client.may("node.manage")

    async def _decide(self, rows: list[ReviewRow]) -> None:
        if await ask_decision(self._view, rows):
            await self._place.load()

    def _past(self) -> list[Column]:
        say, language = self._view.say, self._view.language
        return [
            Column(say("review.when"), lambda one: moment(one.decided_at, language)),
            Column(say("review.what"), self._what),
            Column(say("review.decision"), lambda one: decision_of(one, say)),
            Column(say("review.who"), lambda one: one.decided_by),
        ]

    def _what(self, row: DecidedRow) -> None:
        Text("span", name_of(row, self._view.say))
        Text("div", row.key, "mono muted")
