"""Text as a synthesiser may have it: no control characters, no marks that a synthesiser takes for commands."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_COMMANDS: Final = re.compile(r"\[\[|\]\]|[<>](?=/?[A-Za-z!?])")
"""``[[…]]`` are phonemes to espeak-ng and commands to ``say``; ``<x`` would begin a tag."""
_PAUSES: Final = re.compile(r"[\[\](){}|;•·*_\"“”«»`^\\]+")
_FRACTIONS: Final = {"½": "1/2", "¼": "1/4", "¾": "3/4"}
_SUBSCRIPTS: Final = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_SUPERSCRIPTS: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_POWER: Final = re.compile(r"(?<=\d)(?:\^\s*(\d+)|([⁰¹²³⁴⁵⁶⁷⁸⁹]+))")
_LINE_ENDS: Final = re.compile(r"(?<=[^\s.!?:,])[ \t]*\n+")


def cleaned(text: str) -> str:
    """NFC without control characters; a line that ends without a stop gets one; brackets become pauses."""
    for sign, words in _FRACTIONS.items():
        text = re.sub(rf"(?<=\d){sign}", f" {words}", text).replace(sign, words)
    text = _POWER.sub(_power, text)
    text = unicodedata.normalize("NFC", text).translate(_SUBSCRIPTS).replace("\u03bc", "µ")
    text = "".join(_plain(character) for character in text)
    text = _LINE_ENDS.sub(".\n", text)
    text = _COMMANDS.sub(" ", text)
    text = re.sub(r"\s*(?:" + _PAUSES.pattern + r")\s*(?=[.,:!?\n]|$)", "", text)
    return _PAUSES.sub(", ", text)


def _power(found: re.Match[str]) -> str:
    """``10³`` must never become 103."""
    return f" elevado a {(found[1] or found[2]).translate(_SUPERSCRIPTS)}"


def _plain(character: str) -> str:
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))  # Arabic or full-width digits are digits too
    if kind in {"No", "Nl"} and character not in "²³":
        return f" {unicodedata.normalize('NFKC', character).replace(chr(0x2044), '/')} "
    if kind == "Cf":
        return ""  # an invisible joint inside a number must not split it
    return character if character == "\n" or kind[0] not in "CZ" else " "


def tidied(text: str) -> str:
    """Single spaces, and none before a comma or a stop; no comma twice."""
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r"\s+([,.!?:])", r"\1", text)
    text = re.sub(r",(?:\s*,)+", ",", text)
    text = re.sub(r",\s*([.!?:])", r"\1", text)
    text = re.sub(r"([.:!?\n]\s*),\s*", r"\1 ", text)
    return re.sub(r"[ \t]+", " ", text).strip(" ,\n")
