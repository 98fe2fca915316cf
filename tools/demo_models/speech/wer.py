"""Word error rate as this tool reports it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; a decimal comma stays part of its number, "%" part of its word."""
    joined = re.sub(r"(\d),(\d)", r"\1_\2", text.lower())
    return re.sub(r"[^\w%/ ]", " ", joined).split()


def distance(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Fewest words to insert, delete or replace (Levenshtein 1966)."""
    row = list(range(len(heard) + 1))
    for index, one in enumerate(expected, 1):
        above = [index]
        for place, other in enumerate(heard, 1):
            above.append(min(row[place] + 1, above[-1] + 1, row[place - 1] + (one != other)))
        row = above
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Errors over expected words, for (expected, heard) pairs."""
    errors = total = 0
    for expected, heard in pairs:
        reference = words(expected)
        errors += distance(reference, words(heard))
        total += len(reference)
    return errors / max(total, 1)
