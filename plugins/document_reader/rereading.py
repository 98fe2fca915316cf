"""A second look at every number: cut out, enlarged, set in lines of their own and recognised again.

A recogniser that is wrong about a digit is often sure of it; two looks at different sizes seldom err alike. A word that the
second look reads differently gets confidence 0, and whoever uses it must not take its digits for granted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from PIL import Image

from plugins.document_reader.recognisers import Seen

_MOST: Final = 400
"""Numbers of one page that are looked at again; more stay as they were seen."""
_ENLARGED: Final = 1.3
_MARGIN: Final = 0.35
"""Around a number, as a share of its height."""
_GAP: Final = 24
"""Pixels of paper between two numbers."""
_COMPARED: Final = str.maketrans({"O": "0", "o": "0", "–": "-", "—": "-", "≤": "<", "≥": ">"})

Recognise = Callable[[bytes], Sequence[Seen]]


def looked_at_twice(page: Image.Image, words: Sequence[Seen], recognise: Recognise) -> list[Seen]:
    """``words``, those with digits confirmed or with confidence 0."""
    places = [place for place, word in enumerate(words) if any(sign.isdigit() for sign in word.text)][:_MOST]
    if not places:
        return list(words)
    cuts = [_cut(page, words[place]) for place in places]
    sheet, bands = _sheet(cuts)
    file = io.BytesIO()
    sheet.save(file, "PPM")
    again = _by_band(recognise(file.getvalue()), bands)
    checked = list(words)
    for place, second in zip(places, again, strict=True):
        if _plain(second) != _plain(words[place].text):
            checked[place] = msgspec.structs.replace(words[place], confidence=0.0)
    return checked


def _cut(page: Image.Image, word: Seen) -> Image.Image:
    margin = word.height * _MARGIN
    box = (
        max(int(word.left - margin), 0),
        max(int(word.top - margin), 0),
        min(int(word.left + word.width + margin) + 1, page.width),
        min(int(word.top + word.height + margin) + 1, page.height),
    )
    cut = page.crop(box)
    size = (max(1, round(cut.width * _ENLARGED)), max(1, round(cut.height * _ENLARGED)))
    return cut.resize(size, Image.Resampling.BICUBIC)


def _sheet(cuts: Sequence[Image.Image]) -> tuple[Image.Image, list[tuple[int, int]]]:
    """One below the other, and from where to where each stands."""
    height = sum(cut.height + _GAP for cut in cuts) + _GAP
    sheet = Image.new("L", (max(cut.width for cut in cuts) + 2 * _GAP, height), 255)
    bands, top = [], _GAP
    for cut in cuts:
        sheet.paste(cut, (_GAP, top))
        bands.append((top, top + cut.height))
        top += cut.height + _GAP
    return sheet, bands


def _by_band(seen: Sequence[Seen], bands: Sequence[tuple[int, int]]) -> list[str]:
    texts = [""] * len(bands)
    for word in sorted(seen, key=lambda one: one.left):
        middle = word.top + word.height / 2
        for place, (top, bottom) in enumerate(bands):
            if top <= middle < bottom:
                texts[place] += word.text
    return texts


def _plain(text: str) -> str:
    """Digits, commas and signs count; points and commas at the ends, and letters, do not."""
    kept = "".join(sign for sign in text.translate(_COMPARED) if sign.isdigit() or sign in ",.<>-/:")
    return kept.strip(".,:-")
