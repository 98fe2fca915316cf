"""Time for sessions and codes: the wall clock as it was when the process started, moved on by the monotonic clock.

A step of the wall clock while the node runs (somebody sets the date, NTP corrects a day) then neither revives an ended
session nor kills two hundred running ones. Across a restart the wall clock counts again: what it says is over is over, and
what claims to come from the future is over too, so a clock that was set back can't bring old tokens back to life.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from appliance.telemetry.clock import Clock, instant

FUTURE_TOLERANCE: Final = timedelta(minutes=5)


class SteadyTime:
    """Wall time without steps, from an injected clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._origin = clock.monotonic()

    def now(self) -> datetime:
        """Aware UTC; differences between two calls are true durations."""
        return self._wall + timedelta(seconds=self._clock.monotonic() - self._origin)

    def monotonic(self) -> float:
        """Seconds of the underlying monotonic clock."""
        return self._clock.monotonic()

    def instant(self, *, after_s: float = 0.0) -> str:
        """Now, or ``after_s`` seconds later, as a FHIR instant."""
        return instant(self.now() + timedelta(seconds=after_s))

    def remaining_s(self, issued_at: str, expires_at: str) -> float:
        """Seconds that something issued and expiring at these instants still has; 0 or less when it is over."""
        now, issued, expires = self.now(), datetime.fromisoformat(issued_at), datetime.fromisoformat(expires_at)
        if issued > now + FUTURE_TOLERANCE:
            return 0.0
        return min((expires - now).total_seconds(), (expires - issued).total_seconds())

    def elapsed_s(self, since: str) -> float:
        """Seconds since an instant; negative when it lies ahead."""
        return (self.now() - datetime.fromisoformat(since)).total_seconds()
