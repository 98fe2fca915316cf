"""A clock that a test moves by hand; wall and monotonic time apart, as on a machine whose date somebody sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class HandClock:
    """Starts at noon on 2026-03-02."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 3, 2, 12, tzinfo=UTC)
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_time(self, seconds: float) -> None:
        """Time goes by: both clocks move."""
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    def step_wall(self, seconds: float) -> None:
        """Somebody sets the date: only the wall clock moves."""
        self.wall += timedelta(seconds=seconds)
