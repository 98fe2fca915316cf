"""The grounding guard: what a note says must be carried by the transcript segments that it cites.

Pure and deterministic: no model, no clock, no I/O. It does not judge medicine; it asks of every number, unit, drug, date,
side, negation and clinical word of a sentence whether the cited speech has it. What fails is marked, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from appliance.care.guard import lexicon
from appliance.care.guard.evidence import ACTION_WORDS, SIDES, Amount, Evidence, is_drug
from appliance.care.guard.form import Token, tokens
from appliance.care.guard.likeness import stem

VERSION: Final = "4"
"""Recorded with every verdict; raise it whenever a verdict could change."""
_INVENTED_SHARE: Final = 0.5
_RETOLD_SHARE: Final = 0.5
"""A sentence with this share of the speech's words retells it: what it lacks and what it adds belong together."""
_COLLOQUIAL_PRESSURE: Final = 30
_LOUD_ACTIONS: Final = frozenset({"suspender", "aumentar", "reduzir"})


class Problem(msgspec.Struct, frozen=True):
    """One thing that the cited segments do not carry.

    ``code``: no_segment, unknown_segment, number, unit, frequency, date, binding, drug, negation, person, laterality,
    action, qualifier, finding, substitution, question or invention. ``words``: the words of the note concerned.
    """

    code: str
    words: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """``supported`` when there is no problem. ``unheard``: harmless words that the segments do not have literally."""

    supported: bool
    problems: tuple[Problem, ...] = ()
    unheard: tuple[str, ...] = ()


def check_sentence(text: str, segments: Sequence[int], transcript: Mapping[int, str]) -> Verdict:
    """Judge a sentence against the segments that it cites. ``transcript``: segment number → text."""
    return _check(Evidence.of(text), segments, transcript)


def check_fact(
    name: str,
    value: str | None,
    *,
    negated: bool,
    laterality: str | None,
    segments: Sequence[int],
    transcript: Mapping[int, str],
) -> Verdict:
    """Judge a structured fact: its words as a sentence, with the polarity that it states."""
    claim = tokens(" ".join(part for part in (name, laterality, value) if part))
    if negated:
        claim = tuple(Token(token.text, negated=True) for token in claim)
    return _check(Evidence(claim), segments, transcript)


def _check(claim: Evidence, segments: Sequence[int], transcript: Mapping[int, str]) -> Verdict:
    if not segments:
        return Verdict(supported=False, problems=(Problem("no_segment"),))
    unknown = [str(number) for number in segments if number not in transcript]
    if unknown:
        return Verdict(supported=False, problems=(Problem("unknown_segment", " ".join(unknown)),))
    source = Evidence.of(_speech(segments, transcript))
    problems = [
        *_asked(segments, transcript),
        *_numbers(claim, source),
        *_structured(claim, source),
        *_bindings(claim, source),
        *(Problem("drug", word) for word in sorted(claim.drugs - source.words)),
        *_polarity(claim, source),
        *_persons(claim, source),
        *_sides(claim, source),
        *_actions(claim, source),
    ]
    wrong, unheard = _words(claim, source)
    problems += wrong
    return Verdict(supported=not problems, problems=tuple(dict.fromkeys(problems)), unheard=tuple(unheard))


def _asked(segments: Sequence[int], transcript: Mapping[int, str]) -> Iterator[Problem]:
    """A question alone tells nothing of the patient; with the answer beside it, it may."""
    speech = [transcript[number].strip() for number in segments]
    if all(text.endswith("?") and not any(mark in text[:-1] for mark in ".;!") for text in speech):
        yield Problem("question")


def _speech(segments: Sequence[int], transcript: Mapping[int, str]) -> str:
    """The cited speech. Neighbouring segments run on, as a sentence may span them; others stand apart."""
    out, before = "", None
    for number in sorted(set(segments)):
        out += ("" if before is None else " " if number == before + 1 else ". ") + transcript[number]
        before = number
    return out


