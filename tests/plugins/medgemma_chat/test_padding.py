"""Padding that all rows share goes away, and no row sees a difference: before, at and beyond the turn of a sliding window."""

from __future__ import annotations

import random
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.models.cache import BatchKVCache, BatchRotatingKVCache

from plugins.medgemma_chat.engine import ChatEngine
from plugins.medgemma_chat.engine_padding import drop_shared_padding
from tests.plugins.medgemma_chat.driving import Answer, collect, request, submit

WINDOW, HEADS, WIDTH = 24, 2, 4


class Twin:
    """The same rows in two caches; only one of them is ever shortened."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.kept, self.shortened = (BatchRotatingKVCache(WINDOW, [0, 0, 0]) for _ in range(2))
        self.rows: list[list[int]] = [[], [], []]

    def read(self, lengths: list[int]) -> None:
        """A chunk of so many positions of each row, filled up on the right as mlx-lm does."""
        longest = max(lengths)
        new = self._positions(longest)
        for cache in (self.kept, self.shortened):
            cache.prepare(lengths=lengths, right_padding=[longest - length for length in lengths])
            cache.update_and_fetch(*new)
            cache.finalize()
        for row, length in zip(self.rows, lengths, strict=True):
            row.extend([0] * length)

    def leave(self, keep: list[int]) -> None:
        self.rows = [self.rows[at] for at in keep]
        for cache in (self.kept, self.shortened):
            cache.filter(mx.array(keep))

    def seen(self) -> tuple[Any, Any]:
        """What the rows see of one more position each: attention's result in both caches."""
        new, query = self._positions(1), self._array(1)
        for row in self.rows:
            row.append(0)
        return _attention(self.kept, query, new), _attention(self.shortened, query, new)

    def _positions(self, length: int) -> tuple[mx.array, mx.array]:
        return self._array(length), self._array(length)

    def _array(self, length: int) -> mx.array:
        return mx.array(self._rng.normal(size=(len(self.rows), HEADS, length, WIDTH)).astype(np.float32))


def _attention(cache: BatchRotatingKVCache, query: mx.array, new: tuple[mx.array, mx.array]) -> Any:
    mask = cache.make_mask(1)
    keys, values = cache.update_and_fetch(*new)
    return np.array(mx.fast.scaled_dot_product_attention(query, keys, values, scale=0.5, mask=mask))


def shared(cache: BatchRotatingKVCache) -> int:
    """Positions that are padding in every row."""
    return max(0, int(np.array(cache.left_padding).min()))


@pytest.mark.parametrize("longest", [14, 23, 30], ids=["short of the window", "about to turn", "turned"])
def test_rows_see_the_same_after_the_longest_has_left(longest: int) -> None:
    twin = Twin(longest)
    twin.read([longest, 5, 3])
    for _ in range(3):
        assert np.allclose(*twin.seen(), atol=1e-6)
    twin.leave([1, 2])
    assert shared(twin.kept) > WINDOW // 8
    drop_shared_padding([twin.shortened], twin.rows)
    assert shared(twin.shortened) == 0
    for _ in range(2 * WINDOW):
        before, after = twin.seen()
        assert np.allclose(before, after, atol=1e-6)
        drop_shared_padding([twin.shortened], twin.rows)


def test_a_newcomer_joins_a_shortened_cache() -> None:
    twin = Twin(7)
    twin.read([20, 6, 4])
    twin.leave([1, 2])
    drop_shared_padding([twin.shortened], twin.rows)
    for cache in (twin.kept, twin.shortened):
        other = BatchRotatingKVCache(WINDOW, [0])
        other.update_and_fetch(*(mx.arange(8 * WIDTH * HEADS, dtype=mx.float32).reshape(1, HEADS, 8, WIDTH),) * 2)
        cache.extend(other)
    twin.rows.append([0] * 8)
    for _ in range(2 * WINDOW):
        assert np.allclose(*twin.seen(), atol=1e-6)


def test_what_somebody_fills_and_other_kinds_of_cache_stay() -> None:
    twin = Twin(3)
    twin.read([20, 6, 4])
    full = BatchKVCache([4])
    full.update_and_fetch(*(mx.zeros((1, HEADS, 9, WIDTH)),) * 2)
    drop_shared_padding([twin.shortened, full], twin.rows)
    assert (twin.shortened._idx, full._idx) == (twin.kept._idx, 9)
    drop_shared_padding([BatchRotatingKVCache(WINDOW, [0])], [])
    drop_shared_padding([twin.shortened], [])
    assert twin.shortened._idx == twin.kept._idx


def test_people_who_come_one_after_another_leave_no_padding_behind(tiny_config: dict[str, Any]) -> None:
    engine = ChatEngine()
    engine.load({**tiny_config, "batch_size": 16})
    rng, answers = random.Random(4), dict[int, Answer]()
    worst = 0.0
    for number in range(24):
        submit(engine, number, request("tosse seca " * rng.randrange(2, 5), max_tokens=12), tenant=f"u{number}|")
        for _ in range(rng.randrange(1, 4)):
            if engine.busy():
                collect(engine, answers)
        worst = max(worst, padded_share(engine))
    while engine.busy():
        collect(engine, answers)
        worst = max(worst, padded_share(engine))
    assert all(answers[number].reason is not None for number in range(24))
    assert worst <= 1 / 8


def padded_share(engine: ChatEngine) -> float:
    """Of the sliding windows now in memory, the largest share that is padding in every row."""
    assert engine._buckets is not None
    batches = [
        batch
        for bucket in engine._buckets._buckets.values()
        for batch in (bucket.generator._generation_batch, bucket.generator._prompt_batch)
    ]
    caches = [
        cache
        for batch in batches
        for cache in batch.prompt_cache
        if isinstance(cache, BatchRotatingKVCache) and cache.keys is not None
    ]
    return max((shared(cache) / max(1, cache._idx) for cache in caches), default=0.0)
