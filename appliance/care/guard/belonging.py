"""What belongs to what: doses, hours and dates to their drugs and complaints, deeds to drugs, sides to places, words to people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from appliance.care.guard import attributes, lexicon, people, roles
from appliance.care.guard.evidence import SIDES, Evidence, is_drug
from appliance.care.guard.likeness import stem
from appliance.care.guard.verdict import Problem
from appliance.care.guard.word_lists import words

_LOUD_ACTIONS: Final = frozenset({"suspender", "aumentar", "reduzir", "usou"})
_BOTH: Final = words("ambos ambas dois duas 2")


def belonging(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """Everything that was said, but of another."""
    yield from _doses(claim, source)
    for value, of in attributes.misplaced(claim, source):
        yield Problem("binding" if of else "date", f"{of} {value}".strip())
    yield from _people(claim, source)
    yield from _sides(claim, source)
    yield from _places(claim, source)
    yield from _actions(claim, source)
    yield from _ordinals(claim, source)


def _doses(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """A dose must stay with its drug, a figure with its vital sign: no swaps among the numbers that were said."""
    owners: dict[str, set[str]] = {}
    for amount in source.amounts:
        owners.setdefault(amount.number, set()).add(amount.anchor)
    said = {amount.anchor for amount in source.amounts}
    for amount in claim.amounts:
        mine = owners.get(amount.number, set())
        told = amount.anchor in said or (is_drug(amount.anchor) and amount.anchor in source.words)
        if told and amount.anchor and mine and "" not in mine and amount.anchor not in mine:
            yield Problem("binding", f"{amount.anchor.removeprefix('vital_')} {amount.number}")


def _people(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """What was told of a relative only is not written of the patient, nor of another relative, nor the other way round."""
    relatives = people.relatives_in(source.words)
    about_family = claim.words & (relatives | lexicon.OF_THE_FAMILY)
    heard, written = source.owners(relatives), claim.owners(relatives)
    for token in claim.content:
        root = source.support(token.text)
        if root is None:
            continue
        whose = heard.get(root, {people.PATIENT})
        mine = written.get(stem(token.text), {people.PATIENT})
        taken = people.PATIENT not in whose and not about_family & (whose | lexicon.OF_THE_FAMILY)
        if whose & lexicon.OF_THE_FAMILY:
            taken = not about_family
        if taken or not (mine & (whose | {people.PATIENT}) or (mine | whose) & lexicon.OF_THE_FAMILY):
            yield Problem("person", token.text)


def _sides(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    heard = source.words & SIDES
    both = "bilateral" in heard or bool(_BOTH & source.words)
    bound: dict[str, set[str]] = {}
    for what, side in source.sides:
        bound.setdefault(what, set()).add(side)
    for what, side in claim.sides:
        elsewhere = bound.get(what, set())
        if side == "bilateral":
            wrong = not both and not _on_both_sides(claim, source)
        else:
            wrong = side not in heard | ({side} if "bilateral" in heard else set())
            wrong = wrong or (bool(elsewhere) and not {side, "bilateral"} & elsewhere)
        if wrong:
            yield Problem("laterality", side)


def _on_both_sides(claim: Evidence, source: Evidence) -> bool:
    """Whether all that the claim calls bilateral was said of the right and of the left."""
    told = {source.support(word) for found in attributes.of_kind(claim, attributes.SIDE) for word in found.owners or ()}
    sides: dict[str, set[str]] = {"direito": set(), "esquerdo": set()}
    for found in attributes.of_kind(source, attributes.SIDE):
        sides.get(found.value, set()).update(stem(word) for word in found.owners or ())
    return all(sides.values()) and told - {None} <= sides["direito"] & sides["esquerdo"]


def _places(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """Another place of the body than any that was named."""
    named = [names for names in lexicon.BODY_PARTS if names & source.words]
    for names in lexicon.BODY_PARTS:
        wrong = sorted(names & claim.words)
        if wrong and named and names not in named and all(source.support(word) is None for word in wrong):
            yield Problem("substitution", " ".join(wrong))


def _actions(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    for action in sorted(claim.actions - source.actions):
        ordered = action == "solicitar" and not source.actions
        quiet = action not in _LOUD_ACTIONS and not source.actions
        begun = action == "iniciar" and not source.amounts and not source.structured("freq")
        if not (ordered or quiet) or begun:
            yield Problem("action", action)
    for role, drug in roles.swapped(claim, source):
        yield Problem("action", f"{role} {drug}")


def _ordinals(claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """The third crisis and the second admission are not the second crisis and the third admission."""
    heard = _counted(source)
    things = {thing for _ordinal, thing in heard}
    for ordinal, thing in sorted(_counted(claim)):
        if thing in things and (ordinal, thing) not in heard:
            yield Problem("binding", f"{ordinal} {thing}")


def _counted(evidence: Evidence) -> set[tuple[str, str]]:
    texts = [stem(token.text) for token in evidence.tokens]
    return {
        (first, second)
        for first, second in pairwise(texts)
        if first in lexicon.ORDINAL_STEMS and second not in {".", ","}
    }


def kind_of_fact(kind: str, claim: Evidence, source: Evidence) -> Iterator[Problem]:
    """A fact's kind claims too: that a drug is not borne, that it is taken, that a disease is a relative's."""
    if kind == "allergy" and not source.words & lexicon.OF_REACTIONS:
        yield Problem("action", "alergia")
    elif kind in {"allergy", "medication"}:
        spoken = roles.roles(source)
        for drug in sorted(claim.drugs):
            said = spoken.get(drug, set())
            wrong = roles.ALLERGY not in said if kind == "allergy" else said == {roles.ALLERGY}
            if said and wrong:
                yield Problem("action", f"{kind} {drug}")
    elif kind == "family" and not source.words & (
        people.relatives_in(source.words) | lexicon.OF_THE_FAMILY | lexicon.CHILDREN
    ):
        yield Problem("person", "familia")
