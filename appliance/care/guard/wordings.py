"""More ways to say one thing, as rules of the canonical form: quantities, periods, routes, habits that ended, inflections.

Each rule makes two wordings of one thing alike or two different things different; none knows a sentence. All folded text.
"""

from __future__ import annotations

import re
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.numbers import plain
from appliance.care.guard.word_lists import listed

Rules = tuple[tuple[str, str], ...]
_N: Final = r"\d+(?:\.\d+)?"
_UNIT: Final = "|".join(sorted(re.escape(unit) for unit in lexicon.UNITS if unit.isalpha()))
_TENTHS: Final = {"vigesim": 20, "trigesim": 30, "quadragesim": 40}
_UNITS: Final = {
    stem: value
    for value, stem in enumerate(listed("primeir segund terceir quart quint sext setim oitav non"), 1)
}  # fmt: skip
_ORDINAL: Final = re.compile(rf"\b({'|'.join(_TENTHS)})[oa](?: ({'|'.join(_UNITS)})[oa])?\b")
_MILLION: Final = re.compile(rf"\b({_N}) milh(?:ao|oes)(?: e ({_N}))?(?: de)?\b")
_METRES: Final = re.compile(r"\b(\d) m e (\d{2})\b(?: cm\b)?")
_HEIGHT: Final = re.compile(r"\b(vital_altura(?: de)?) (?:um|1) e (\d{2})\b(?: cm\b)?")
_BABY: Final = re.compile(r"\bbeb[êé](s?)\b", re.IGNORECASE)
_GRANDFATHER: Final = re.compile(r"\bavô(s?)\b", re.IGNORECASE)

PERIODS: Final[Rules] = (
    (r"\b(?:por|ao|a cada|cada|todo) dia\b|\btodos os dias?\b|/ ?dia\b|\bdiari(?:o|a|os|as|amente)\b", " per_dia "),
    (r"\b(?:por|a cada|toda) semana\b|/ ?semana\b|\bsemana(?:l|is|lmente)\b", " per_semana "),
    (r"\b(?:por|ao|todo) mes\b|/ ?mes\b|\bmensa(?:l|is|lmente)\b", " per_mes "),
    (r"\b(?:toda|todas as) (?=(?:segunda|terca|quarta|quinta|sexta)s?\b)|\b(?:todo|todos os) (?=sabados?\b|domingos?\b)",
     " per_semana "),
)  # fmt: skip
"""How often in the sense of "a day, a week, a month": ``per_dia``, ``per_semana``, ``per_mes``."""

ROUTES: Final[Rules] = (
    (r"\b(?:via |por via )?(?:endovenos|intravenos)[oa]s?\b|\be\.?v\b|\bna veia\b", " via_iv "),
    (r"(?<!grau )(?<!estagio )(?<!classe )(?<!tipo )(?<!nyha )(?<!fase )\biv\b", " via_iv "),
    (r"\b(?:via |por via )?intramuscular(?:es)?\b|\bim\b|\bno musculo\b", " via_im "),
    (r"\b(?:via |por via )?subcutane[oa]s?\b|\bsc\b", " via_sc "),
    (r"\b(?:por )?via oral\b|\bvo\b|\bpor boca\b|\bpela boca\b", " via_oral "),
    (r"\b(?:via |por via )?sublingua(?:l|is)\b|\bsl\b", " via_sl "),
    (r"\b(?:via |por via )?inalatori[oa]s?\b|\bnebulizac(?:ao|oes)\b", " via_inalatoria "),
    (r"\bvia retal\b", " via_retal "),
    (r"\buso topic[oa]\b|\bvia topica\b|\btopicamente\b", " via_topica "),
)
"""How a drug is given: ``via_oral``, ``via_iv``, …"""

