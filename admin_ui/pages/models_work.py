"""Work on the shelf of models, at the top of its page: how far it is, and what became of the last one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from admin_ui.figures import moment, size
from admin_ui.pack_calls import PackCalls
from admin_ui.pages.models_import import last_part
from admin_ui.parts import Column, Section, Text, box, button, table
from admin_ui.shapes_packs import Told, WorkRow, WrongFile
from admin_ui.view import View
from admin_ui.words import WORDS, known

SWITCHES = frozenset({"activate", "rollback"})


def build_work(view: View, again: Callable[[], Awaitable[None]]) -> None:
    """Follow core's picture; ``again`` is called whenever a piece of work has begun or ended."""
    _Work(view, again)


class _Work:
    def __init__(self, view: View, again: Callable[[], Awaitable[None]]) -> None:
        self._view = view
        self._again = again
        self._seen: tuple[str, str] | None = None
        self._closed = ""
        self._section = Section(self._build)
        view.every_second(self._show)

    def _show(self) -> None:
        latest = self._view.feed.latest
        if latest is None:
            return
        work = latest.pack_work
        key = ("", "") if work is None else (work.id, work.state)
        if self._seen is not None and key != self._seen:
            ui.timer(0, self._again, once=True)
        self._seen = key
        hidden = work is None or work.id == self._closed
        self._section.show(None if hidden else work, None if hidden or work is None else (*key, _testing(work)))
        if work is not None and not hidden and work.state == "running":
            self._count(work)

    def _build(self, work: WorkRow | None) -> None:
        if work is None:
            return
        if work.state == "running":
            self._running(work)
        else:
            self._ended(work)

    # -- while it goes on --------------------------------------------------------------------------------------------------
    def _running(self, work: WorkRow) -> None:
        say = self._view.say
        with box("section", "card", role="status"):
            with box("div", "row-between"):
                Text("h2", known_what(self._view, f"work.{work.kind}", work))
                if (
                    not _testing(work)
                    and work.kind in {"import", "verify", "activate"}
                    and self._view.client.may("node.manage")
                ):
                    button(say("work.stop"), partial(self._stop, work))
            self._bar = ui.linear_progress(0.0, show_value=False, size="10px").classes("progress")
            self._bar.props["aria-label"] = known_what(self._view, f"work.{work.kind}", work)
            if _testing(work):
                self._bar.props("indeterminate")
            self._figures = Text("p", "", "muted figure")
            Text("p", say("work.by", by=work.by, began=moment(work.began, self._view.language)), "muted")

    def _count(self, work: WorkRow) -> None:
        say, language = self._view.say, self._view.language
        if _testing(work):
            self._figures.text = say("work.testing")
            return
        self._bar.value = work.done_bytes / work.all_bytes if work.all_bytes else 0.0
        done, all_ = size(work.done_bytes, language), size(work.all_bytes, language)
        self._figures.text = say("work.read", done=done, all=all_) if work.all_bytes else "…"

    async def _stop(self, work: WorkRow) -> None:
        await self._view.act(PackCalls(self._view.client).stop(work.id), self._view.say("work.stopping"))

    # -- when it is over ---------------------------------------------------------------------------------------------------
    def _ended(self, work: WorkRow) -> None:
        view, say = self._view, self._view.say
        with box("section", "notice" if work.state == "failed" else "notice quiet", role="status"):
            with box("div", "row-between"):
                with box("div", "grow"):
                    if work.state == "failed":
                        self._failed(work)
                    else:
                        Text("strong", outcome(view, work))
                    Text("div", say("work.by", by=work.by, began=moment(work.began, view.language)), "small")
                button(say("act.close"), partial(self._close, work), "bare")
            if work.wrong:
                columns = [Column(say("work.file"), _file, "mono"), Column(say("work.why"), partial(_why, view))]
                table(columns, work.wrong, say("packs.files"))

    def _failed(self, work: WorkRow) -> None:
        view, say = self._view, self._view.say
        Text("strong", known_what(view, f"work.failed.{work.kind}", work) + ".")
        Text("p", step(view, work.told) if work.wrong else sentence(view, work.told))
        if work.kind in SWITCHES:
            Text("p", say("work.still", serving=work.serving or say("work.demonstration")))

    def _close(self, work: WorkRow) -> None:
        self._closed = work.id
        self._show()


def outcome(view: View, work: WorkRow) -> str:
    """What became of work that was done or stopped."""
    say = view.say
    if work.state == "stopped":
        return say("work.stopped.import") if work.kind == "import" else say("work.stopped")
    before, freed = work.before or say("work.demonstration"), size(work.done_bytes, view.language)
    key = f"work.done.{work.kind}"
    return say(key, pack=work.pack, before=before, freed=freed) if key in WORDS else work.kind


def sentence(view: View, told: Told) -> str:
    """What is wrong and what to do."""
    return f"{told.en} {told.step_en}" if view.language == "en" else f"{told.pt} {told.step_pt}"


def step(view: View, told: Told) -> str:
    """What to do."""
    return told.step_en if view.language == "en" else told.step_pt


def known_what(view: View, key: str, work: WorkRow) -> str:
    """The work's name for people: a pack, an ability, or the last part of a path."""
    what = known(view.say, "ability", work.what) if work.kind == "rollback" else last_part(work.what)
    return view.say(key, what=what) if key in WORDS else f"{work.kind} {what}"


def _testing(work: WorkRow) -> bool:
    """Everything is read: the model loads and answers."""
    return work.state == "running" and work.kind in SWITCHES and 0 < work.all_bytes <= work.done_bytes


def _file(wrong: WrongFile) -> str:
    return wrong.file


def _why(view: View, wrong: WrongFile) -> str:
    return wrong.told.en if view.language == "en" else wrong.told.pt
