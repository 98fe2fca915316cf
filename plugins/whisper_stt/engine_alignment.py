"""When each word was said: dynamic time warping over the decoder's cross-attention.

The method is Whisper's own (openai/whisper ``timing.py``); it runs here on the features that decoding has already computed,
and its warping is numpy, so that no compiler starts in the middle of a request.
"""

from __future__ import annotations

from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx_whisper.timing import median_filter
from mlx_whisper.tokenizer import get_tokenizer
from mlx_whisper.whisper import Whisper
from numpy.typing import NDArray

from plugins.whisper_stt.messages import TimedWord

_POSITION_S: Final = 0.02
_FILTER_WIDTH: Final = 7
_PUNCTUATION: Final = frozenset(".,;:!?)%…/-")
_Path = tuple[NDArray[np.int64], NDArray[np.int64]]


def word_times(
    model: Whisper, language: str, tokens: list[int], features: mx.array, duration_s: float
) -> tuple[TimedWord, ...]:
    """The words of ``tokens`` with times in seconds, monotone and within the utterance.

    ``features`` are the encoder's, shape (audio positions, state).
    """
    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language=language, task="transcribe"
    )
    text_tokens = [token for token in tokens if token < tokenizer.eot]
    if not text_tokens:
        return ()
    prefix = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    sequence = mx.array([*prefix, *text_tokens, tokenizer.eot])
    logits, _, attention = model.decoder(sequence[None], features[None])
    positions = max(1, min(features.shape[0], int(duration_s / _POSITION_S)))
    matrix = _attention_matrix(model, attention, positions)[len(prefix) - 1 : -1]
    token_index, time_index = warp(-matrix)
    jumps = np.pad(np.diff(token_index), (1, 0), constant_values=1).astype(bool)
    starts = time_index[jumps] * _POSITION_S
    probabilities = _token_probabilities(logits[0, len(prefix) - 1 : -2, : tokenizer.eot], text_tokens)
    words, word_tokens = tokenizer.split_to_word_tokens([*text_tokens, tokenizer.eot])
    return _words(words[:-1], [len(tokens) for tokens in word_tokens[:-1]], starts, probabilities, duration_s)


def warp(cost: NDArray[np.float32]) -> _Path:
    """The cheapest monotone path through ``cost`` (rows × columns): row and column indices (Sakoe & Chiba 1978)."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    # Anti-diagonals do not depend on themselves, so each is one vector operation.
    for diagonal in range(2, rows + columns + 1):
        row = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        column = diagonal - row
        best = np.minimum(np.minimum(total[row - 1, column - 1], total[row - 1, column]), total[row, column - 1])
        total[row, column] = cost[row - 1, column - 1] + best
    path = []
    row_at, column_at = rows, columns
    while row_at > 0 and column_at > 0:
        path.append((row_at - 1, column_at - 1))
        moves = ((row_at - 1, column_at - 1), (row_at - 1, column_at), (row_at, column_at - 1))
        row_at, column_at = min(moves, key=lambda cell: total[cell])
    indices = np.array(path[::-1])
    return indices[:, 0], indices[:, 1]


def _attention_matrix(model: Whisper, attention: list[Any], positions: int) -> NDArray[np.float32]:
    """Mean over the alignment heads of the normalised, smoothed attention: shape (tokens, positions)."""
    heads = mx.stack([attention[layer][0, head] for layer, head in model.alignment_heads.tolist()])
    weights = mx.softmax(heads[:, :, :positions].astype(mx.float32), axis=-1, precise=True)
    mean = mx.mean(weights, axis=-2, keepdims=True)
    deviation = mx.sqrt(mx.var(weights, axis=-2, keepdims=True)) + 1e-9
    smooth: NDArray[np.float32] = median_filter(np.array((weights - mean) / deviation), _FILTER_WIDTH).mean(axis=0)
    return smooth


def _token_probabilities(logits: mx.array, tokens: list[int]) -> NDArray[np.float32]:
    chosen = mx.take_along_axis(mx.softmax(logits, axis=-1, precise=True), mx.array(tokens)[:, None], axis=1)
    return np.array(chosen.squeeze(1))


def _words(
    texts: list[str],
    lengths: list[int],
    starts: NDArray[np.float64],
    probabilities: NDArray[np.float32],
    duration_s: float,
) -> tuple[TimedWord, ...]:
    """Words, each with the signs and decimals that follow it; ``starts`` has one time per token and one for the end."""
    bounds = np.cumsum([0, *lengths])
    words: list[TimedWord] = []
    for text, first, last in zip(texts, bounds[:-1], bounds[1:], strict=True):
        begin = min(float(starts[first]), duration_s)
        end = min(max(float(starts[min(last, len(starts) - 1)]), begin), duration_s)
        if words and text[:1] in _PUNCTUATION:
            joined = words.pop()
            # A sign takes no time of its own, but ",5" does.
            end = end if any(sign.isalnum() for sign in text) else max(joined.end, begin)
            words.append(TimedWord(joined.text + text.strip(), joined.start, end, joined.probability))
        elif text.strip():
            words.append(TimedWord(text.strip(), begin, end, float(probabilities[first:last].mean())))
    return tuple(words)
