"""The grounding guard: what a note says must be carried by the transcript segments that it cites.

Pure and deterministic: no model, no clock, no I/O. It does not judge medicine; it asks of every number, unit, drug, date,
side, negation and clinical word of a sentence whether the cited speech has it. What fails is marked, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.belonging import belonging, kind_of_fact
from appliance.care.guard.evidence import ACTION_WORDS, Amount, Evidence, is_drug
from appliance.care.guard.form import tokens
from appliance.care.guard.polarity import Token
from appliance.care.guard.verdict import Problem, Verdict

VERSION: Final = "5"
"""Recorded with every verdict; raise it whenever a verdict could change."""
_INVENTED_SHARE: Final = 0.5
_RETOLD_SHARE: Final = 0.5
"""A sentence with this share of the speech's words retells it: what it lacks and what it adds belong together."""
_COLLOQUIAL_PRESSURE: Final = 30


def check_sentence(text: str, segments: Sequence[int], transcript: Mapping[int, str]) -> Verdict:
    """Judge a sentence against the segments that it cites. ``transcript``: segment number → text."""
    return _check(Evidence.of(text), segments, transcript)


def opposes(text: str, line: str) -> bool:
    """Whether ``line`` tells the same as ``text`` the other way round: nothing but negations would be wrong between them.

    Most lines of a record speak of something else; that is seen at once, at a tenth of a verdict's cost.
    """
    if next(_polarity(Evidence.of(text), Evidence.heard(line)), None) is None:
        return False
    return {problem.code for problem in check_sentence(text, [1], {1: line}).problems} == {"negation"}


def check_fact(
    name: str,
    value: str | None,
    *,
    negated: bool,
    laterality: str | None,
    segments: Sequence[int],
    transcript: Mapping[int, str],
    kind: str = "",
) -> Verdict:
    """Judge a structured fact: its words as a sentence, with the polarity that it states.

    ``kind``: of ``note_schema.FACT_KINDS``; an allergy, a medication and a relative's disease must have been told as such.
    """
    claim = tokens(" ".join(part for part in (name, laterality, value) if part))
    if negated:
        claim = tuple(Token(token.text, negated=True) for token in claim)
    verdict = _check(Evidence(claim), segments, transcript, kind)
    if not verdict.supported or not value:
        return verdict
    unsaid = _unsaid(Evidence.of(value), Evidence.heard(_speech(segments, transcript)))
    return (
        Verdict(supported=False, problems=(Problem("invention", value),), unheard=verdict.unheard)
        if unsaid
        else verdict
    )


def _check(claim: Evidence, segments: Sequence[int], transcript: Mapping[int, str], kind: str = "") -> Verdict:
    if not segments:
        return Verdict(supported=False, problems=(Problem("no_segment"),))
    unknown = [str(number) for number in segments if number not in transcript]
    if unknown:
        return Verdict(supported=False, problems=(Problem("unknown_segment", " ".join(unknown)),))
    asked = tuple(_asked(segments, transcript))
    speech = _speech(segments, transcript)
    source = Evidence.of(speech) if asked else Evidence.heard(speech)
    problems = [
        *asked,
        *_numbers(claim, source),
        *_structured(claim, source),
        *(Problem("drug", word) for word in sorted(claim.drugs - source.words)),
        *_polarity(claim, source),
        *belonging(claim, source),
        *kind_of_fact(kind, claim, source),
        *_frames(claim, source),
    ]
    wrong, unheard = _words(claim, source)
    problems += wrong
    return Verdict(supported=not problems, problems=tuple(dict.fromkeys(problems)), unheard=tuple(unheard))


def _unsaid(value: Evidence, source: Evidence) -> bool:
    """Whether a fact's value is words alone, and none of them was said: its name may have been, and it means another."""
    content = [token.text for token in value.content if token.text not in ACTION_WORDS]
    figures = value.amounts or any(value.structured(kind) for kind in ("freq", "date", "per"))
    unheard = all(source.support(word) is None and not _implied(word, source) for word in content)
    return bool(content) and not figures and not value.actions and unheard


def _asked(segments: Sequence[int], transcript: Mapping[int, str]) -> Iterator[Problem]:
    """A question alone tells nothing of the patient; with the answer beside it, it may."""
    speech = [transcript[number].strip() for number in segments]
    if all(text.endswith("?") and not any(mark in text[:-1] for mark in ".;!") for text in speech):
        yield Problem("question")


