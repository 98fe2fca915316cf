"""What the golden arrays of Gemma 3 with eyes were made from: conversations about pictures, as runs of words and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from tests.checkpoints.gemma import BOS

PICTURE = "picture"
"""Stands for the whole of a picture's tokens."""
BEFORE, BETWEEN, AFTER = list(range(20, 51)), list(range(90, 97)), list(range(130, 171, 2))


def conversations(begin: int, end: int) -> list[list[int | str]]:
    """A picture first; one after a text longer than the sliding window; two with words between. ``begin``, ``end``: their marks."""
    seen: list[int | str] = [begin, PICTURE, end]
    return [
        [BOS, *seen, *AFTER[:5]],
        [BOS, *BEFORE, *seen, *AFTER],
        [BOS, *BEFORE[:4], *seen, *BETWEEN, *seen, *AFTER],
    ]


def spelt(conversation: Sequence[int | str], soft: int, tokens: int) -> list[int]:
    """With ``tokens`` times ``soft`` where a picture stands."""
    spelt: list[int] = []
    for piece in conversation:
        spelt += [soft] * tokens if isinstance(piece, str) else [piece]
    return spelt
