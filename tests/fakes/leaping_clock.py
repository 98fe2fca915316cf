"""A clock that a test moves on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from appliance.telemetry.clock import SystemClock


class LeapingClock:
    """The machine's clock plus ``ahead``; monotonic time moves with it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return SystemClock().monotonic() + self.ahead.total_seconds()
