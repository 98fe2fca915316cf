"""Which "when" belongs to which "what": frequencies, hours of the day and routes to drugs, spans and dates to what they tell of.

Only swaps are looked for: a frequency, span or date that was said, of something that was said, but of another thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from appliance.care.guard import lexicon
from appliance.care.guard.evidence import SIDES, Evidence, claims, is_drug
from appliance.care.guard.likeness import stem
from appliance.care.guard.polarity import Token
from appliance.care.guard.word_lists import words

SCHEDULE: Final = "schedule"
SIDE: Final = "side"
TIME: Final = "time"
_HOURS_OF_THE_DAY: Final = words("pela_manha a_noite tarde jejum almoco jantar cafe deitar dormir")
_DAYS: Final = words("hoje ontem anteontem amanha") | frozenset(lexicon.MONTHS)
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_OFTEN: Final = re.compile(r"(?:freq|per|via)_\w+(?:\.\d+)?\w*")
_RELATION: Final = {"ha": "since", "faz": "since", "em": "within", "por": "for", "durante": "for"}
_AGAINST: Final = frozenset({("since", "within"), ("within", "since"), ("since", "for"), ("for", "since")})
_BOUNDARIES: Final = words(", . e mas porem")
_NEW: Final = ", +"
_ANEW: Final = words("e mas porem depois ai")
_LINKS: Final = words("ha faz em desde por durante a o de no na nos nas cerca uns umas de do da ao aos")


@dataclass(frozen=True, slots=True)
class Attribute:
    """``owners``: the words that it tells of, None where that is not clear. ``relation``: since, within, for or empty.

    ``doses``: the figures of the drugs that it tells of.
    """

    kind: str
    value: str
    owners: frozenset[str] | None
    relation: str = ""
    doses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Item:
    """A sentence's part: what is told of (``kind`` empty), a dose, or an attribute.

    ``leads``: it stands before what it tells of.
    """

    text: str
    kind: str = ""
    relation: str = ""
    leads: bool = False
    is_dose: bool = False


def misplaced(claim: Evidence, source: Evidence) -> Iterator[tuple[str, str]]:
    """(attribute, what the claim puts it to): swaps, and "há três dias" for "em três dias" (with nothing as its what)."""
    said = attributes(source)
    for mine in attributes(claim):
        alike = [other for other in said if (other.kind, other.value) == (mine.kind, mine.value)]
        if not alike or mine.owners is None:
            continue
        relations = {other.relation for other in alike}
        if mine.relation and all((mine.relation, other) in _AGAINST for other in relations):
            yield mine.value, ""
        elif _other_dose(mine, alike, said):
            yield mine.value, min(mine.doses)
        elif all(other.owners is not None for other in alike):
            theirs = frozenset[str]().union(*(other.owners or () for other in alike))
            yield from _swapped(mine, theirs, source)


def _other_dose(mine: Attribute, alike: Sequence[Attribute], said: Sequence[Attribute]) -> bool:
    """Whether the doses were said, but with other hours or spans: "20 de manhã e 10 à noite" turned round."""
    known = frozenset[str]().union(*(other.doses for other in said))
    theirs = frozenset[str]().union(*(other.doses for other in alike))
    return bool(mine.doses) and mine.doses <= known and all(other.doses for other in alike) and not mine.doses & theirs


def _swapped(mine: Attribute, theirs: frozenset[str], source: Evidence) -> Iterator[tuple[str, str]]:
    known = {root for root in map(source.support, mine.owners or ()) if root is not None}
    strangers = known - {stem(word) for word in theirs}
    heads = {root for root in strangers if _is_head(root, source)}
    if strangers and (heads or strangers == known):
        yield mine.value, min(heads or strangers)


def _is_head(root: str, source: Evidence) -> bool:
    """A drug, a clinical word or an ordinal: such a one is told of by itself, and never merely qualifies another."""
    return any(
        stem(word) == root and (is_drug(word) or lexicon.is_clinical(word) or root in lexicon.ORDINAL_STEMS)
        for word in source.words
    )


def attributes(evidence: Evidence) -> list[Attribute]:
    """Every attribute of a text in order, sentence by sentence."""
    return [found for kind in (SCHEDULE, TIME, SIDE) for found in of_kind(evidence, kind)]


def of_kind(evidence: Evidence, kind: str) -> Iterator[Attribute]:
    """Those of one kind: ``SCHEDULE``, ``TIME`` or ``SIDE``."""
    carried: frozenset[str] | None = None
    sentence: list[Token] = []
    for token in evidence.tokens:
        if token.text != ".":
            sentence.append(token)
            continue
        items = list(_items(sentence, kind, evidence.drugs))
        yield from _owned(items, carried)
        carried, sentence = _heads(items) or carried, []


def _items(sentence: Sequence[Token], kind: str, drugs: set[str]) -> Iterator[_Item]:
    for place, token in enumerate(sentence):
        value = _value(sentence, place, kind)
        if value:
            relation = _relation(sentence, place)
            leads = _goes_on(sentence, place) if kind == SIDE else _leads(sentence, place)
            yield _Item(value, kind, relation, leads)
        elif token.is_number and kind != SIDE and _is_dose(sentence, place, drugs):
            yield _Item(token.text, is_dose=True)
        elif token.text == ",":
            yield _Item(_NEW if place + 1 < len(sentence) and sentence[place + 1].text in _ANEW else ",")
        elif token.text == "e" and kind == SIDE:
            yield _Item(",")
        elif _is_told_of(sentence, place) and (kind != SCHEDULE or token.text in drugs):
            yield _Item(token.text)


def _is_dose(sentence: Sequence[Token], place: int, drugs: set[str]) -> bool:
    unit = sentence[place + 1].text if place + 1 < len(sentence) else ""
    of_a_drug = any(token.text in drugs for token in sentence[:place])
    return unit in lexicon.DOSE_UNITS or (of_a_drug and unit not in lexicon.UNITS)


def _is_told_of(sentence: Sequence[Token], place: int) -> bool:
    return claims(sentence[place]) and not any(_value(sentence, place, kind) for kind in (SCHEDULE, TIME))


def _value(sentence: Sequence[Token], place: int, kind: str) -> str:
    text = sentence[place].text
    if kind == SIDE:
        return text if text in SIDES else ""
    if kind == SCHEDULE:
        return text if _OFTEN.fullmatch(text) or text in _HOURS_OF_THE_DAY else ""
    unit = sentence[place + 1].text if place + 1 < len(sentence) else ""
    before = sentence[place - 1].text if place else ""
    if sentence[place].is_number and unit in lexicon.TIME_UNITS - {"vez", "noite"}:
        return "" if unit == "ano" and before == "de" else f"{text} {unit}"  # an age
    day = text.startswith("date_") or text in _DAYS or (_YEAR.fullmatch(text) and unit not in lexicon.UNITS)
    return text if day else ""


def _relation(sentence: Sequence[Token], place: int) -> str:
    behind = sentence[place + 2].text if place + 2 < len(sentence) else ""
    before = next((token.text for token in reversed(sentence[:place]) if token.text not in {"cerca", "de"}), "")
    return "since" if behind == "atras" else _RELATION.get(before, "")


def _leads(sentence: Sequence[Token], place: int) -> bool:
    """Whether only little words stand between it and the beginning of its clause, and something follows."""
    start = place - 1
    while start >= 0 and sentence[start].text in _LINKS:
        start -= 1
    opens = start < 0 or sentence[start].text in _BOUNDARIES
    behind = place + 2 if sentence[place].is_number and not _YEAR.fullmatch(sentence[place].text) else place + 1
    follows = next((token for token in sentence[behind:] if token.text not in lexicon.SILENT), None)
    return opens and follows is not None and claims(follows)


def _goes_on(sentence: Sequence[Token], place: int) -> bool:
    """Whether the clause goes on behind a side: "quadril esquerdo com dor"."""
    return place + 1 < len(sentence) and sentence[place + 1].text not in _BOUNDARIES


def _owned(items: Sequence[_Item], carried: frozenset[str] | None) -> Iterator[Attribute]:
    """An attribute tells of what stands before it since the last one; a leading one of what follows."""
    places = [place for place, item in enumerate(items) if item.kind]
    first = bool(places) and items[places[0]].leads and not _heads(items[: places[0]])
    before: frozenset[str] = frozenset()
    latest, since, doses = carried, 0, frozenset[str]()
    for number, place in enumerate(places):
        item = items[place]
        end = places[number + 1] if number + 1 < len(places) else len(items)
        before = _heads(items[since:place])
        if item.kind == SIDE:  # what follows a side is its own up to the next comma or "e"
            end = next((at for at in range(place + 1, end) if items[at].text in {",", _NEW}), end)
        ahead = _heads(items[place + 1 : end]) if item.leads else frozenset()
        owners = ahead or before if first else before | ahead
        latest = owners or latest
        doses = frozenset(part.text for part in items[since:place] if part.is_dose) or doses
        yield Attribute(item.kind, item.text, latest, item.relation, doses)
        since = end if item.kind == SIDE and ahead else place + 1


def _heads(items: Sequence[_Item]) -> frozenset[str]:
    """What is told of, since the last ", e" or ", mas" where something stands behind that."""
    found: set[str] = set()
    for item in reversed(items):
        if item.text == _NEW and found:
            break
        told = not (item.kind or item.is_dose) and item.text not in {",", _NEW}
        found |= {item.text} if told else set()
    return frozenset(found)
