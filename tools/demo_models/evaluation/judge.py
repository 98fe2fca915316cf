"""What is wrong with a sentence or a fact, judged by what was really said.

Independent of the product's guard, and stricter: it knows the gold file. A sentence may use the words of the lines that it
cites and of their gold sentences, and no others; a fact must be one of theirs or at least take nothing from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from appliance.care.guard.evidence import is_drug
from appliance.care.guard.numbers import VALUES, digits, fold
from appliance.daemon.demo.compare import FactLike, fact_key
from appliance.daemon.demo.gold import Gold
from tools.demo_models.grammar.canonical import canonical
from tools.demo_models.grammar.hard import UNKNOWN_DRUGS
from tools.demo_models.grammar.vocabulary import DRUGS

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_SUBSCRIPT: Final = re.compile(r"\b(?:sat|sp|c|h|mm)o?[23]\b|tipo [12]\b")
"""Digits that name something and count nothing: "SatO2", "/mm3", "tipo 2"."""
_PERCENT: Final = re.compile(rf"\bpor cento\b(?! e (?:{'|'.join(sorted(VALUES.keys() - {'um', 'uma'}))})\b)")
"""But "noventa por cento e dez" says 90 over 110."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_SHORTEST: Final = 4
"""Shorter words are links; drugs, numbers and negations are looked at by themselves."""
_NEGATIONS: Final = frozenset({"nega", "nego", "negou", "sem", "nao", "nunca", "descartada", "ausente"})
"""No words of their own: whether a sentence denies what its line affirms is asked by itself."""
_COUNTED: Final = frozenset(
    {"ano", "anos", "dia", "dias", "mes", "meses", "hora", "horas", "semana", "semanas", "vez", "mg", "g"}
)
_TELLING: Final = "paciente refere relata apresenta quadro com queixa"
_KNOWN_DRUGS: Final = frozenset(fold(name) for name in (*DRUGS.names, *UNKNOWN_DRUGS))
_DOSING: Final = frozenset({"mg", "mcg", "g", "ml", "h"})
_SAME: Final = (frozenset({"retorno", "retornar", "retorna"}),)
"""Forms of one word: whoever writes one for the other has invented nothing."""
_COPY: Final = frozenset({"number", "drug"})


def numbers(text: str) -> list[str]:
    """Every number of a text, number words too, decimals with a point."""
    plain = digits(_SUBSCRIPT.sub(" ", _PERCENT.sub("%", fold(text))), _COUNTED)
    return [found.replace(",", ".") for found in _NUMBER.findall(plain)]


def drugs(text: str) -> set[str]:
    """Every word that is a drug, of the grammar's tables or of the product's lexicon."""
    return {word for word in _WORD.findall(fold(text)) if word in _KNOWN_DRUGS or is_drug(word)}


class Judge:
    """Holds one gold consult against what was written of it. ``cited`` are always gold line numbers."""

    def __init__(self, gold: Gold) -> None:
        self._lines = gold.lines
        self._facts = gold.note.facts
        self._sentences = [sentence for section in gold.note.sections for sentence in section.sentences]

    def sentence(self, text: str, cited: Sequence[int]) -> set[str]:
        """Of ``segment, number, drug, word, negation``: what the cited lines do not carry."""
        if not cited or not set(cited) <= set(self._lines):
            return {"segment"}
        said = self._said(cited)
        found = set()
        if set(numbers(text)) - set(numbers(said)):
            found.add("number")
        heard = set(_WORD.findall(fold(said)))
        if drugs(text) - heard:
            found.add("drug")
        if _long_words(text) - _with_forms(heard) - drugs(text) - _NEGATIONS:
            found.add("word")
        if len(set(cited)) == 1 and _negated(text) != _negated(self._lines[cited[0]]):
            found.add("negation")
        return found

    def fact(self, fact: FactLike, cited: Sequence[int]) -> set[str]:
        """Of ``segment, nothing_said, name, value, number, drug, negation, laterality, kind``; empty for a gold fact."""
        if not cited or not set(cited) <= set(self._lines):
            return {"segment"}
        here = [gold for gold in self._facts if set(gold.segments) & set(cited)]
        if any(fact_key(gold) == fact_key(fact) for gold in here):
            return set()
        if not here:
            return {"nothing_said"}
        return self._content(fact, here, cited) | self._polarity(fact, here, cited)

    def _content(self, fact: FactLike, here: Sequence[FactLike], cited: Sequence[int]) -> set[str]:
        said = self._said(cited)
        heard = set(_WORD.findall(fold(said)))
        names, values = {fold(gold.name) for gold in here}, {fold(gold.value or "") for gold in here}
        found = set()
        if fold(fact.name) not in names and not set(_WORD.findall(fold(fact.name))) - _DOSING <= heard:
            found.add("drug" if fact.kind == "medication" else "name")
        if fold(fact.value or "") not in values and not _long_words(fact.value or "") <= heard:
            found.add("value")
        allowed = numbers(" ".join([said, *(gold.value or "" for gold in here)]))
        namesakes = [gold for gold in here if fold(gold.name) == fold(fact.name)]
        wanted = {tuple(numbers(gold.value or "")) for gold in namesakes}
        mine = numbers(fact.value or "")
        other = mine and wanted and tuple(mine) not in wanted and not self._quotes(fact, cited)
        if not set(mine) <= set(allowed) or other:
            found.add("number")
        if namesakes and fact.kind not in {gold.kind for gold in namesakes}:
            found.add("kind")
        return found

    def _polarity(self, fact: FactLike, here: Sequence[FactLike], cited: Sequence[int]) -> set[str]:
        alike = [gold for gold in here if fold(gold.name) == fold(fact.name)] or list(here)
        found = set()
        if fact.negated not in {gold.negated for gold in alike}:
            found.add("negation")
        stem = (fact.laterality or "")[:-1]
        sides = {gold.laterality for gold in here if fold(gold.name) == fold(fact.name)}
        if stem and (stem not in fold(self._said(cited)) or (sides and fact.laterality not in sides)):
            found.add("laterality")
        return found

    def _quotes(self, fact: FactLike, cited: Sequence[int]) -> bool:
        """Whether name and value stand in a cited line in one piece: too much of it in one fact, and yet all said."""
        piece = fold(f"{fact.name} {fact.value or ''}")
        return any(piece in fold(self._lines[number]) for number in cited)

    def _said(self, cited: Iterable[int]) -> str:
        """The cited lines, what the gold note makes of them, and the words in which any note may tell of them."""
        chosen = [self._lines[number] for number in sorted(set(cited))]
        written = [each.text for each in self._sentences if set(each.segments) & set(cited)]
        return " . ".join([*chosen, *map(canonical, chosen), *written, _TELLING])


def copied_wrong(problems: set[str]) -> set[str]:
    """Those problems that are a wrong drug or a wrong number."""
    return problems & _COPY


def _long_words(text: str) -> set[str]:
    return {word for word in _WORD.findall(fold(text)) if len(word) >= _SHORTEST}


def _with_forms(heard: set[str]) -> set[str]:
    return heard.union(*(forms for forms in _SAME if forms & heard))


def _negated(text: str) -> bool:
    return bool(_NEGATIONS & set(_WORD.findall(fold(text))))
