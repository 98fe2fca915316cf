"""The durable jobs: dead letters first, with the choice to run them again or to give them up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from nicegui import context, ui

from admin_ui.figures import moment
from admin_ui.frame import frame
from admin_ui.pages.routine import build_routine
from admin_ui.parts import Column, Text, box, button, card, confirmed, table
from admin_ui.shapes import JobList, JobRow
from admin_ui.view import Place, View

STATES: Final = ("dead", "ready", "running", "done")


def build(view: View) -> None:
    """Tabs by state, one table."""
    say = view.say
    asked = context.client.request.query_params.get("state", "dead") if context.client.request else "dead"
    state = asked if asked in STATES else "dead"
    with frame(view, "/jobs", say("nav.jobs"), say("jobs.lead")):
        _tabs(view, state)
        with card():
            _List(view, state)
        with card(say("routine.title")):
            build_routine(view)


def _tabs(view: View, state: str) -> None:
    with box("nav", "tabs", aria_label=view.say("nav.jobs")):
        counts = {}
        for one in STATES:
            with box("a", href=f"/jobs?state={one}") as tab:
                if one == state:
                    tab.props["aria-current"] = "page"
                Text("span", view.say(f"jobs.state.{one}"))
                counts[one] = Text("span", "", "figure muted")

    def show() -> None:
        known = (view.feed.latest.job_counts if view.feed.latest else None) or {}
        for one, place in counts.items():
            place.text = str(known.get(one, "–"))

    view.every_second(show)


class _List:
    """The table of one state; asks again when the number of its jobs has changed."""

    def __init__(self, view: View, state: str) -> None:
        self._view = view
        self._state = state
        self._counted: int | None = None
        self._place = Place(view, lambda: view.client.jobs(state), self._show)
        view.every_second(self._follow)

    def _follow(self) -> None:
        latest = self._view.feed.latest
        count = (latest.job_counts or {}).get(self._state) if latest else None
        if count is not None and self._counted is not None and count != self._counted:
            self._counted = count
            ui.timer(0, self._place.load, once=True)

    def _show(self, found: JobList) -> None:
        self._counted = found.counts.get(self._state, 0)
        if not found.jobs:
            Text("p", self._view.say("jobs.none"), "empty")
            return
        table(self._columns(), found.jobs, self._view.say(f"jobs.state.{self._state}"))

    def _columns(self) -> list[Column]:
        say, language = self._view.say, self._view.language
        columns = [
            Column(say("jobs.kind"), lambda job: job.kind),
            Column(say("jobs.id"), lambda job: job.id[:12], "mono"),
            Column(say("jobs.attempts"), lambda job: str(job.attempt), "number"),
            Column(say("jobs.created"), lambda job: moment(job.created_at, language)),
            Column(say("jobs.changed"), lambda job: moment(job.changed_at, language)),
        ]
        if self._state == "ready":
            columns.append(Column(say("jobs.next"), self._due))
        if self._state in ("dead", "ready"):
            columns.append(Column(say("jobs.error"), lambda job: job.error or "–", "mono"))
        if self._state == "dead" and self._view.client.may("job.manage"):
            columns.append(Column(say("jobs.actions"), self._actions, "actions"))
        return columns

    def _due(self, job: JobRow) -> str:
        if not job.due_at:
            return self._view.say("jobs.at_once")
        return moment(datetime.fromtimestamp(job.due_at, UTC).isoformat(), self._view.language)

    def _actions(self, job: JobRow) -> None:
        with box("div", "row"):
            button(self._view.say("jobs.requeue"), lambda: self._requeue(job))
            button(self._view.say("jobs.discard"), lambda: self._discard(job), "danger")

    async def _requeue(self, job: JobRow) -> None:
        await self._view.act(self._view.client.requeue(job.id), self._view.say("jobs.requeued"))
        await self._place.load()

    async def _discard(self, job: JobRow) -> None:
        say = self._view.say
        sure = await confirmed(
            say("jobs.discard_title"), say("jobs.discard_text"), yes=say("jobs.discard"), no=say("act.cancel")
        )
        if sure:
            await self._view.act(self._view.client.discard(job.id), say("jobs.discarded"))
            await self._place.load()
