"""The letters of what is said: targets of the connectionist head that helps the encoder listen (dropped at export)."""

from __future__ import annotations

import re
from typing import Final

ALPHABET: Final = " abcdefghijklmnopqrstuvwxyzàáâãçéêíóôõúüè"
_INDEX: Final = {letter: index + 1 for index, letter in enumerate(ALPHABET)}
"""0 is the blank."""
_TO_NINE: Final = ("zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove")
_TEENS: Final = ("dez", "onze", "doze", "treze", "catorze", "quinze", "dezesseis", "dezessete", "dezoito", "dezenove")
_UNITS: Final = (*_TO_NINE, *_TEENS)
_TENS: Final = ("", "", *["vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"])
_HUNDREDS: Final = (
    "",
    *[
        "cento",
        "duzentos",
        "trezentos",
        "quatrocentos",
        "quinhentos",
        "seiscentos",
        "setecentos",
        "oitocentos",
        "novecentos",
    ],
)


def number_words(number: int) -> str:
    """A whole number below a million, in Portuguese words."""
    if number >= 1000:
        thousands, rest = divmod(number, 1000)
        head = "mil" if thousands == 1 else f"{number_words(thousands)} mil"
        return f"{head} {number_words(rest)}" if rest else head
    if number == 100:
        return "cem"
    if number > 100:
        return _joined(_HUNDREDS[number // 100], number % 100)
    if number < 20:
        return _UNITS[number]
    return _joined(_TENS[number // 10], number % 10)


def letters(spoken: str) -> list[int]:
    """Indices (1…) into ``ALPHABET`` of a spoken sentence; digits become words, all other signs become one space."""
    lower = re.sub(r"(\d),(\d)", r"\1 vírgula \2", spoken.lower())
    words = re.sub(r"\d+", lambda found: number_words(int(found[0])), lower)
    plain = re.sub(r"\s+", " ", re.sub(f"[^{ALPHABET}]", " ", words)).strip()
    return [_INDEX[letter] for letter in plain]


def _joined(head: str, rest: int) -> str:
    return f"{head} e {number_words(rest)}" if rest else head
