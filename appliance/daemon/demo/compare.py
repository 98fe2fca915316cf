"""How near a result came to its gold file: word error rate, and facts that are right, missing or too many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

_DECIMAL = re.compile(r"(\d),(\d)")
_NO_WORD = re.compile(r"[^\w%/ ]")


class FactLike(Protocol):
    """What facts of gold files, of model answers and of notes have in common."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def value(self) -> str | None: ...
    @property
    def negated(self) -> bool: ...
    @property
    def laterality(self) -> Any: ...
    @property
    def segments(self) -> tuple[int, ...]: ...


FactKey = tuple[str, str, str | None, bool, str | None]


@dataclass(frozen=True, slots=True)
class FactComparison:
    """Facts by (kind, name, value, negated, laterality). ``linked``: how many of the right ones cite the right segments."""

    expected: int
    right: int
    linked: int
    missing: tuple[FactKey, ...]
    extra: tuple[FactKey, ...]

    @property
    def equal(self) -> bool:
        """Nothing is missing, nothing too many, every source right."""
        return self.right == self.linked == self.expected and not self.extra


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; a decimal comma stays inside its number."""
    return _NO_WORD.sub(" ", _DECIMAL.sub(r"\1_\2", text.lower())).split()


def word_edits(reference: str, heard: str) -> tuple[int, int]:
    """(edits, words of the reference): Levenshtein's distance over words."""
    wanted, got = words(reference), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(wanted)


def word_error_rate(reference: str, heard: str) -> float:
    """Edits for each word of the reference; 0 is perfect, and it may exceed 1."""
    edits, count = word_edits(reference, heard)
    return edits / max(1, count)


def fact_key(fact: FactLike) -> FactKey:
    """What makes two facts the same."""
    return (fact.kind, fact.name, fact.value, fact.negated, fact.laterality)


def compare_facts(expected: Sequence[FactLike], written: Iterable[FactLike]) -> FactComparison:
    """Match each expected fact with one written fact at most."""
    left = list(written)
    missing: list[FactKey] = []
    linked = 0
    for fact in expected:
        same = [other for other in left if fact_key(other) == fact_key(fact)]
        if not same:
            missing.append(fact_key(fact))
            continue
        cited = next((other for other in same if set(other.segments) == set(fact.segments)), None)
        linked += cited is not None
        left.remove(same[0] if cited is None else cited)
    right = len(expected) - len(missing)
    return FactComparison(len(expected), right, linked, tuple(missing), tuple(map(fact_key, left)))
