"""Caches of prompts' beginnings, so that a conversation's next turn does not read everything again.

Only whole beginnings are used, at exactly the token where they were taken: a rotating cache can't be cut back, but it can be
continued. A beginning belongs to one namespace (user and patient); a lookup never leaves it, except to the product's own
instructions, which hold nothing of anybody. Least recently used leaves first, by bytes and by age.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import mlx.core as mx

SHARED: Final = "\0product"
"""The namespace of the product's own instructions; no tenant can have this name (tenants are ``user|patient``)."""
_WORTH_TOKENS: Final = 16
"""Shorter beginnings are read faster than they are found."""


@dataclass(slots=True)
class _Entry:
    tokens: tuple[int, ...]
    cache: list[Any]
    nbytes: int
    used_at: float


class PrefixCache:
    """Holds at most ``max_bytes`` (0: nothing) for at most ``max_age_s`` seconds after its last use."""

    def __init__(self, max_bytes: int, max_age_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._clock = clock
        self._entries: OrderedDict[tuple[str, tuple[int, ...]], _Entry] = OrderedDict()
        self._lengths: dict[str, dict[int, int]] = {}
        """Per namespace: how many entries have which length; a lookup tries only these."""
        self.nbytes = 0
        self.hits = 0
        self.hit_tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    def longest(self, tenant: str, prompt: Sequence[int]) -> tuple[list[int], list[Any]] | None:
        """The longest known proper beginning of ``prompt``: its tokens and their cache, which the caller must not change."""
        self._forget_old()
        tried = [(length, space) for space in (tenant, SHARED) for length in self._lengths.get(space, {})]
        for length, space in sorted(tried, reverse=True):
            if length >= len(prompt):
                continue
            key = (space, tuple(prompt[:length]))
            entry = self._entries.get(key)
            if entry is not None:
                entry.used_at = self._clock()
                self._entries.move_to_end(key)
                self.hits += 1
                self.hit_tokens += length
                return list(entry.tokens), entry.cache
        return None

    def wants(self, tenant: str, tokens: Sequence[int]) -> bool:
        """Whether this beginning is worth keeping and not known yet."""
        return self.max_bytes > 0 and len(tokens) >= _WORTH_TOKENS and (tenant, tuple(tokens)) not in self._entries

    def keep(self, tenant: str, tokens: Sequence[int], cache: list[Any]) -> None:
        """Keep a beginning, and let older ones go for it. ``cache`` is evaluated, so that nothing larger stays alive behind it."""
        mx.eval([layer.state for layer in cache])
        nbytes = sum(int(layer.nbytes) for layer in cache)
        if nbytes > self.max_bytes or not self.wants(tenant, tokens):
            return
        key = (tenant, tuple(tokens))
        self._entries[key] = _Entry(key[1], cache, nbytes, self._clock())
        lengths = self._lengths.setdefault(tenant, {})
        lengths[len(key[1])] = lengths.get(len(key[1]), 0) + 1
        self.nbytes += nbytes
        while self.nbytes > self.max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget_old(self) -> None:
        limit = self._clock() - self._max_age_s
        while self._entries:
            key, entry = next(iter(self._entries.items()))
            if entry.used_at >= limit:
                return
            self._forget(key)

    def _forget(self, key: tuple[str, tuple[int, ...]]) -> None:
        self.nbytes -= self._entries.pop(key).nbytes
        space, tokens = key
        lengths = self._lengths[space]
        lengths[len(tokens)] -= 1
        if not lengths[len(tokens)]:
            del lengths[len(tokens)]
        if not lengths:
            del self._lengths[space]

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._lengths.clear()
        self.nbytes = 0
