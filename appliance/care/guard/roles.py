"""What is done with which drug: started, kept, raised, lowered, stopped, in use, once used, or not borne (an allergy)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from appliance.care.guard.evidence import ACTION_WORDS, Evidence, claims
from appliance.care.guard.likeness import stem
from appliance.care.guard.polarity import Token
from appliance.care.guard.word_lists import words

ALLERGY: Final = "alergia"
_ROLES: Final = ACTION_WORDS | {ALLERGY}
_PAUSES: Final = words(", . e ou por ha desde em com")
_HARD: Final = frozenset({"suspender", "aumentar", "reduzir", ALLERGY})
"""Never taken for granted: of another drug than the one said, they are wrong even where of this one nothing was said."""
_RESETS: Final = words("usar use tomar tome tomem prefere")
Roles = dict[str, set[str]]


def swapped(claim: Evidence, source: Evidence) -> Iterator[tuple[str, str]]:
    """(role, drug): the speech gives this drug other roles only, or this role to other drugs only."""
    spoken: Roles = {}
    for word, had in roles(source).items():
        spoken.setdefault(stem(word), set()).update(had)
    given = frozenset[str]().union(*spoken.values())
    for word, mine in roles(claim).items():
        heard = source.support(word)
        if heard is None:
            continue
        said = spoken.get(heard, set())
        for role in sorted(mine - said):
            if said or (role in _HARD and role in given):
                yield role, word


def roles(evidence: Evidence) -> Roles:
    """For each drug (its word), and each thing named right behind a role, the roles that it has."""
    found: Roles = {}
    sentence: list[Token] = []
    for token in evidence.tokens:
        if token.text == ".":
            _read(sentence, evidence.drugs, found)
            sentence = []
        else:
            sentence.append(token)
    return found


def _read(sentence: Sequence[Token], drugs: set[str], found: Roles) -> None:
    role, since = "", 0
    for place, token in enumerate(sentence):
        text = token.text
        if text in _ROLES:
            named = _named_behind(sentence, place)
            role = text if named else ""
            if named:
                _give(found, named, text)
            else:  # "AAS suspenso": it speaks of what stood before
                for earlier in _run_before(sentence, since, place, drugs):
                    _give(found, earlier, text)
            since = place + 1
        elif text in _RESETS:
            role = ""
        elif role == "trocar" and text == "por":
            role = "trocar por"
        elif role and text in drugs:
            _give(found, text, role)


def _give(found: Roles, word: str, role: str) -> None:
    found.setdefault(word, set()).add(role)


def _named_behind(sentence: Sequence[Token], place: int) -> str:
    """The first word that claims something behind a role, unless a pause comes before it."""
    behind = takewhile(lambda token: token.text not in _PAUSES, sentence[place + 1 :])
    return next((token.text for token in behind if claims(token)), "")


def _run_before(sentence: Sequence[Token], since: int, place: int, drugs: set[str]) -> list[str]:
    return [token.text for token in sentence[since:place] if token.text in drugs]
