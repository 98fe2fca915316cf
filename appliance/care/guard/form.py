"""The canonical form of a sentence: what is left once wording no longer matters.

"Pressão arterial de cento e cinquenta por noventa" and "PA 150/90 mmHg" have the same form, and so have "de doze em doze
horas" and "12/12h". Transcript and note go through the same rewriting; the guard compares what comes out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from appliance.care.guard import lexicon, wordings
from appliance.care.guard.numbers import VALUES, digits, fold
from appliance.care.guard.polarity import Token, told, with_answers
from appliance.care.guard.word_lists import words

_MONTHS: Final = lexicon.MONTHS
_COUNTABLE: Final = lexicon.UNITS | words("""
    dias semanas meses anos horas minutos segundos vezes noites comprimidos capsulas ampolas gota gotas jatos grama gramas
    miligrama miligramas micrograma unidade unidades quilo quilos metro grau cruz cruzes cigarros macos milhao milhoes
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


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """The rewritten text; see the module."""
    out = _PERCENT.sub("%", fold(wordings.before_folding(text)))  # before "cento" is read as a hundred
    out = digits(_FIRST.sub("1", out), _COUNTABLE)
    out = re.sub(r"\s+", " ", out)
    out = _dates(_apply(lexicon.UNIT_SPELLINGS, _apply(lexicon.ALIASES, out)))
    out = _apply(wordings.PERIODS, _frequencies(wordings.quantities(out)))
    out = _apply(wordings.INFLECTIONS, _apply(wordings.HABITS, _apply(wordings.ROUTES, out)))
    out = wordings.height(_apply(lexicon.ANCHOR_SPELLINGS, out))
    out = _apply(lexicon.PHRASES, out)
    for _name, pattern, replacement in lexicon.ACTIONS:
        out = re.sub(pattern, replacement, out)
    return re.sub(
        rf"\b({_NUMBER}) ?(?:/|x|por|para) ?({_NUMBER})\b(?! ?(?:dia|semana|mes|ano|hora)\b)", r"pair_\1_\2", out
    )


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


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a text's canonical form, each with its polarity."""
    return tuple(told(_TOKEN.findall(canonical(text))))


@lru_cache(maxsize=4096)
def heard_tokens(text: str) -> tuple[Token, ...]:
    """The same of what was spoken: a question says only what its answer makes of it."""
    return tuple(with_answers(_TOKEN.findall(canonical(text))))
