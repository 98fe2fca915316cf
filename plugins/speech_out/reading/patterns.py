"""What a clinical text may hold besides words, as one pattern of named alternatives, tried in this order at every place."""

from __future__ import annotations

import re
from typing import Final

from plugins.speech_out.reading.units import DENOMINATORS, UNITS
from plugins.speech_out.reading.words import EXPANSIONS, ROMAN_CONTEXT, SYMBOLS, TIMES_PER

NUMBER: Final = r"(?:\d{1,3}(?:\.\d{3})+(?!\d)(?:,\d+)?|\d+(?:[.,]\d+)?)(?!\d)(?![.,]\d)"
"""``1.500,75``, ``0,5``, ``36.5``, ``12``; never a part of a longer chain such as ``1.2.3``."""


def _one_of(words: list[str]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in sorted(words, key=lambda word: (-len(word), word))) + ")"


_END: Final = r"(?![\w²³])"
_NAMES: Final = [unit for unit in UNITS if unit[-1].isalnum()]
_DIVISORS: Final = rf"(?:/{_one_of(list(DENOMINATORS))})*"
_UNIT: Final = (
    rf"(?:{_one_of(_NAMES)}{_DIVISORS}(?![\w²³/])"
    # "mg/dia-noite" is milligrams at least; a single letter before a stroke may be "s/" (without).
    rf"|{_one_of([name for name in _NAMES if len(name) > 1])}{_DIVISORS}{_END}|%|[°º]\s?C{_END})"
)
_PER: Final = rf"/\s?(?P<{{name}}>{_one_of(list(DENOMINATORS))}){_END}"
_UNIT_AFTER: Final = rf"(?:\s?(?P<{{name}}>{_UNIT}))?"
_BEGIN: Final = r"(?<![\w])(?<!\d[.,/])"
_GROUPED: Final = r"[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?"
_CROSS: Final = "[xX×]"


def _unit(name: str) -> str:
    return _UNIT_AFTER.replace("{name}", name)


_ALTERNATIVES: Final[dict[str, str]] = {
    "iso_date": r"(?<![\d/.-])(?P<iy>\d{4})-(?P<im>\d{2})-(?P<id>\d{2})(?![\d/-])",
    "date": r"(?<![\d/.,-])(?P<dd>\d{1,2})(?:/(?P<dm>\d{1,2})/(?P<dy>\d{4}|\d{2})"
    r"|(?P<dsep>[.-])(?P<dm2>\d{1,2})(?P=dsep)(?P<dy2>\d{4}))"
    r"(?![\d/-])(?![.,]\d)",
    "registry": r"(?<![\w.,/-])(?:\d{3}\.\d{3}\.\d{3}-\d{2}|\d{4,5}-\d{4})(?![\w/-])",
    "day": r"(?P<dayword>\b(?:[Dd]ia|[Dd]esde)\s+)(?P<yd>\d{1,2})/(?P<ym>\d{1,2})(?![\d/])(?![.,]\d)",
    "interval": rf"{_BEGIN}(?P<de>de\s+)?(?P<every>\d{{1,3}})\s?/\s?(?P=every)\s?(?P<everyunit>horas?|hs?|hrs|dias?|d|min){_END}",
    "times_per": rf"{_BEGIN}(?P<tn>\d{{1,3}})\s?[xX]\s?(?:/\s?|ao\s+|por\s+)(?P<tper>{_one_of(list(TIMES_PER))}){_END}",
    "clock": r"(?<![\d:.,/])(?:(?P<ch>[01]\d|2[0-3]|(?<=às )\d|(?<=das )\d):(?P<cm>[0-5]\d)(?::(?P<cs>[0-5]\d))?(?![:\d])h?"
    r"|(?P<ch2>[01]?\d|2[0-3])\s?[hH](?P<cm2>[0-5]\d)(?:min)?(?!\w))",
    "ratio": rf"{_BEGIN}(?P<ta>\d{{1,6}})\s?:\s?(?P<tb>\d{{1,6}})(?![:\d])(?![.,]\d)",
    "crosses": r"(?<![\d+])(?P<crossn>\d)?(?P<plus>\+{1,4})\s?/\s?(?P<of>\d)\s?\+(?!\w)",
    "half": rf"{_BEGIN}(?:(?P<wn>\d{{1,3}})\s+(?:e\s+)?)?1/(?P<part>[24])(?:\s+(?P<hu>{_UNIT})|(?=\s+(?P<halved>[^\W\d_]+)))",
    "product": rf"{_BEGIN}(?P<pa>{NUMBER})(?:{_CROSS}|\s{_CROSS}\s)(?P<pb>{NUMBER})(?:\s?{_CROSS}\s?(?P<pc>{NUMBER}))?{_unit('pu')}",
    "pressure": rf"(?P<pword>\bPA[MSDI]?\b:?\s*(?:de\s+|=\s*)?)(?P<ra>\d{{1,3}})\s?[/xX×]\s?"
    rf"(?P<rb>\d{{1,3}})(?![\d/])(?![.,]\d){_unit('ru')}",
    "over": rf"{_BEGIN}(?P<oa>\d{{1,3}})\s?/\s?(?P<ob>\d{{1,3}})\s?(?P<ou>mmHg|mmhg){_END}",
    "range": rf"{_BEGIN}(?P<ga>{NUMBER})(?:\s?(?:-|–|—)\s?|\s+(?P<gword>a|ou|até|à)\s+)(?P<gb>{NUMBER})(?![-/]\d)"
    rf"{_unit('gu')}(?:(?=\s+(?P<gnoun>[^\W\d_]+)))?",
    "chain": rf"(?<![\w])(?!{_GROUPED}(?!\d|[.,/:-]\d))\d+(?:[.,/:-]\d+){{2,}}|(?<![\w.,])\d{{13,}}|(?<![\w.,])0\d{{2,}}(?![.,]\d)",
    "fraction": rf"{_BEGIN}(?P<fa>{NUMBER})\s?/\s?(?P<fb>{NUMBER}){_unit('fu')}",
    "times": rf"{_BEGIN}(?P<xn>\d{{1,3}})\s?[xX]{_END}",
    "ordinal": r"(?<!\w)(?P<on>\d{1,2})(?P<osign>[ºª°])(?!\s?C\b)(?![\w%])",
    "quantity": rf"{_BEGIN}(?P<sign>(?<![^\s(:=])[-−])?(?P<n>{NUMBER})(?:{_PER.replace('{name}', 'per')}"
    rf"|{_unit('u')})(?:(?=\s+(?P<noun>[^\W\d_]+)))?",
    "roman": rf"(?P<rword>\b{ROMAN_CONTEXT}(?:\s+funcional)?\s+)(?P<rnum>IV|VI|I{{1,3}}|V)(?!\w)",
    "iv": r"\bIV(?=\s+(?:de\s+\d|\d|agora|lento|lenta|em\s+bolus|se\s+|ACM))|(?<=mg )IV(?!\w)|(?<=mL )IV(?!\w)|(?<=g )IV(?!\w)",
    "abbreviation": rf"(?<![\w/]){_one_of(list(EXPANSIONS))}(?![\w/])|(?<!\w)[csp]/(?=\s|\w)",
    "mixed": r"[^\W\d_]+\d[^\W_]*(?:\.\d+(?!\w))?|\d+[^\W\d_][^\W_]*",
    "digits": r"\d+",
    "symbol": _one_of(list(SYMBOLS)),
}
PATTERN: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _ALTERNATIVES.items()))
