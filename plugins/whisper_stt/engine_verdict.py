"""Whether what was decoded may stand, or the utterance is decoded once more at a higher temperature.

The rules are Whisper's own (Radford et al. 2022, section 4.5): text that compresses too well repeats itself, text of low probability
is a guess, and "no speech" counts only where the text itself is unsure.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Final

import mlx.core as mx

from plugins.whisper_stt.engine_batch import SpokenRow, without_loop

_SURE_LOG_PROBABILITY: Final = -1.0
_MOST_COMPRESSION: Final = 2.4
_LOST_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an utterance came to; ``text`` and ``tokens`` are empty when nothing was said."""

    text: str
    tokens: list[int]
    mean_log_probability: float
    features: mx.array
    repeats: bool = False
    """It said the same thing again and again; the repetition is cut, and what is left is doubtful."""

    @property
    def confidence(self) -> float:
        """The mean token probability; a decoder that was lost is sure of every token, so then it counts for little."""
        if not self.text:
            return 0.0
        return math.exp(min(0.0, self.mean_log_probability)) * (_LOST_SHARE if self.repeats else 1.0)


class Attempts:
    """The attempts at each utterance that is under way. ``temperatures`` are tried in order after the first attempt."""

    def __init__(self, no_speech_threshold: float, temperatures: tuple[float, ...]) -> None:
        self._no_speech_threshold = no_speech_threshold
        self._temperatures = temperatures
        self._best: dict[int, Spoken] = {}
        self._tried: dict[int, int] = {}

    def judge(self, row: SpokenRow, text: str, *, warm: bool) -> Spoken | float:
        """What stands, or the temperature for another attempt. ``warm``: the caller chose the temperature; one attempt stands."""
        average = row.mean_log_probability
        if not text or (row.no_speech_probability > self._no_speech_threshold and average < _SURE_LOG_PROBABILITY):
            return Spoken("", [], average, row.features)
        repeats = row.looped or compression(text) > _MOST_COMPRESSION
        spoken = Spoken(text, without_loop(row.tokens), average, row.features, repeats=repeats)
        if not repeats and average >= _SURE_LOG_PROBABILITY:
            return spoken
        tried = self._tried.get(row.key, 0)
        if not repeats and (row.key not in self._best or average > self._best[row.key].mean_log_probability):
            self._best[row.key] = spoken
        if not warm and tried < len(self._temperatures):
            self._tried[row.key] = tried + 1
            return self._temperatures[tried]
        return self._best.get(row.key, spoken)

    def forget(self, key: int) -> None:
        """The utterance has its answer, or nobody wants it any more."""
        self._best.pop(key, None)
        self._tried.pop(key, None)


def compression(text: str) -> float:
    """How many times shorter zlib makes it."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
