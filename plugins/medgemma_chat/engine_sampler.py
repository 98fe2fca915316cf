"""Sampling for one row of a batch, with a random stream of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

import mlx.core as mx
from mlx_lm.sample_utils import apply_top_p

Sampler = Callable[[mx.array], mx.array]
_GREEDY_BELOW: Final = 0.01
"""Dividing by less than this overflows; the result would be the most likely token anyway."""
_SEED_MASK: Final = (1 << 64) - 1


def make_row_sampler(temperature: float, top_p: float, seed: int | None) -> Sampler | None:
    """A sampler from log-probabilities of shape (1, vocabulary) to a token; None means greedy, which a batch shares.

    Rows never share a random stream, so neither neighbours nor their number change what a seed gives.
    """
    if temperature < _GREEDY_BELOW:
        return None
    state = mx.random.key((secrets.randbits(63) if seed is None else seed) & _SEED_MASK)

    def sample(log_probabilities: mx.array) -> mx.array:
        nonlocal state
        state, now = mx.random.split(state)
        if 0.0 < top_p < 1.0:
            log_probabilities = apply_top_p(log_probabilities, top_p)
        return mx.random.categorical(log_probabilities / temperature, key=now)

    return sample
