"""A table that a person can search: two hundred clinicians do not fit on a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from unicodedata import combining, normalize

from nicegui import ui

from admin_ui.parts import Column, Text, box, table
from admin_ui.view import View

SEARCH_FROM: Final = 8
"""A search box is only in the way below this many rows."""
SHOWN: Final = 50


class SearchableTable:
    """Shows the first ``SHOWN`` rows whose words contain what was typed, whatever its case and accents."""

    def __init__(
        self,
        view: View,
        columns: Sequence[Column],
        rows: Sequence[Any],
        *,
        caption: str,
        words_of: Callable[[Any], str],
    ) -> None:
        self._view = view
        self._columns = columns
        self._rows = [(plain(words_of(row)), row) for row in rows]
        self._caption = caption
        if len(rows) >= SEARCH_FROM:
            search = ui.input(view.say("list.search"), on_change=lambda change: self._show(change.value or ""))
            search.props("outlined dense clearable debounce=200 type=search")
        self._place = box("div", "place")
        self._show("")

    def _show(self, typed: str) -> None:
        wanted = plain(typed)
        found = [row for words, row in self._rows if wanted in words]
        self._place.clear()
        with self._place:
            if not found:
                Text("p", self._view.say("list.nothing" if typed else "plugins.empty"), "empty")
                return
            table(self._columns, found[:SHOWN], self._caption)
            counted = self._view.say("list.shown", shown=min(len(found), SHOWN), all=len(self._rows))
            hint = self._view.say("list.more", shown=SHOWN) if len(found) > SHOWN else ""
            Text("p", f"{counted}. {hint}" if hint else counted, "muted figure")


def plain(text: str) -> str:
    """Lower case, without accents: ``Conceição`` is found by ``conceicao``."""
    return "".join(sign for sign in normalize("NFD", text.casefold()) if not combining(sign))
