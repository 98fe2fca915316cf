"""When two Portuguese words are the same word: inflected, or misspelt by a recogniser."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from appliance.care.guard.word_lists import listed

_PLURALS: Final = (
    ("oes", "ao"),
    ("aes", "ao"),
    ("ais", "al"),
    ("eis", "el"),
    ("ois", "ol"),
    ("ns", "m"),
    ("res", "r"),
    ("zes", "z"),
)
_SHORTEST_STEM: Final = 3
_SHORTEST_LIKE: Final = 5
_LONG: Final = 8
_OPPOSED_PREFIXES: Final = listed(
    "hiper hipo taqui bradi macro micro poli oligo intra extra inter sub supra pre pos endo exo normo anti des in dis eu"
)


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Without number and gender: ``"náuseas"`` folded and ``"nausea"`` give the same. Nothing stays nothing."""
    if not word or word.startswith("vital_"):
        return word
    for plural, singular in _PLURALS:
        if word.endswith(plural) and len(word) > len(plural) + 1:
            word = word[: -len(plural)] + singular
            break
    else:
        if word.endswith("s") and len(word) > _SHORTEST_STEM:
            word = word[:-1]
    return word[:-1] if word[-1] in "aoe" and len(word) > _SHORTEST_STEM else word


@lru_cache(maxsize=16384)
def near(word: str, heard: str) -> bool:
    """A likely misspelling: one slip in a word of five letters, two from eight on; never across opposed prefixes."""
    if min(len(word), len(heard)) < _SHORTEST_LIKE or word[0] != heard[0]:
        return False
    if _prefix(word) != _prefix(heard):
        return False
    allowed = 2 if min(len(word), len(heard)) >= _LONG else 1
    return abs(len(word) - len(heard)) <= allowed and _distance(word, heard) <= allowed


def _prefix(word: str) -> str:
    return next((prefix for prefix in _OPPOSED_PREFIXES if word.startswith(prefix)), "")


def _distance(a: str, b: str) -> int:
    """Levenshtein's edit distance."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
