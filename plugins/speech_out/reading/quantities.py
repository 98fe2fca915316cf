"""A number as it stands in a text, with its unit: the value, the words, and the ending that agrees."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from plugins.speech_out.reading.numerals import MOST_DIGITS, cardinal, decimal, digit_by_digit
from plugins.speech_out.reading.units import FEMININE_NOUNS, UNITS, said

_GROUPED: Final = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
_SEPARATORS: Final = re.compile(r"([.,/:-])")
_SPOKEN: Final = {".": " ponto ", ",": " vírgula ", "/": " barra ", ":": ", ", "-": ", "}
_SHORT: Final = 3


def _parts(text: str) -> tuple[str, str]:
    """Whole part and fraction. ``1.500`` is grouped as Brazilians write thousands; ``0.500`` and ``36.5`` have a decimal point."""
    if _GROUPED.fullmatch(text):
        text = text.replace(".", "")
    whole, _, fraction = text.replace(".", ",").partition(",")
    return whole, fraction


def is_one(text: str) -> bool:
    """Whether the value is exactly 1."""
    whole, fraction = _parts(text)
    return not set(fraction) - set("0") and Decimal(whole) == 1


def number(text: str, *, feminine: bool = False) -> str:
    """``"1.500,75"`` → ``"mil e quinhentos vírgula setenta e cinco"``."""
    whole, fraction = _parts(text)
    if len(whole.lstrip("0")) > MOST_DIGITS or "," in fraction:
        return chain(text)
    if fraction:
        return decimal(whole, fraction)
    if whole.startswith("0") and len(whole) >= _SHORT:
        return digit_by_digit(whole)
    return cardinal(int(whole), feminine=feminine)


def chain(text: str) -> str:
    """What is no quantity: ``"1.2.3"``, a registry number, a telephone. Short parts are read as numbers, others by digits."""
    parts = [_SPOKEN[part] if part in _SPOKEN else _part(part) for part in _SEPARATORS.split(text) if part]
    return "".join(parts)


def _part(digits: str) -> str:
    if len(digits) <= _SHORT and not (digits.startswith("0") and len(digits) > 1):
        return cardinal(int(digits))
    return digit_by_digit(digits)


def registry(text: str) -> str:
    """A person's or a telephone's number, digit by digit."""
    return digit_by_digit(re.sub(r"\D", "", text))


def agrees_feminine(unit: str | None, noun: str | None) -> bool:
    """Whether "dois" must be "duas" before this unit, or before this noun where there is no unit."""
    if unit:
        return unit[0] not in "°º" and UNITS[unit.split("/")[0]].feminine
    return bool(noun) and str(noun).lower() in FEMININE_NOUNS


def quantity(text: str, unit: str | None = None, noun: str | None = None) -> str:
    """``("2", "UI")`` → ``"duas unidades internacionais"``."""
    words = number(text, feminine=agrees_feminine(unit, noun))
    return f"{words} {said(unit, one=is_one(text))}" if unit else words
