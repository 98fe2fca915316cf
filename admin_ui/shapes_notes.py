"""Note templates as core tells them, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec


class TemplateRow(msgspec.Struct, frozen=True):
    """A line of the list. ``source``: ``product`` or ``hospital``; ``version`` counts the hospital's own."""

    name: str
    title: str
    version: int
    source: str


class TemplateRows(msgspec.Struct, frozen=True):
    """Every template; ``default`` is the one of dictations whose phone names none."""

    templates: list[TemplateRow]
    default: str


class HeadingRow(msgspec.Struct, frozen=True):
    """A heading of a template."""

    title: str


class TemplateText(msgspec.Struct, frozen=True):
    """A template's file."""

    name: str
    title: str
    version: int
    source: str
    text: str


class TemplateCheck(msgspec.Struct, frozen=True):
    """What core understood of a text."""

    title: str
    headings: list[HeadingRow]


class TemplateVersionRow(msgspec.Struct, frozen=True):
    """One version; 0 is the product's; ``text`` null: the hospital's was taken back."""

    version: int
    text: str | None
    created_at: str | None


class WordsRow(msgspec.Struct, frozen=True):
    """The hospital's words for the recogniser, and the model's; ``used``: whether the model that serves takes any."""

    words: tuple[str, ...]
    version: int
    of_model: tuple[str, ...]
    used: bool


class TemplateHistory(msgspec.Struct, frozen=True):
    """Every version, first to last."""

    versions: list[TemplateVersionRow]