def _speech(segments: Sequence[int], transcript: Mapping[int, str]) -> str:
    """The cited speech. Neighbouring segments run on, as a sentence may span them; others stand apart."""
    out, before = "", None
    for number in sorted(set(segments)):
        runs_on = number - 1 == before and "?" not in transcript[number]
        out += ("" if before is None else " " if runs_on else ". ") + transcript[number]
        before = number
    return out


def _numbers(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    heard: dict[str, set[str]] = {}
    for amount in source.amounts:
        heard.setdefault(amount.number, set()).add(amount.unit)
    masses = {amount.mass for amount in source.amounts} - {None}
    spoken_pressure = {_tenfold(a) for a in source.amounts if _is_colloquial_pressure(a)}
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


def _tenfold(amount: Amount) -> str:
    return f"{(Decimal(amount.number) * 10).normalize():f}"


def _structured(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    frequencies = set(source.structured("freq"))
    yield from (Problem("frequency", f.removeprefix("freq_")) for f in claim.structured("freq") if f not in frequencies)
    yield from _periods(claim, source)
    dates = source.structured("date")
    for date in claim.structured("date"):
        if not any(known == date or known.startswith(date + "_") for known in dates):
            yield Problem("date", date.removeprefix("date_").replace("_", "/"))
    months = {lexicon.MONTHS[int(date.split("_")[2]) - 1] for date in dates} | source.words
    yield from (Problem("date", month) for month in lexicon.MONTHS if month in claim.words - months)
    said = set(pairwise(amount.number for amount in source.amounts))
    said |= set(pairwise(_tenfold(a) for a in source.amounts if _is_colloquial_pressure(a)))
    for pair in claim.structured("pair"):
        first, second = pair.split("_")[1:]
        if (first, second) not in said:  # "120/120" is made of figures that were said, and yet wrong
            yield Problem("number", f"{first}/{second}")


def _periods(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """A dose of the week is not written as one of the day."""
    heard, written = _periods_of(source), _periods_of(claim)
    if heard:
        yield from (Problem("frequency", period) for period in sorted(written - heard))


def _periods_of(evidence: Evidence) -> set[str]:
    often = {"semana" if f.endswith("sem") else "dia" for f in evidence.structured("freq")}
    return often | {period.removeprefix("per_") for period in evidence.structured("per")}


def _frames(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """Words that say nothing of the patient and yet must not come from nowhere: courtesies, and how sure somebody is."""
    yield from (Problem("invention", word) for word in sorted(claim.words & lexicon.COURTESIES - source.words))
    yield from (Problem("invention", word) for word in sorted(_looped(claim) - _looped(source)))
    supposed = source.words & lexicon.TENTATIVE and not source.words & lexicon.CERTAIN
    if supposed and not claim.words & lexicon.TENTATIVE:
        yield from (Problem("qualifier", word) for word in sorted(claim.words & lexicon.CERTAIN))


def _looped(evidence: Evidence) -> set[str]:
    """Words that stand three times in a row: a small model that has lost its way."""
    content = [token.text for token in evidence.content]
    return {one for one, two, three in zip(content, content[1:], content[2:], strict=False) if one == two == three}


def _polarity(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    for token in claim.content:
        if token.text in ACTION_WORDS:
            continue
        root = source.support(token.text)
        if root is not None and token.negated not in source.polarities.get(root, {token.negated}):
            yield Problem("negation", token.text)


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
        if word in lexicon.ABSENT | lexicon.PRESENT:
            continue  # what it says is its polarity, and that is looked at
        if is_drug(word):
            problems.append(Problem("drug", word))
        elif lexicon.has_opposite(word) or word.startswith("via_"):
            problems.append(Problem("qualifier", word))
        elif lexicon.is_clinical(word):
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
    """Two numbers as in "150 por 90" can only be a blood pressure; a tablet is swallowed; a relative's is family history."""
    pressure = word == "vital_pa" and bool(source.structured("pair"))
    swallowed = word == "via_oral" and bool(source.words & lexicon.SWALLOWED) and not source.structured("via")
    return pressure or swallowed or (word in lexicon.OF_THE_FAMILY and bool(source.words & lexicon.RELATIVES))
