"""mlx-whisper's own decoding of one window, with the one rule for times that the engine has too: what the engine must equal."""

from __future__ import annotations

from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx_whisper.decoding import ApplyTimestampRules, DecodingOptions, DecodingResult, DecodingTask
from mlx_whisper.whisper import Whisper

_LATEST_BEGINNING: Final = 50
"""In positions of 20 ms: speech begins within the window's first second."""


class _BeginWithTime:
    """A ``LogitFilter``: the first token is a time of the first second, and "no times" is never said."""

    def __init__(self, tokenizer: Any, sample_begin: int, vocabulary: int) -> None:
        first = np.full(vocabulary, -np.inf, np.float32)
        first[tokenizer.timestamp_begin : tokenizer.timestamp_begin + _LATEST_BEGINNING + 1] = 0.0
        later = np.zeros(vocabulary, np.float32)
        later[tokenizer.no_timestamps] = -np.inf
        self._first, self._later = mx.array(first), mx.array(later)
        self._sample_begin = sample_begin

    def apply(self, logits: mx.array, tokens: mx.array) -> mx.array:
        """``logits`` has shape (rows, vocabulary), ``tokens`` (rows, tokens so far)."""
        return logits + (self._first if tokens.shape[1] == self._sample_begin else self._later)


class _UtteranceTask(DecodingTask):  # type: ignore[misc]
    """mlx-whisper's own task (it has no types) with our rule for times."""

    def __init__(self, model: Whisper, options: DecodingOptions) -> None:
        super().__init__(model, options)
        kept: list[Any] = [rule for rule in self.logit_filters if not isinstance(rule, ApplyTimestampRules)]
        self.logit_filters: list[Any] = [*kept, _BeginWithTime(self.tokenizer, self.sample_begin, model.dims.n_vocab)]


def decode_utterances(model: Whisper, mels: mx.array, options: DecodingOptions) -> list[DecodingResult]:
    """One result a row; ``mels`` has shape (rows, frames, n_mels) and all rows share ``options``."""
    results: list[DecodingResult] = _UtteranceTask(model, options).run(mels)
    return results
