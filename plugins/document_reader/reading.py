"""A picture of a page into words: made even, turned until it reads well, straightened, recognised."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from appliance.plugin_api.paper import Box, PaperPage, PaperWord
from plugins.document_reader import straightening
from plugins.document_reader.recognisers import RecogniserFailedError, Seen, recognised
from plugins.document_reader.refusals import RefusedError
from plugins.document_reader.rereading import looked_at_twice

_GOOD: Final = 0.75
"""Mean confidence, weighted by letters, above which a page stands upright: text on its head gets some 0.3 to 0.5."""
_ENOUGH: Final = 12
"""Letters and digits that such a mean needs."""
_ROUNDED: Final = 4
"""Decimals of a box: a tenth of a millimetre on A4."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    turned: int
    skew: float
    page: Image.Image
    words: Sequence[Seen]

    @property
    def letters(self) -> int:
        return sum(_letters(word.text) for word in self.words)

    @property
    def mean(self) -> float:
        return sum(_letters(word.text) * word.confidence for word in self.words) / max(self.letters, 1)

    @property
    def rank(self) -> float:
        """Sure letters count; many doubtful ones do not."""
        return sum(_letters(word.text) * word.confidence**2 for word in self.words) * self.mean


def read_picture(number: int, picture: Image.Image, recogniser: Sequence[str], limit_s: float) -> PaperPage:
    """Page ``number`` as it is seen.

    Raises:
        RefusedError: ``document.reader_failed``.
    """
    grey = straightening.evened(picture)
    if straightening.is_blank(grey):
        return PaperPage(number, "ocr", ())
    until = time.monotonic() + limit_s
    turns = (90, 270, 0, 180) if straightening.lies_sideways(grey) else (0, 180, 90, 270)
    best: _Attempt | None = None
    for turn in turns:
        attempt = _attempt(grey, turn, recogniser, until - time.monotonic())
        if best is None or attempt.rank > best.rank:
            best = attempt
        if attempt.mean >= _GOOD and attempt.letters >= _ENOUGH:
            break
    assert best is not None  # noqa: S101  there are four turns
    words = _checked(best, recogniser, until - time.monotonic())
    return PaperPage(number, "ocr", _placed(best.page, words), best.turned, round(best.skew, 2))


def _attempt(grey: Image.Image, turn: int, recogniser: Sequence[str], limit_s: float) -> _Attempt:
    upright = straightening.turned(grey, turn)
    skew = straightening.skew_of(upright)
    straight = straightening.straightened(upright, skew)
    file = io.BytesIO()
    straight.save(file, "PPM")
    return _Attempt(turn, skew, straight, _recognised(recogniser, file.getvalue(), limit_s))


def _checked(attempt: _Attempt, recogniser: Sequence[str], limit_s: float) -> list[Seen]:
    return looked_at_twice(attempt.page, attempt.words, lambda sheet: _recognised(recogniser, sheet, limit_s))


def _recognised(recogniser: Sequence[str], picture: bytes, limit_s: float) -> list[Seen]:
    try:
        return recognised(recogniser, picture, max(limit_s, 0.1))
    except RecogniserFailedError as error:
        raise RefusedError("document.reader_failed", reason=str(error)) from error


def _letters(text: str) -> int:
    return sum(sign.isalnum() for sign in text)


def _placed(page: Image.Image, words: Sequence[Seen]) -> tuple[PaperWord, ...]:
    width, height = page.size
    return tuple(
        PaperWord(
            piece,
            box_within(word.left / width, word.top / height, word.width / width, word.height / height),
            round(word.confidence, 3),
        )
        for word in words
        for piece in word.text.split()
    )


def box_within(left: float, top: float, width: float, height: float) -> Box:
    """Fractions of the page, cut to the page."""
    left, top = min(max(left, 0.0), 1.0), min(max(top, 0.0), 1.0)
    width, height = min(max(width, 0.0), 1.0 - left), min(max(height, 0.0), 1.0 - top)
    return Box(round(left, _ROUNDED), round(top, _ROUNDED), round(width, _ROUNDED), round(height, _ROUNDED))
