"""One decoder batch over many users' utterances: rows join while others speak and leave as soon as they have ended.

mlx-whisper decodes a batch with one prompt and one set of options and waits for its slowest row. Here every row has its own
beginning, language, temperature and random stream. Rows are aligned at their newest token: shorter ones are padded on the left,
padding is masked out, and positions count from a row's own first token, so that a row says what it would say alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx_whisper.whisper import MultiHeadAttention, Whisper

from plugins.whisper_stt.engine_rules import TokenRules

_MASKED: Final = -1e9
"""Finite, so that a padded column, which sees nothing at all, does not become NaN; its weight in others is exactly zero."""
_LONGEST_LOOP: Final = 12
_LOOP_REPEATS: Final = 4
"""The same one to twelve tokens four times in a row: a lost decoder, for no dictation says that."""


@dataclass(slots=True)
class SpokenRow:
    """One utterance in the decoder. ``features`` has shape (audio positions, state)."""

    key: int
    features: mx.array
    beginning: list[int]
    most_tokens: int
    temperature: float = 0.0
    random: mx.array | None = None
    """The row's own random stream; needed when ``temperature`` is above 0."""
    tokens: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    no_speech_probability: float = 0.0
    looped: bool = False

    @property
    def mean_log_probability(self) -> float:
        """Per token, the end counted: Whisper's measure of being sure."""
        return self.log_probability / (len(self.tokens) + 1)


class DecoderBatch:
    """The rows that are being decoded. Not thread-safe: one thread steps it."""

    def __init__(self, model: Whisper, rules: TokenRules) -> None:
        self._model = model
        self._rules = rules
        self._rows: list[SpokenRow] = []
        self._own: list[tuple[mx.array, mx.array]] = []
        """Keys and values of each layer's self-attention, shape (rows, columns, state)."""
        self._heard: list[tuple[mx.array, mx.array]] = []
        """Keys and values of each layer's cross-attention, shape (rows, audio positions, state)."""
        self._padding = np.zeros(0, np.int64)
        """Columns at the left of each row that hold nothing."""
        self._columns = 0

    def __len__(self) -> int:
        return len(self._rows)

    def detect_languages(self, features: mx.array) -> list[str]:
        """The most probable language of each utterance; ``features`` has shape (utterances, audio positions, state)."""
        start = mx.full((features.shape[0], 1), self._rules.sot)
        logits, _, _ = self._model.decoder(start, features)
        found = (logits[:, 0] + self._rules.languages).argmax(axis=-1)
        return [self._rules.language(int(token)) for token in np.array(found)]

    def join(self, rows: Sequence[SpokenRow]) -> list[SpokenRow]:
        """Let utterances join; each has its first token after this. Returns those that ended with it."""
        columns = max(len(row.beginning) for row in rows)
        padding = np.array([columns - len(row.beginning) for row in rows])
        tokens = np.array([[0] * int(pad) + row.beginning for pad, row in zip(padding, rows, strict=True)])
        features = mx.stack([row.features for row in rows])
        heard = [
            (block.cross_attn.key(features), block.cross_attn.value(features)) for block in self._model.decoder.blocks
        ]
        states, own = self._forward(mx.array(tokens), padding, None, heard, columns)
        at_start = [columns - 1 - row.beginning[::-1].index(self._rules.sot) for row in rows]
        embed = self._model.decoder.token_embedding.as_linear
        silent = mx.softmax(embed(states[mx.arange(len(rows)), mx.array(at_start)]), axis=-1)[:, self._rules.no_speech]
        for row, value in zip(rows, np.array(silent.astype(mx.float32)), strict=True):
            row.no_speech_probability = float(value)
        logits = embed(states[:, -1]) + self._rules.first
        self._merge(list(rows), own, heard, padding, columns)
        return self._choose(logits, first=len(self._rows) - len(rows))

    def step(self) -> list[SpokenRow]:
        """One more token for every row; returns those that ended."""
        if not self._rows:
            return []
        inputs = mx.array([[row.tokens[-1]] for row in self._rows])
        states, self._own = self._forward(inputs, self._padding, self._own, self._heard, self._columns + 1)
        self._columns += 1
        logits = self._model.decoder.token_embedding.as_linear(states[:, -1]) + self._rules.later
        return self._choose(logits, first=0)

    def remove(self, keys: set[int]) -> None:
        """Let rows go wherever they are."""
        if any(row.key in keys for row in self._rows):
            self._keep([place for place, row in enumerate(self._rows) if row.key not in keys])

    # -- the forward pass -------------------------------------------------------------------------------------------------
    def _forward(
        self,
        tokens: mx.array,
        padding: np.ndarray[Any, np.dtype[np.int64]],
        own: list[tuple[mx.array, mx.array]] | None,
        heard: list[tuple[mx.array, mx.array]],
        columns: int,
    ) -> tuple[mx.array, list[tuple[mx.array, mx.array]]]:
        """States of the new columns, shape (rows, new columns, state), and the grown keys and values."""
        decoder = self._model.decoder
        new = tokens.shape[1]
        column = np.arange(columns - new, columns)
        positions = np.maximum(column[None, :] - padding[:, None], 0)
        x = decoder.token_embedding(tokens) + decoder.positional_embedding[mx.array(positions)]
        mask = _mask(padding, column, columns).astype(x.dtype)
        grown = []
        for layer, block in enumerate(decoder.blocks):
            normed = block.attn_ln(x)
            keys, values = block.attn.key(normed), block.attn.value(normed)
            if own is not None:
                keys = mx.concatenate([own[layer][0], keys], axis=1)
                values = mx.concatenate([own[layer][1], values], axis=1)
            grown.append((keys, values))
            x = x + _attend(block.attn, normed, keys, values, mask)
            x = x + _attend(block.cross_attn, block.cross_attn_ln(x), *heard[layer], None)
            x = x + block.mlp2(nn.gelu(block.mlp1(block.mlp_ln(x))))
        return decoder.ln(x), grown

    # -- rows ---------------------------------------------------------------------------------------------------------------
    def _merge(
        self,
        rows: list[SpokenRow],
        own: list[tuple[mx.array, mx.array]],
        heard: list[tuple[mx.array, mx.array]],
        padding: np.ndarray[Any, np.dtype[np.int64]],
        columns: int,
    ) -> None:
        wide = max(self._columns, columns)
        if self._rows:
            own = [
                (_stack(mine[0], new[0], wide), _stack(mine[1], new[1], wide))
                for mine, new in zip(self._own, own, strict=True)
            ]
            heard = [
                (mx.concatenate([mine[0], new[0]]), mx.concatenate([mine[1], new[1]]))
                for mine, new in zip(self._heard, heard, strict=True)
            ]
        self._padding = np.concatenate([self._padding + (wide - self._columns), padding + (wide - columns)])
        self._own, self._heard, self._columns = own, heard, wide
        self._rows += rows

    def _choose(self, logits: mx.array, *, first: int) -> list[SpokenRow]:
        """Give the rows from ``first`` on their next token; returns those that ended and lets them go."""
        rows = self._rows[first:]
        logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
        chosen = logits.argmax(axis=-1)
        warm = [place for place, row in enumerate(rows) if row.temperature > 0]
        if warm:
            picked = [self._draw(rows[place], logits[place]) for place in warm]
            chosen[mx.array(warm)] = mx.stack(picked).astype(chosen.dtype)
        told = logprobs[mx.arange(len(rows)), chosen].astype(mx.float32)
        mx.eval(chosen, told, self._own)
        ended = []
        for row, token, value in zip(rows, np.array(chosen).tolist(), np.array(told).tolist(), strict=True):
            if self._take(row, token, value):
                ended.append(row)
        if ended:
            gone = {id(row) for row in ended}
            self._keep([place for place, row in enumerate(self._rows) if id(row) not in gone])
        return ended

    @staticmethod
    def _draw(row: SpokenRow, logits: mx.array) -> mx.array:
        stream = mx.random.key(row.key) if row.random is None else row.random
        row.random, now = mx.random.split(stream)
        return mx.random.categorical(logits / row.temperature, key=now)

    def _take(self, row: SpokenRow, token: int, log_probability: float) -> bool:
        """Whether the row ended with this token."""
        row.log_probability += log_probability
        if token == self._rules.eot or math.isnan(log_probability):
            return True
        row.tokens.append(token)
        row.looped = loop_period(row.tokens) > 0
        length = len(row.beginning) + len(row.tokens)
        return row.looped or len(row.tokens) >= row.most_tokens or length >= self._model.dims.n_text_ctx

    def _keep(self, places: list[int]) -> None:
        self._rows = [self._rows[place] for place in places]
        if not places:
            self._own, self._heard, self._columns = [], [], 0
            self._padding = np.zeros(0, np.int64)
            return
        self._padding = self._padding[places]
        spare = int(self._padding.min())
        self._padding = self._padding - spare
        self._columns -= spare
        index = mx.array(places)
        self._own = [(keys[index][:, spare:], values[index][:, spare:]) for keys, values in self._own]
        self._heard = [(keys[index], values[index]) for keys, values in self._heard]


