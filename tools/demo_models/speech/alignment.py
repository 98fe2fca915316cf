"""When each written word is said, from the times of the spoken ones."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import numpy as np


def written_word_starts(
    text: str, spoken: str, events: Sequence[tuple[int, float]], duration_s: float
) -> tuple[float, ...]:
    """Start in seconds of each word of ``text``, never decreasing.

    ``events`` are (character offset in ``spoken``, seconds). Words written and said alike ("febre") are matched; one that
    is said otherwise ("mg", "%") lies between its neighbours.
    """
    written, said = text.split(), spoken.split()
    offsets = _offsets(spoken, said)
    known_at = [offset for offset, _ in events] or [0]
    known_s = [seconds for _, seconds in events] or [0.0]
    said_s = np.interp(offsets, [*known_at, len(spoken)], [*known_s, duration_s])
    matched: dict[int, float] = {}
    for block in SequenceMatcher(None, written, said, autojunk=False).get_matching_blocks():
        for index in range(block.size):
            matched[block.a + index] = float(said_s[block.b + index])
    if not matched:
        return tuple(float(each) for each in np.linspace(0, duration_s, len(written), endpoint=False))
    if 0 not in matched:
        matched = {0: 0.0, **matched}
    places = [*matched, len(written)]
    starts = np.interp(range(len(written)), places, [*matched.values(), duration_s])
    return tuple(float(each) for each in np.maximum.accumulate(np.clip(starts, 0.0, duration_s)))


def _offsets(text: str, words: Sequence[str]) -> list[int]:
    found: list[int] = []
    position = 0
    for word in words:
        position = text.index(word, position)
        found.append(position)
        position += len(word)
    return found
