"""Portuguese number words become digits, so that "cento e cinquenta por noventa" and "150/90" can be compared."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Final

from appliance.care.guard.word_lists import listed

_UNITS: Final = listed(
    "zero um dois tres quatro cinco seis sete oito nove dez onze doze treze quatorze quinze dezesseis dezessete dezoito dezenove"
)
_TENS: Final = listed("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
_HUNDREDS: Final = listed("cem duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos novecentos")
VALUES: Final[dict[str, int]] = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * value for value, word in enumerate(_TENS, 2)}
    | {word: 100 * value for value, word in enumerate(_HUNDREDS, 1)}
    | {word[:-2] + "as": 100 * value for value, word in enumerate(_HUNDREDS[1:], 2)}
    | {"uma": 1, "duas": 2, "catorze": 14, "cento": 100, "dezasseis": 16, "dezassete": 17, "dezanove": 19}
)
_THOUSAND: Final = "mil"
_ARTICLES: Final = frozenset({"um", "uma"})
_HALVES: Final = frozenset({"meio", "meia"})
_POINTS: Final = frozenset({"virgula", "ponto"})
_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|\s+|[^\w\s]|_", re.UNICODE)
_GROUPED: Final = re.compile(r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
"""A thousand never begins with 0: "0.125" is an eighth."""


def fold(text: str) -> str:
    """Lower case without accents: ``"Não há dispneia, 37 °C"`` → ``"nao ha dispneia, 37 °c"``."""
    decomposed = unicodedata.normalize("NFKD", text.replace("º", "°").replace("ª", "").replace("\u00b5", "u"))
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c))).lower()


def plain(number: str) -> str:
    """One spelling per value: ``"12,50"`` → ``"12.5"``, ``"1.500"`` → ``"1500"`` (Brazilian thousands), ``"007"`` → ``"7"``."""
    if _GROUPED.fullmatch(number):
        number = number.replace(".", "")
    parts = number.replace(",", ".").split(".")
    value = Decimal(parts[0] + ("." + "".join(parts[1:]) if len(parts) > 1 else ""))
    return f"{value.normalize():f}"


def digits(text: str, countable: frozenset[str]) -> str:
    """Rewrite number words of a folded text as digits.

    ``um`` and ``uma`` are articles as often as numbers: they count only before a word of ``countable`` (units) or as a
    part of a longer number. ``e meio`` adds a half; ``vírgula`` and ``ponto`` between numbers make a decimal.
    """
    tokens = _TOKEN.findall(text)
    out: list[str] = []
    position = 0
    while position < len(tokens):
        number, after = _read(tokens, position, countable)
        if number is None:
            out.append(tokens[position])
            position += 1
        else:
            out.append(number)
            position = after
    return "".join(out)


def _word(tokens: list[str], position: int) -> str:
    """The token at ``position``, or an empty string beyond the end."""
    return tokens[position] if position < len(tokens) else ""


def _spaced(tokens: list[str], position: int, wanted: frozenset[str]) -> int | None:
    """Where the token after ``<space> wanted <space>`` starts, if that is what follows."""
    fits = _word(tokens, position).isspace() and _word(tokens, position + 1) in wanted
    return position + 3 if fits and _word(tokens, position + 2).isspace() else None


def _read(tokens: list[str], position: int, countable: frozenset[str]) -> tuple[str | None, int]:
    first = tokens[position]
    if first[0].isdigit():
        number, after = plain(first), position + 1
    elif first in _HALVES and _word(tokens, position + 2) in countable:
        return "0.5", position + 1
    elif first in VALUES or first == _THOUSAND:
        value, after = _whole(tokens, position)
        lonely = first in _ARTICLES and after == position + 1
        if lonely and _word(tokens, after + 1) not in countable and _spaced(tokens, after, _POINTS) is None:
            return None, position
        number = str(value)
    else:
        return None, position
    return _fraction(tokens, number, after)


def _whole(tokens: list[str], position: int) -> tuple[int, int]:
    """A number below a million: groups joined by ``e`` in falling size, around ``mil``."""
    total, group, smallest = 0, 0, 1000
    after = position
    while True:
        word = _word(tokens, position)
        if word == _THOUSAND and total == 0:
            total, group, smallest = max(group, 1) * 1000, 0, 1000
        elif word in VALUES and _fits(VALUES[word], smallest):
            group += VALUES[word]
            smallest = _size(VALUES[word])
        else:
            return total + group, after
        after = position + 1
        joined = _spaced(tokens, after, frozenset({"e"}))
        follows = _word(tokens, after + 1)
        if follows == _THOUSAND or (word == _THOUSAND and follows in VALUES):
            position = after + 1
        elif joined is not None:
            position = joined
        else:
            return total + group, after


def _size(value: int) -> int:
    """What may still follow after ``e``: something smaller than this."""
    return 100 if value >= 100 else 10 if value >= 20 else 0  # noqa: PLR2004  the places of a decimal number


def _fits(value: int, smallest: int) -> bool:
    return 0 < value < smallest if smallest < 1000 else True  # noqa: PLR2004  1000: nothing was read yet


def _fraction(tokens: list[str], number: str, after: int) -> tuple[str, int]:
    half = _spaced([*tokens, " "], after, frozenset({"e"}))
    if half is not None and _word(tokens, half) in _HALVES and "." not in number:
        return number + ".5", half + 1
    point = _spaced(tokens, after, _POINTS)
    if point is None or "." in number:
        return number, after
    zeros = ""
    while _word(tokens, point) == "zero" and _word(tokens, point + 2) in VALUES:
        zeros, point = zeros + "0", point + 2
    word = _word(tokens, point)
    if word in VALUES:
        value, end = _whole(tokens, point)
        return _joined(number, f"{zeros}{value}"), end
    if word.isdigit():
        return _joined(number, f"{zeros}{word}"), point + 1
    return number, after


def _joined(whole: str, fraction: str) -> str:
    """``"2"``, ``"125"`` → ``"2.125"``: said with a comma, so its point groups nothing."""
    return f"{Decimal(f'{whole}.{fraction}').normalize():f}"
