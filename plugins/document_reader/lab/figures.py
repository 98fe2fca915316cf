"""Numbers as Brazilian laboratories print them: decimal commas, points for thousands; what is unsure stays unsure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, Literal

import msgspec

Comparator = Literal["", "<", "<=", ">=", ">"]
_COMPARATORS: Final[dict[str, Comparator]] = {
    "<": "<", ">": ">", "<=": "<=", ">=": ">=", "≤": "<=", "≥": ">=", "inferior": "<", "superior": ">", "menor": "<", "maior": ">",
}  # fmt: skip
_SIGNED: Final = re.compile(r"(?P<sign>[<>≤≥]=?)?(?P<core>.+)", re.DOTALL)
_DIGITS: Final = re.compile(r"\d[\d.,]*")
_NOT_ONE: Final = re.compile(r"\d+[/:]\d")
"""Dates, times, titres and page counts."""
_GROUPED: Final = re.compile(r"[1-9]\d{0,2}(\.\d{3})+(,\d+)?")
_COMMA: Final = re.compile(r"\d+,\d+")
_POINT: Final = re.compile(r"\d+\.\d+")
_WHOLE: Final = re.compile(r"0|[1-9]\d*")
"""A leading zero without a comma behind it has lost its comma."""
_LOOKALIKE: Final = re.compile(r"[\dOoIlSBZ|.,]+")
"""Letters that stand where digits should: O for 0, l and I for 1, S for 5, B for 8, Z for 2."""


class Figure(msgspec.Struct, frozen=True):
    """A printed number. ``value`` with a point for decimals, digits kept ("13.20"); empty: it can't be told.

    ``other``: what it would be if its point meant decimals and not thousands; empty where that is no question.
    """

    printed: str
    value: str
    other: str = ""
    comparator: Comparator = ""
    rest: str = ""
    """What stood directly behind, such as a unit: "12mg/dL"."""


def comparator_of(word: str) -> Comparator:
    """``"<"``, ``"inferior"``…; empty for any other word."""
    return _COMPARATORS.get(word.lower(), "")


def figure_of(word: str) -> Figure | None:
    """The number that ``word`` begins with; None if it begins with none. Letters among digits give a figure without value."""
    signed = _SIGNED.fullmatch(word)
    if signed is None or _NOT_ONE.match(signed["core"]):
        return None
    core, sign = signed["core"], comparator_of(signed["sign"] or "")
    found = _DIGITS.match(core)
    if _mixes(core, begun=found is not None):
        return Figure(word, "", comparator=sign)
    if found is None:
        return None
    digits = found[0].rstrip(".,")
    value, other = _read(digits)
    return Figure((signed["sign"] or "") + digits, value, other, sign, core[len(digits) :].lstrip(".,"))


def _mixes(core: str, *, begun: bool) -> bool:
    """Digits with letters that look like digits. One that begins with a letter needs a comma: B12 is a vitamin."""
    letters = any(sign.isalpha() or sign == "|" for sign in core)
    numeric = any(sign.isdigit() for sign in core) and (begun or "," in core or "." in core)
    return letters and numeric and _LOOKALIKE.fullmatch(core) is not None


def _read(digits: str) -> tuple[str, str]:
    if _GROUPED.fullmatch(digits):
        whole = digits.replace(".", "").replace(",", ".")
        single = digits.count(".") == 1 and "," not in digits
        return whole, digits if single else ""
    if _COMMA.fullmatch(digits) or _WHOLE.fullmatch(digits):
        return digits.replace(",", "."), ""
    if _POINT.fullmatch(digits):
        return digits, ""
    return "", ""


def exact(value: str) -> Decimal:
    """The number itself."""
    return Decimal(value)
