"""Words into the rows of a table: by where they stand, for a recogniser's own lines often end at a column's gap."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from appliance.plugin_api.paper import Box, PaperWord

Row = tuple[PaperWord, ...]
_SAME_ROW: Final = 0.5
"""Middles of words that differ by less than this share of the row's height stand in one row."""


def rows_of(words: Sequence[PaperWord]) -> list[Row]:
    """Rows from top to bottom, words from left to right."""
    rows: list[list[PaperWord]] = []
    for word in sorted(words, key=_middle):
        if rows and _belongs(rows[-1], word):
            rows[-1].append(word)
        else:
            rows.append([word])
    return [tuple(sorted(row, key=lambda word: word.box.left)) for row in rows]


def text_of(words: Sequence[PaperWord]) -> str:
    """The words with one blank between them."""
    return " ".join(word.text for word in words)


def box_of(words: Sequence[PaperWord]) -> Box:
    """The smallest box around all of them."""
    left, top = min(word.box.left for word in words), min(word.box.top for word in words)
    right = max(word.box.left + word.box.width for word in words)
    bottom = max(word.box.top + word.box.height for word in words)
    return Box(left, top, round(right - left, 4), round(bottom - top, 4))


def _middle(word: PaperWord) -> float:
    return word.box.top + word.box.height / 2


def _belongs(row: Sequence[PaperWord], word: PaperWord) -> bool:
    height = max(one.box.height for one in (*row, word))
    return abs(median(_middle(one) for one in row) - _middle(word)) < _SAME_ROW * height
