"""Numbers in Brazilian Portuguese words. Source: Cunha & Cintra, Nova gramática do português contemporâneo, "Numerais"."""

from __future__ import annotations

from typing import Final


def listed(words: str) -> tuple[str, ...]:
    """The words of a list that is written as one line."""
    return tuple(words.split())


_UNITS: Final = listed(
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove"
)
_TENS: Final = listed("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
_HUNDREDS: Final = [
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
]
_SCALES: Final = (("", ""), ("mil", "mil"), ("milhão", "milhões"), ("bilhão", "bilhões"))
_ORDINALS: Final = listed("primeiro segundo terceiro quarto quinto sexto sétimo oitavo nono")
_ORDINAL_TENS: Final = listed(
    "décimo vigésimo trigésimo quadragésimo quinquagésimo sexagésimo septuagésimo octogésimo nonagésimo"
)
_FEMININE: Final = {"um": "uma", "dois": "duas"}
MOST_DIGITS: Final = 12
"""Longer whole numbers are no quantities: they are said digit by digit."""
MOST_DECIMALS: Final = 6
LAST_ORDINAL: Final = 99
WORDS: Final = frozenset(
    {*_UNITS, *_TENS, *_HUNDREDS, "cem", "uma", "duas", "mil", "milhão", "milhões", "bilhão", "bilhões", "catorze"}
    | {word[:-2] + "as" for word in _HUNDREDS[1:]}
)
"""Every word that may be a part of a number; two of them side by side would be heard as one number."""


def cardinal(value: int, *, feminine: bool = False) -> str:
    """``1234`` → ``"mil duzentos e trinta e quatro"``; ``feminine`` → ``"duas"``, ``"duzentas e uma"``.

    Raises:
        ValueError: below 0, or more than ``MOST_DIGITS`` digits.
    """
    if not 0 <= value < 10**MOST_DIGITS:
        raise ValueError(f"{value} can't be said as a quantity")
    if value == 0:
        return _UNITS[0]
    groups: list[tuple[int, str]] = []
    for singular, plural in _SCALES:
        value, group = divmod(value, 1000)
        if group:
            groups.insert(0, (group, _group(group, singular, plural, feminine=feminine)))
    said = groups[0][1]
    for size, words in groups[1:]:
        # "mil e duzentos", "mil e cinco", but "mil duzentos e trinta": "e" only before a last group that is round or small.
        last = (size, words) == groups[-1] and (size <= 100 or size % 100 == 0)  # noqa: PLR2004  a hundred
        said += (" e " if last else " ") + words
    return said


def _group(group: int, singular: str, plural: str, *, feminine: bool) -> str:
    if not singular:
        return _below_thousand(group, feminine=feminine)
    if singular == "mil":
        return "mil" if group == 1 else f"{_below_thousand(group, feminine=feminine)} mil"
    return f"{_below_thousand(group, feminine=False)} {singular if group == 1 else plural}"


def _below_thousand(value: int, *, feminine: bool) -> str:
    if value == 100:  # noqa: PLR2004  a hundred alone has a word of its own
        return "cem"
    hundreds, rest = divmod(value, 100)
    parts = []
    if hundreds:
        word = _HUNDREDS[hundreds - 1]
        parts.append(word[:-2] + "as" if feminine and hundreds > 1 else word)
    if rest >= len(_UNITS):
        tens, rest = divmod(rest, 10)
        parts.append(_TENS[tens - 2])
    if rest:
        word = _UNITS[rest]
        parts.append(_FEMININE.get(word, word) if feminine else word)
    return " e ".join(parts)


def decimal(whole: str, fraction: str) -> str:
    """``("0", "05")`` → ``"zero vírgula zero cinco"``; zeros that lead the fraction are said one by one, the rest as a number."""
    said = f"{cardinal(int(whole))} vírgula"
    zeros = len(fraction) - len(fraction.lstrip("0"))
    said += " zero" * zeros
    rest = fraction[zeros:]
    if not rest:
        return said
    return f"{said} {cardinal(int(rest)) if len(fraction) <= MOST_DECIMALS else digit_by_digit(rest)}"


def digit_by_digit(digits: str) -> str:
    """``"007"`` → ``"zero, zero, sete"``: commas keep a listener from joining them."""
    return ", ".join(_UNITS[int(digit)] for digit in digits)


def ordinal(value: int, *, feminine: bool) -> str:
    """``1`` → ``"primeiro"``, ``34`` feminine → ``"trigésima quarta"``; from 1 to ``LAST_ORDINAL``."""
    tens, units = divmod(value, 10)
    words = ([_ORDINAL_TENS[tens - 1]] if tens else []) + ([_ORDINALS[units - 1]] if units else [])
    return " ".join(word[:-1] + "a" if feminine else word for word in words)
