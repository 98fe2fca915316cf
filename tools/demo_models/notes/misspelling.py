"""Spelling errors such as speech recognition makes."""

from __future__ import annotations

import random
from typing import Final

_SWAPS: Final = (
    ("ç", "ss"), ("ss", "s"), ("s", "ss"), ("z", "s"), ("x", "ch"), ("ch", "x"), ("rr", "r"), ("lh", "li"), ("nh", "ni"),
    ("qu", "k"), ("c", "k"), ("i", "e"), ("e", "i"), ("o", "u"), ("u", "o"), ("l", "u"), ("m", "n"), ("v", "b"),
    ("b", "v"), ("t", "d"), ("d", "t"), ("p", "b"), ("g", "j"), ("f", "v"), ("r", "l"),
)  # fmt: skip
_PLAIN: Final = str.maketrans("áàâãéêíóôõúç", "aaaaeeiooouc")
_LONG: Final = 4


def misspelt(word: str, rng: random.Random) -> str:
    """The word with one error; a short one may come back unchanged."""
    kind = rng.random()
    if kind < 0.25 and word.translate(_PLAIN) != word:
        return word.translate(_PLAIN)
    fitting = [(heard, written) for heard, written in _SWAPS if heard in word[1:]]
    if kind < 0.7 and fitting:
        heard, written = rng.choice(fitting)
        place = word.index(heard, 1)
        return word[:place] + written + word[place + len(heard) :]
    if len(word) <= _LONG:
        return word
    place = rng.randrange(1, len(word) - 1)
    return word[:place] + word[place + (1 if kind < 0.85 else 0) :] if kind < 0.92 else word[:place] + word[place - 1 :]