HABITS: Final[Rules] = (
    (r"\bex[ -](?:tabagista|fumante)s?\b|\b(?:parou|parei|deixou|deixei|largou|larguei)(?: de| o)? (?:fumar|cigarro)\b",
     "ex_tabagismo"),
    (r"\b(?:nunca|nao) (?:fumou|fumei|fumava)\b", "nega tabagismo"),
    (r"\b(?:fumava|fumou|fumei)\b", "ex_tabagismo"),
    (r"\bex[ -](?:etilista|alcoolatra)s?\b|\b(?:parou|parei|deixou|deixei|largou|larguei)(?: de| a)? (?:beber|bebida)\b",
     "ex_etilismo"),
)  # fmt: skip
"""Who has stopped does not smoke: that is another word than the habit itself."""

INFLECTIONS: Final[Rules] = (
    (r"\bsem (?:a )?presenca de\b", "sem"),
    (r"\bapos\b", "depois de"),
    (r"\bbeg\b", "bom estado geral"),
    (r"\b(?:doi|doem|doeu|doia|doendo)\b", "dor"),
    (r"\bemagrec(?:i|eu|endo|imento)\b", "perda de peso"),
    (r"\bengord(?:ei|ou|ando)\b", "ganho de peso"),
    (r"\bperd(?:i|eu|endo)\b", "perda"),
    (r"\bpressao alta\b|\bhipertens[oa]s?\b", "hipertensao"),
    (r"\bdiabetic[oa]s?\b", "diabetes"),
    (r"\bmelhor(?:ou|ei)\b", "teve melhora"),
    (r"\bpior(?:ou|ei)\b", "teve piora"),
    (r"\bmelhorando\b", "melhora"),
    (r"\bpiorando\b", "piora"),
    (r"\boper(?:ou|ei)\b", "teve cirurgia"),
    (r"\boperad[oa]\b|\bcirurgias\b", "cirurgia"),
    (r"\bvomit(?:ei|ou)\b", "teve vomito"),
    (r"\bvomit(?:os|ando|a)\b", "vomito"),
    (r"\bdesmai(?:ei|ou)\b", "teve desmaio"),
    (r"\bdesmai(?:os|ar)\b", "desmaio"),
    (r"\bmorreu\b|\bfaleceu\b|\bfalecid[oa]\b|\bobito\b", "falecido"),
    (r"\bconfirm(?:a|ou|ad[oa]s?)\b", "confirmado"),
    (r"\bnao teve confirmacao\b", "nao confirmado"),
    (r"\btosse com (?=catarro|secrecao|expectoracao)", "tosse produtiva com "),
    (r"\bdeix(?:ou|ei) de\b", "deixou de"),
)  # fmt: skip
"""Words of one family that people and notes use for the same."""


def before_folding(text: str) -> str:
    """Words that only their accent tells apart: a baby ("bebê") does not drink ("bebe"), a grandfather is no grandmother."""
    return _GRANDFATHER.sub(r"avohomem\1", _BABY.sub(r"nenem\1", text))


def quantities(text: str) -> str:
    """Numbers that stand around their unit: "1 maco e meio" is 1.5, "1 m e 75" 1.75, "1 milhao e 200000" 1200000."""
    text = _MILLION.sub(_million, text)
    text = re.sub(rf"\b(\d+) ({_UNIT}) e mei[oa]\b", r"\1.5 \2", text)
    text = re.sub(r"\b(comprimido|capsula|ampola|maco) e mei[oa]\b", r"1.5 \1", text)
    text = _METRES.sub(lambda found: f"{plain(f'{found[1]},{found[2]}')} m", text)
    return _ORDINAL.sub(_ordinal, text)


def height(text: str) -> str:
    """Metres, though nobody says the word: "altura um e setenta"."""
    return _HEIGHT.sub(lambda found: f"{found[1]} {plain(f'1,{found[2]}')} m", text)


def _million(found: re.Match[str]) -> str:
    return f"{float(found[1]) * 1_000_000 + float(found[2] or 0):.0f}"


def _ordinal(found: re.Match[str]) -> str:
    return str(_TENTHS[found[1]] + (_UNITS[found[2]] if found[2] else 0))