def _numbers(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    heard: dict[str, set[str]] = {}
    for amount in source.amounts:
        heard.setdefault(amount.number, set()).add(amount.unit)
    masses = {amount.mass for amount in source.amounts} - {None}
    spoken_pressure = {f"{Decimal(a.number) * 10:f}" for a in source.amounts if _is_colloquial_pressure(a)}
    for amount in claim.amounts:
        units = heard.get(amount.number)
        if amount.mass is not None and amount.mass in masses:
            continue
        if units is None:
            if not (amount.anchor == "vital_pa" and amount.number in spoken_pressure):
                yield Problem("number", amount.number)
        elif amount.unit and amount.unit not in units and not ("" in units and _unit_is_implied(amount)):
            yield Problem("unit", f"{amount.number} {amount.unit}")


def _unit_is_implied(amount: Amount) -> bool:
    milligrams = amount.unit == "mg" and is_drug(amount.anchor) and amount.anchor not in lexicon.NOT_IN_MILLIGRAMS
    usual = lexicon.IMPLIED_UNITS.get(amount.anchor)
    return milligrams or (amount.unit in lexicon.IMPLIED_ANYWHERE if usual is None else amount.unit == usual)


def _is_colloquial_pressure(amount: Amount) -> bool:
    """Brazilian speech: "pressão quinze por nove" means 150/90 mmHg."""
    return amount.anchor == "vital_pa" and not amount.unit and Decimal(amount.number) < _COLLOQUIAL_PRESSURE


def _structured(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    frequencies = set(source.structured("freq"))
    yield from (Problem("frequency", f.removeprefix("freq_")) for f in claim.structured("freq") if f not in frequencies)
    dates = source.structured("date")
    for date in claim.structured("date"):
        if not any(known == date or known.startswith(date + "_") for known in dates):
            yield Problem("date", date.removeprefix("date_").replace("_", "/"))
    said = set(pairwise(amount.number for amount in source.amounts))
    said |= set(pairwise(f"{Decimal(a.number) * 10:f}" for a in source.amounts if _is_colloquial_pressure(a)))
    for pair in claim.structured("pair"):
        first, second = pair.split("_")[1:]
        if (first, second) not in said:  # "120/120" is made of figures that were said, and yet wrong
            yield Problem("number", f"{first}/{second}")


def _bindings(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """A dose must stay with its drug, a figure with its vital sign: no swaps among the numbers that were said."""
    owners: dict[str, set[str]] = {}
    for amount in source.amounts:
        owners.setdefault(amount.number, set()).add(amount.anchor)
    said = {amount.anchor for amount in source.amounts}
    for amount in claim.amounts:
        mine = owners.get(amount.number, set())
        if amount.anchor in said and amount.anchor and mine and "" not in mine and amount.anchor not in mine:
            yield Problem("binding", f"{amount.anchor.removeprefix('vital_')} {amount.number}")


def _polarity(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    for token in claim.content:
        if token.text in ACTION_WORDS:
            continue
        root = source.support(token.text)
        if root is not None and token.negated not in source.polarities.get(root, {token.negated}):
            yield Problem("negation", token.text)


def _persons(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """What was told of a relative only is not written of the patient."""
    about_family = claim.words & (lexicon.RELATIVES | lexicon.OF_THE_FAMILY)
    for token in claim.content:
        owners = source.owners.get(source.support(token.text) or "", {""})
        if "" not in owners and not about_family & (owners | lexicon.OF_THE_FAMILY):
            yield Problem("person", token.text)


def _sides(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    heard = source.words & SIDES
    if {"direito", "esquerdo"} <= heard or "bilateral" in heard:
        heard = SIDES
    bound: dict[str, set[str]] = {}
    for what, side in source.sides:
        bound.setdefault(what, set()).add(side)
    for what, side in claim.sides:
        elsewhere = bound.get(what)
        if side not in heard or (elsewhere and side not in elsewhere and not {side, *elsewhere} & {"bilateral"}):
            yield Problem("laterality", side)


def _actions(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    for action in sorted(claim.actions - source.actions):
        ordered = action == "solicitar" and not source.actions
        quiet = action not in _LOUD_ACTIONS and not source.actions
        if not (ordered or quiet):
            yield Problem("action", action)


def _words(claim: Evidence, source: Evidence) -> tuple[list[Problem], list[str]]:
    content = [token.text for token in claim.content if token.text not in ACTION_WORDS]
    missing = [word for word in content if source.support(word) is None and not _implied(word, source)]
    problems, unheard = [], []
    hypothesis = "hipotese" in claim.words
    if hypothesis and "hipotese" not in source.words and "refere" in source.words:
        problems.append(Problem("finding", "hipotese"))  # a complaint is no diagnosis
    if not content and (hypothesis or not claim.amounts):
        problems.append(Problem("invention", " ".join(token.text for token in claim.tokens if not token.is_mark)))
    for word in missing:
        if is_drug(word):
            problems.append(Problem("drug", word))
        elif word in lexicon.OPPOSITES:
            problems.append(Problem("qualifier", word))
        elif _is_clinical(word):
            problems.append(Problem("finding", word.removeprefix("vital_")))
        else:
            unheard.append(word)
    if content and len(missing) / len(content) >= _INVENTED_SHARE and unheard:
        problems.append(Problem("invention", " ".join(unheard)))
    elif unheard and _replaces(content, claim, source):
        problems.append(Problem("substitution", " ".join(unheard)))
    return problems, unheard


def _replaces(content: Sequence[str], claim: Evidence, source: Evidence) -> bool:
    """Whether the sentence retells the cited speech but leaves some of it out: its unheard words then stand in for that.

    "Dor na perna" for "dor na mão" is such a case; an adjective more, with nothing left out, is not.
    """
    said = {root for root in source.polarities if root not in ACTION_WORDS}
    told = {source.support(word) for word in content} & said
    figures = {amount.number for amount in source.amounts} - {amount.number for amount in claim.amounts}
    return bool(said - told or figures) and len(told) >= _RETOLD_SHARE * len(said)


def _implied(word: str, source: Evidence) -> bool:
    """Two numbers as in "150 por 90" can only be a blood pressure; what is told of a relative is family history."""
    pressure = word == "vital_pa" and bool(source.structured("pair"))
    return pressure or (word in lexicon.OF_THE_FAMILY and bool(source.words & lexicon.RELATIVES))


def _is_clinical(word: str) -> bool:
    known = word.startswith("vital_") or lexicon.CLINICAL_ENDING.fullmatch(word) is not None
    return known or word in lexicon.CLINICAL or stem(word) in {stem(other) for other in lexicon.CLINICAL}
