"""Building blocks of the pages. Text goes in as text, never as markup: what core says can't become code in a browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from nicegui import context, ui
from nicegui.elements.mixins.text_element import TextElement

from admin_ui.words import Words, known

TONES: Final = {
    "ok": "ok",
    "ready": "ok",
    "active": "ok",
    "success": "ok",
    "degraded": "warn",
    "starting": "warn",
    "restarting": "warn",
    "failed": "bad",
    "circuit_open": "bad",
    "refused": "bad",
    "quarantined": "bad",
    "dead": "bad",
    "revoked": "bad",
    "blocked": "bad",
    "read-only": "bad",
}
"""Which colour a state has. Shape and word say the same, so that nobody depends on colour (WCAG 2.2 §1.4.1)."""


class Text(TextElement):
    """An element of any tag with plain text inside; ``text`` may change later."""

    def __init__(self, tag: str, text: str, classes: str = "") -> None:
        super().__init__(tag=tag, text=text)
        self.classes(classes)


def box(tag: str = "div", classes: str = "", **attributes: str) -> ui.element:
    """A container; ``aria_label`` becomes ``aria-label``."""
    element = ui.element(tag).classes(classes)
    for name, value in attributes.items():
        element.props[name.rstrip("_").replace("_", "-")] = value
    return element


def chip(say: Words, status: str, *, prefix: str = "status", tone: str | None = None) -> Text:
    """A state as a coloured word."""
    return Text("span", known(say, prefix, status), f"chip {TONES.get(status, '') if tone is None else tone}")


@contextmanager
def card(title: str = "", classes: str = "") -> Iterator[ui.element]:
    """A surface with an optional heading."""
    with box("section", f"card {classes}") as element:
        if title:
            Text("h2", title)
        yield element


def facts(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, side by side."""
    with box("dl", "facts"):
        for name, value in rows:
            Text("dt", name)
            Text("dd", value or "–")


class Tile:
    """One big figure with its name and a detail below; ``show`` changes it in place."""

    def __init__(self, name: str) -> None:
        with box("section", "card tile"):
            Text("h2", name, "name")
            self._value = Text("div", "–", "value")
            self._detail = Text("div", "", "detail")

    def show(self, value: str, detail: str = "", tone: str = "") -> None:
        """Set the figure and its detail; ``tone`` colours the figure."""
        self._value.text = value
        self._value.classes(add=tone, remove=" ".join({"ok", "warn", "bad"} - {tone}))
        self._detail.text = detail


class Section:
    """A part of a page that is built again only when what it shows has changed, so that it keeps still otherwise."""

    def __init__(self, build: Callable[[Any], None], tag: str = "div", classes: str = "") -> None:
        self._build = build
        self._shown: Hashable = object()
        self._place = box(tag, classes)

    def show(self, data: Any, key: Hashable) -> None:
        """Show ``data``; ``key`` says what of it matters."""
        if key == self._shown:
            return
        self._shown = key
        self._place.clear()
        with self._place:
            self._build(data)


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. ``cell`` gives text, or builds elements in place and gives None."""

    title: str
    cell: Callable[[Any], str | None]
    kind: str = ""
    """``number`` aligns right, ``actions`` holds buttons, ``mono`` is for identifiers."""


def table(columns: Sequence[Column], rows: Sequence[Any], caption: str) -> None:
    """A table with a caption for screen readers; on a phone every row becomes a card."""
    with box(classes="scroll"), box("table", "sheet"):
        Text("caption", caption, "sr-only")
        with box("thead"), box("tr"):
            for column in columns:
                Text("th", column.title, f"{column.kind}-head" if column.kind else "").props["scope"] = "col"
        with box("tbody"):
            for row in rows:
                with box("tr"):
                    for column in columns:
                        _cell(column, row)


def _cell(column: Column, row: Any) -> None:
    with box("td", column.kind) as place:
        place.props["data-label"] = column.title
        words = column.cell(row)
        if words is not None:
            Text("span", words)


def button(label: str, act: Callable[[], Awaitable[None] | None], look: str = "side") -> ui.button:
    """A button; ``look`` is ``main``, ``side``, ``danger`` or ``bare``."""
    made = ui.button(label, on_click=act, color=None)
    made.props("flat no-caps unelevated").classes(f"action {look}")
    return made


@contextmanager
def dialog_card(label: str, role: str = "dialog") -> Iterator[ui.dialog]:
    """A dialog of the page, not of the table that its button stands in: that may be built anew meanwhile."""
    with context.client.content, ui.dialog() as dialog, box("div", "card", role=role, aria_label=label):
        Text("h2", label)
        yield dialog


async def answer_of(dialog: ui.dialog) -> Any:
    """Show the dialog; what it was submitted with, or None if it was closed or its page is gone."""
    answer = await dialog
    if not dialog.is_deleted:
        dialog.delete()
    return answer


async def confirmed(title: str, detail: str, *, yes: str, no: str) -> bool:
    """Ask before what can't be undone."""
    with dialog_card(title, "alertdialog") as dialog:
        Text("p", detail, "muted")
        with box("div", "dialog-actions"):
            button(no, lambda: dialog.submit(False), "bare")
            button(yes, lambda: dialog.submit(True), "danger")
    return bool(await answer_of(dialog))
