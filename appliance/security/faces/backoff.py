"""How long the next attempt has to wait. Pure; counted per person on every device together, and kept with the record."""

from __future__ import annotations

from typing import Final

FREE: Final = 3
LOCK_AT: Final = 8
LONGEST_S: Final = 60.0
LOCK_S: Final = 900.0
FORGET_S: Final = 3600.0


def wait_s(attempts: int, since_last_s: float) -> float:
    """Seconds until a further attempt, ``since_last_s`` after the last of ``attempts`` in a row; 0: now.

    Three are free, then 1, 2, 4, … s, and from the eighth on a quarter of an hour. Time that runs backwards frees nobody.
    """
    return max(0.0, _delay_s(attempts) - max(0.0, since_last_s))


def counted(attempts: int, since_last_s: float) -> int:
    """The attempts that still count: an hour without one forgives."""
    return 0 if since_last_s > FORGET_S else attempts


def _delay_s(attempts: int) -> float:
    if attempts >= LOCK_AT:
        return LOCK_S
    return 0.0 if attempts < FREE else min(LONGEST_S, 2.0 ** (attempts - FREE))
