"""The hospital's own words for the recogniser, one a line, beside those that came with the model."""

from __future__ import annotations

from functools import partial
from typing import Final

from nicegui import ui

from admin_ui.client import SignedOutError
from admin_ui.link import CoreRefusedError, CoreUnreachableError
from admin_ui.parts import Text, box, button, facts
from admin_ui.shapes_notes import WordsRow
from admin_ui.view import Place, View

PATH: Final = "/api/hospital/vocabulary"


class HospitalWords:
    """A list that whoever runs the node may change, and others read."""

    def __init__(self, view: View) -> None:
        self._view = view
        Text("h2", view.say("words.title"))
        Text("p", f"{view.say('words.lead')} {view.say('words.patients')}", "muted")
        self._place = Place(view, partial(view.client.get, PATH, WordsRow), self._show)

    def _show(self, found: WordsRow) -> None:
        say, may = self._view.say, self._view.client.may("node.manage")
        if not found.used:
            with box("div", "notice quiet"):
                Text("p", say("words.unused"))
        lines = ui.textarea(say("words.list"), value="\n".join(found.words))
        lines.props(f"outlined {'' if may else 'readonly'}").props["rows"] = "8"
        lines.props["spellcheck"] = "false"
        told = box("div", "place")
        facts([(say("words.of_model"), ", ".join(found.of_model) or say("words.none"))])
        with box("div", "row-between"):
            Text("span", say("words.version", version=found.version), "muted")
            if may:
                button(say("templates.keep"), partial(self._keep, lines, told, found.version), "main")

    async def _keep(self, lines: ui.textarea, told: ui.element, seen: int) -> None:
        """Core judges every word; what it says stays beside the list."""
        words = [line.strip() for line in (lines.value or "").split("\n") if line.strip()]
        try:
            kept = await self._view.client.change("PUT", PATH, WordsRow, {"words": words}, seen=seen)
        except SignedOutError:
            self._view.feed.signed_out = True
        except (CoreRefusedError, CoreUnreachableError) as error:
            told.clear()
            with told, box("div", "notice", role="alert"):
                Text("p", self._view.sentence(error))
        else:
            self._view.notify(self._view.say("words.kept"))
            self._place.show(kept)
