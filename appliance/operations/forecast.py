"""When something is full: a robust line through what was recorded, and an honest "not enough history" where there is little.

Theil–Sen (Sen 1968): the median of the slopes between all pairs of days. Up to 29 % of wild days (an import, a clean-up)
do not move it. One value a day, the median of that day's samples: a busy hour is no trend.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import combinations
from typing import Final, Literal

import msgspec

DAY_S: Final = 86400.0
MIN_DAYS: Final = 7
MAX_DAYS: Final = 120
"""Older days say little of the next ones, and pairs grow with the square."""
FAR_DAYS: Final = 3650.0
Verdict = Literal["forecast", "steady", "too_little_history", "full"]


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """``days_left``: until ``limit`` at the pace of ``per_day``; None unless ``verdict`` is ``forecast`` or ``full`` (0).

    ``steady``: it does not grow, or so slowly that it lasts ten years. ``days``: with a sample; ``needed_days`` of them it takes.
    """

    what: str
    verdict: Verdict
    level: float
    limit: float
    days: int
    needed_days: int = MIN_DAYS
    per_day: float | None = None
    days_left: float | None = None


def forecast(what: str, samples: Sequence[tuple[float, float]], limit: float) -> Forecast:
    """``samples``: (seconds since 1970, level), in any order; ``limit``: the level at which it is full."""
    days = _days(samples)
    level = days[-1][1] if days else 0.0
    told = Forecast(what=what, verdict="too_little_history", level=level, limit=limit, days=len(days))
    if days and level >= limit:
        return msgspec.structs.replace(told, verdict="full", days_left=0.0)
    if len(days) < MIN_DAYS or days[-1][0] - days[0][0] < MIN_DAYS - 1:
        return told
    slope = statistics.median(
        (second[1] - first[1]) / (second[0] - first[0]) for first, second in combinations(days, 2)
    )
    if slope <= 0 or (limit - level) / slope > FAR_DAYS:
        return msgspec.structs.replace(told, verdict="steady", per_day=slope)
    left = (limit - level) / slope
    return msgspec.structs.replace(told, verdict="forecast", per_day=slope, days_left=round(left, 1))


def _days(samples: Sequence[tuple[float, float]]) -> list[tuple[int, float]]:
    """(day since 1970, that day's median), oldest first, the newest ``MAX_DAYS``."""
    by_day: dict[int, list[float]] = {}
    for at, level in samples:
        by_day.setdefault(int(at // DAY_S), []).append(level)
    return [(day, statistics.median(levels)) for day, levels in sorted(by_day.items())][-MAX_DAYS:]
