"""The engines: which model runs, how it is, how long its queue is."""

from __future__ import annotations

from functools import partial

from admin_ui.figures import size
from admin_ui.frame import frame
from admin_ui.pages.ai_switches import build_switches
from admin_ui.parts import Section, Text, box, button, card, chip, confirmed, facts
from admin_ui.shapes import EngineRow
from admin_ui.view import View


def build(view: View) -> None:
    """One card for each engine."""
    with frame(view, "/engines", view.say("nav.engines"), view.say("engines.lead")):
        cards = Section(lambda rows: _cards(view, rows), classes="columns")
        with card():
            build_switches(view)

    def show() -> None:
        if view.feed.latest is not None:
            cards.show(view.feed.latest.engines, tuple(view.feed.latest.engines))

    view.every_second(show)


def _cards(view: View, rows: list[EngineRow]) -> None:
    if not rows:
        Text("p", view.say("engines.none"), "empty")
    for row in rows:
        with card():
            with box("div", "row-between"):
                Text("h2", row.name)
                with box("div", "row"):
                    if row.demonstration:
                        Text("span", view.say("demo.chip"), "chip warn")
                    chip(view.say, row.status)
            if row.reason:
                Text("div", row.reason, "notice mono")
            facts(_facts(view, row))
            if view.client.may("node.manage") and row.status not in ("refused", "stopped"):
                with box("div", "row"):
                    button(view.say("engines.restart"), partial(_restart, view, row.name))


async def _restart(view: View, name: str) -> None:
    say = view.say
    title = say("engines.restart_title", name=name)
    if await confirmed(title, say("engines.restart_text"), yes=say("engines.restart"), no=say("act.cancel")):
        await view.act(view.client.restart_engine(name), say("engines.restarted", name=name))


def _facts(view: View, row: EngineRow) -> list[tuple[str, str]]:
    say, language = view.say, view.language
    used, declared = size(row.resident_bytes, language), size(row.footprint_bytes, language)
    return [
        (say("engines.model"), row.model_id),
        ("SHA-256", row.model_sha256[:16] + "…" if row.model_sha256 else ""),
        (say("engines.plugin"), row.plugin),
        (say("engines.queue"), str(row.waiting)),
        (say("engines.running"), str(row.running)),
        (say("engines.restarts"), str(row.restarts)),
        (say("engines.memory"), say("engines.memory_of", used=used, declared=declared)),
    ]
