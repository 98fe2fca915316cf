"""From clinical shorthand to words, in one pass over the text. Deterministic: the same text is always said the same way.

Choices, where Portuguese leaves one: ``0,5 mg`` is "zero vírgula cinco miligramas" (every digit is heard), not "meio
miligrama"; a unit is singular after exactly 1 only; a decimal is masculine; ``1.500`` is one thousand five hundred, ``0.500``
can only be a half; ``8/10`` without a unit is "oito barra dez", for it may be a date, a score or two strengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from plugins.speech_out.reading.cleaning import cleaned, tidied
from plugins.speech_out.reading.numerals import WORDS
from plugins.speech_out.reading.patterns import PATTERN
from plugins.speech_out.reading.sayings import SAYINGS

_FIRST: Final = re.compile(r"\s*(?:e\s+)?([^\W\d_]+)")
_LAST: Final = re.compile(r"([^\W\d_]+)(\s+e)?\s*$")
_LONGEST: Final = 40
"""Characters of a number word and an "e" with room to spare: only the end of what was said is looked at."""
_SCALES: Final = frozenset({"mil", "milhão", "milhões", "bilhão", "bilhões"})


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of what is said; ``made``: by us, from a match."""

    text: str
    made: bool


def reading_of(text: str) -> str:
    """The words for ``text``; no digit is left in them, and every number keeps its value and its place."""
    text = cleaned(text)
    said = ""
    for piece in _pieces(text):
        said = _joined(said, piece)
    return tidied(said)


def _pieces(text: str) -> Iterator[_Piece]:
    after = 0
    for found in PATTERN.finditer(text):
        if found.start() > after:
            yield _Piece(text[after : found.start()], made=False)
        words = SAYINGS[str(found.lastgroup)](found)
        after = found.end()
        # What stands glued to a word ("≥38") must not become one with it.
        before = " " if found.start() and text[found.start() - 1].isalnum() else ""
        yield _Piece(before + words + (" " if text[after : after + 1].isalnum() else ""), made=True)
    if after < len(text):
        yield _Piece(text[after:], made=False)


def _joined(said: str, piece: _Piece) -> str:
    """``said`` and ``piece``, with a pause where two numbers would be heard as one: "20 e 5" is not "vinte e cinco"."""
    last, first = _LAST.search(said[-_LONGEST:]), _FIRST.match(piece.text)
    if last is None or first is None or last[1].lower() not in WORDS or first[1].lower() not in WORDS:
        return said + piece.text
    if not piece.made and first[1].lower() in _SCALES and last[2] is None and " e " not in first[0]:
        return said + piece.text  # "2 mil unidades" is one number
    at = len(said) - len(said[-_LONGEST:]) + last.end(1)
    return f"{said[:at]},{said[at:]}{piece.text}"
