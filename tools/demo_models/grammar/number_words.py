"""Numbers as words: "150 por 90" becomes "cento e cinquenta por noventa", "38,5" "trinta e oito vírgula cinco"."""

from __future__ import annotations

import re
from typing import Final

_SMALL: Final = (
    "zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove", "dez", "onze", "doze", "treze",
    "quatorze", "quinze", "dezesseis", "dezessete", "dezoito", "dezenove",
)  # fmt: skip
_TENS: Final = ("vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa")
_HUNDREDS: Final = (
    "cento", "duzentos", "trezentos", "quatrocentos", "quinhentos", "seiscentos", "setecentos", "oitocentos",
    "novecentos",
)  # fmt: skip
_FEMININE: Final = re.compile(r"\b(um|dois)(?= (?:vez(?:es)?|semanas?|horas?|cruz(?:es)?)\b| em (?:dois|duas) horas)")


def cardinal(number: int) -> str:
    """The masculine cardinal of a number from 0 to 999,999."""
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return _TENS[tens - 2] + (f" e {_SMALL[rest]}" if rest else "")
    if number == 100:
        return "cem"
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        return _HUNDREDS[hundreds - 1] + (f" e {cardinal(rest)}" if rest else "")
    thousands, rest = divmod(number, 1000)
    head = "mil" if thousands == 1 else f"{cardinal(thousands)} mil"
    joined = " e " if rest < 100 or rest % 100 == 0 else " "
    return head + (joined + cardinal(rest) if rest else "")


def in_words(text: str) -> str:
    """The text with its numbers as words, feminine before "vezes", "semanas", "horas" and "cruzes"."""
    out = re.sub(r"\d+(?:,\d+)?(?![\d/])", _written, text)
    out = out.replace("%", " por cento")
    return _FEMININE.sub(lambda found: {"um": "uma", "dois": "duas"}[found[0]], out)


def _written(found: re.Match[str]) -> str:
    whole, _, part = found[0].partition(",")
    if not part:
        return cardinal(int(whole))
    zeros = "zero " * (len(part) - len(part.lstrip("0")))
    return f"{cardinal(int(whole))} vírgula {zeros}{cardinal(int(part))}"