def loop_period(tokens: Sequence[int]) -> int:
    """The length of the short sequence that the tokens end in, said again and again; 0 when they don't."""
    for period in range(1, _LONGEST_LOOP + 1):
        length = period * _LOOP_REPEATS
        if len(tokens) >= length and all(tokens[-at] == tokens[-at - period] for at in range(1, length - period + 1)):
            return period
    return 0


def without_loop(tokens: list[int]) -> list[int]:
    """The tokens with the repeated end said once."""
    period = loop_period(tokens)
    return tokens[: len(tokens) - period * (_LOOP_REPEATS - 1)] if period else list(tokens)


def _attend(
    attention: MultiHeadAttention, x: mx.array, keys: mx.array, values: mx.array, mask: mx.array | None
) -> mx.array:
    """Scaled dot-product attention with the module's weights; ``mask`` has shape (rows, 1, new columns, columns)."""
    query = attention.query(x)
    rows, new, state = query.shape
    heads = attention.n_head
    scale = (state // heads) ** -0.5
    parts = [part.reshape(rows, part.shape[1], heads, -1).transpose(0, 2, 1, 3) for part in (query, keys, values)]
    out = mx.fast.scaled_dot_product_attention(*parts, scale=scale, mask=mask)
    mixed: mx.array = attention.out(out.transpose(0, 2, 1, 3).reshape(rows, new, state))
    return mixed


def _mask(
    padding: np.ndarray[Any, np.dtype[np.int64]], column: np.ndarray[Any, np.dtype[np.int64]], columns: int
) -> mx.array:
    """What each new column may see: columns up to itself that hold something; shape (rows, 1, new columns, columns)."""
    seen = np.arange(columns)
    causal = seen[None, :] <= column[:, None]
    held = seen[None, :] >= padding[:, None]
    return mx.array(np.where(causal[None] & held[:, None], 0.0, _MASKED).astype(np.float32)[:, None])


def _stack(mine: mx.array, new: mx.array, columns: int) -> mx.array:
    """Both on top of each other, each padded on the left to ``columns``."""
    padded = [mx.pad(part, [(0, 0), (columns - part.shape[1], 0), (0, 0)]) for part in (mine, new)]
    return mx.concatenate(padded, axis=0)
