"""Slowing down guesses: the more wrong attempts, the longer the wait; then a lock for a while.

Counted per (person, device), so that nobody can lock a physician out from another phone, and per device, so that one phone
can't try everybody. Attempts count from their beginning: a hundred at once are not a hundred free guesses.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from appliance.security.errors import AUTH_LOCKED, AUTH_THROTTLED


@dataclass(frozen=True, slots=True)
class Limits:
    """``free`` attempts cost nothing, then 1, 2, 4, … s up to ``longest_s``; from ``lock_at`` on ``lock_s``."""

    free: int
    lock_at: int
    longest_s: float = 60.0
    lock_s: float = 900.0
    forget_s: float = 3600.0


PERSON_ON_DEVICE: Final = Limits(free=3, lock_at=10)
DEVICE: Final = Limits(free=30, lock_at=60, forget_s=900.0)
_MAX_ENTRIES: Final = 10_000


@dataclass(slots=True)
class _Count:
    attempts: int = 0
    blocked_until: float = 0.0
    last: float = 0.0


class Throttle:
    """In memory, on monotonic time: a restart forgives, a wall-clock step does not."""

    def __init__(self, limits: Limits, monotonic: Callable[[], float]) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self._counts: OrderedDict[Hashable, _Count] = OrderedDict()

    def begin(self, key: Hashable) -> None:
        """Count an attempt as wrong until ``succeeded`` or ``withdraw`` says otherwise.

        Raises:
            ProntuarioError: ``auth.throttled`` or ``auth.locked`` 429 with ``retry_after``.
        """
        now = self._monotonic()
        count = self._count(key, now)
        if now < count.blocked_until:
            wait = count.blocked_until - now
            kind = AUTH_LOCKED if count.attempts >= self._limits.lock_at else AUTH_THROTTLED
            raise kind(retry_after=wait, seconds=math.ceil(wait))
        count.attempts += 1
        count.last = now
        count.blocked_until = now + self._delay(count.attempts)

    def succeeded(self, key: Hashable) -> None:
        """The attempt was right: start anew."""
        self._counts.pop(key, None)

    def withdraw(self, key: Hashable) -> None:
        """The attempt told nothing (we were too busy), or was right under a key that success must not reset."""
        count = self._counts.get(key)
        if count is not None:
            count.attempts = max(0, count.attempts - 1)
            count.blocked_until = count.last + self._delay(count.attempts)

    def is_locked(self, key: Hashable) -> bool:
        """Whether the last attempt made it a lock."""
        count = self._counts.get(key)
        return count is not None and count.attempts >= self._limits.lock_at

    def _count(self, key: Hashable, now: float) -> _Count:
        count = self._counts.get(key)
        if count is None or now - count.last > max(self._limits.forget_s, self._limits.lock_s):
            count = self._counts[key] = _Count(last=now)
        self._counts.move_to_end(key)
        while len(self._counts) > _MAX_ENTRIES:
            self._counts.popitem(last=False)
        return count

    def _delay(self, attempts: int) -> float:
        if attempts >= self._limits.lock_at:
            return self._limits.lock_s
        over = attempts - self._limits.free
        return 0.0 if over < 0 else float(min(self._limits.longest_s, 2.0**over))
