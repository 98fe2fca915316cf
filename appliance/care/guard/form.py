"""The canonical form of a sentence: what is left once wording no longer matters.

"Pressão arterial de cento e cinquenta por noventa" and "PA 150/90 mmHg" have the same form, and so have "de doze em doze
horas" and "12/12h". Transcript and note go through the same rewriting; the guard compares what comes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.numbers import VALUES, digits, fold
from appliance.care.guard.word_lists import listed, words

_MONTHS: Final = listed("janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro")
_COUNTABLE: Final = lexicon.UNITS | words("""
    dias semanas meses anos horas minutos segundos vezes noites comprimidos capsulas ampolas gota gotas jatos grama gramas
    miligrama miligramas micrograma unidade unidades quilo quilos metro grau cruz cruzes cigarros macos
    """)
_PERCENT: Final = re.compile(rf"\bpor\s+cento\b(?!\s+e\s+(?:{'|'.join(VALUES.keys() - words('um uma'))})\b)")
"""But "190 por cento e dez" is a blood pressure."""
_FIRST: Final = re.compile(rf"(?<! e )\b(?:um|primeiro|1°)(?= de (?:{'|'.join(_MONTHS)})\b)")
_NUMBER: Final = r"\d+(?:\.\d+)?"
_HOURLY: Final = (
    rf"\bde ({_NUMBER}) em \1 ?h(?:oras?)?\b",
    rf"\b({_NUMBER}) ?/ ?\1 ?h(?:oras?)?\b",
    rf"\b({_NUMBER}) em \1 horas?\b",
    rf"\ba? ?cada ({_NUMBER}) ?h(?:oras?)?\b",
)
_DAILY: Final = (rf"\b({_NUMBER}) ?(?:vez|vezes|x) ?(?:ao|por|/|no) ?dia\b", rf"\b({_NUMBER}) ?x ?/ ?dia\b")
_WEEKLY: Final = (rf"\b({_NUMBER}) ?(?:vez|vezes|x) ?(?:na|por|/|a) ?semana\b", rf"\b({_NUMBER}) ?x ?/ ?semana\b")
_HOURS_A_DAY: Final = 24
_TOKEN: Final = re.compile(
    r"freq_\d+(?:\.\d+)?(?:h|sem)|date_[\d_]*\d|pair_\d+(?:\.\d+)?_\d+(?:\.\d+)?|vital_[a-z]+|mg/dl|g/dl|meq/l|/mm3|\d+(?:\.\d+)?|°c|%|[^\W\d_][\w]*|[.;:!?,]",
    re.UNICODE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number or mark of the canonical form. ``negated``: it stands in the scope of a negation."""

    text: str
    negated: bool

    @property
    def is_number(self) -> bool:
        return self.text[0].isdigit()

    @property
    def is_mark(self) -> bool:
        return self.text in ".;:!?,"


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The rewritten text; see the module."""
    out = _PERCENT.sub("%", fold(text))  # before "cento" is read as a hundred
    out = digits(_FIRST.sub("1", out), _COUNTABLE)
    out = re.sub(r"\s+", " ", out)
    out = _dates(_apply(lexicon.UNIT_SPELLINGS, _apply(lexicon.ALIASES, out)))
    out = _frequencies(out)
    out = re.sub(rf"\b({_NUMBER}) ?/ ?dia\b", r"\1", out)
    out = _apply(lexicon.PHRASES, _apply(lexicon.ANCHOR_SPELLINGS, out))
    for _name, pattern, replacement in lexicon.ACTIONS:
        out = re.sub(pattern, replacement, out)
    return re.sub(rf"\b({_NUMBER}) ?(?:/|x|por) ?({_NUMBER})\b", r"pair_\1_\2", out)


def _apply(rules: tuple[tuple[str, str], ...], text: str) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


def _dates(text: str) -> str:
    """``12/03/2024``, ``12 de marco de 2024`` and ``12 de marco`` become ``date_12_3_2024`` and ``date_12_3``."""

    def numeric(match: re.Match[str]) -> str:
        return f"date_{int(match[1])}_{int(match[2])}_{int(match[3])}"

    def named(match: re.Match[str]) -> str:
        year = f"_{match[3]}" if match[3] else ""
        return f"date_{match[1]}_{_MONTHS.index(match[2]) + 1}{year}"

    text = re.sub(r"\b(\d{1,2})[/-](\d{1,2})[/-](\d{4})\b", numeric, text)
    return re.sub(rf"\b(\d{{1,2}})°? de ({'|'.join(_MONTHS)})(?: de (\d{{4}}))?\b", named, text)


def _frequencies(text: str) -> str:
    """Every way to say how often becomes ``freq_<hours>h`` or ``freq_<times>sem``."""
    for pattern in _HOURLY:
        text = re.sub(pattern, r" freq_\1h", text)
    for pattern in _DAILY:
        text = re.sub(pattern, _per_day, text)
    for pattern in _WEEKLY:
        text = re.sub(pattern, r"freq_\1sem", text)
    return text


def _per_day(match: re.Match[str]) -> str:
    times = float(match[1])
    return f"freq_{_HOURS_A_DAY / times:g}h" if times else match[0]


def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a text's canonical form, each with its polarity."""
    return tuple(_with_polarity(_TOKEN.findall(canonical(text))))


def _with_polarity(words: list[str]) -> Iterator[Token]:
    """A negation holds until the clause ends or something is affirmed; commas of a list do not end it."""
    clause: list[str] = []
    for word in [*words, "."]:
        if word in ".;:!?":
            yield from _clause(clause)
            yield Token(".", negated=False)
            clause = []
        else:
            clause.append(word)


def _clause(words: list[str]) -> Iterator[Token]:
    negated, before = any(word in lexicon.ABSENT for word in words), ""
    for word in words:
        if word in lexicon.NEGATORS:
            negated = True
        elif before not in lexicon.NEGATORS and (word in lexicon.AFFIRMERS or word.startswith("vital_")):
            negated = False  # but "não tive febre" affirms nothing
        yield Token(word, negated)
        before = word
