"""Sliding-window caches of a batch without padding that all of its rows share.

mlx-lm's ``BatchKVCache.filter`` takes such padding away, ``BatchRotatingKVCache`` never does (0.32). Whoever is read into a batch
behind somebody else is padded to that one's length and keeps it when the other has gone, so a few newcomers later the windows are
mostly padding: every step of every row looks at it. Nothing that a row sees changes here, and no number is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from mlx_lm.models.cache import BatchRotatingKVCache

_WORTH: Final = 8
"""An eighth of the cache or more: taking it away copies the rest once."""


def drop_shared_padding(caches: Iterable[Any], rows: Sequence[Sequence[int]]) -> None:
    """Shorten the sliding-window ones among ``caches`` (one for each layer) to what ``rows``, the tokens they hold, can fill."""
    longest = max(map(len, rows), default=0)
    for cache in caches:
        if longest and isinstance(cache, BatchRotatingKVCache) and cache.keys is not None:
            size = cache.keys.shape[2] if cache.rotated else cache._idx  # noqa: SLF001  mlx-lm has no name for either
            if (size - longest) * _WORTH >= size:
                _shorten(cache, size - longest)


def _shorten(cache: BatchRotatingKVCache, padding: int) -> None:
    """Drop the ``padding`` oldest positions; in order of time, as a cache that never turned round."""
    cache._temporal_order()  # noqa: SLF001
    cache.keys = cache.keys[..., padding:, :]
    cache.values = cache.values[..., padding:, :]
    cache.left_padding = cache.left_padding - padding
    cache._idx -= padding  # noqa: SLF001
    cache._offset = cache._idx  # noqa: SLF001
