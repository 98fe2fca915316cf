"""When to stop restarting an engine that keeps dying."""

from __future__ import annotations

from collections import deque
from typing import Final

DEATHS: Final = 5
WINDOW_S: Final = 60.0
PAUSE_S: Final = 30.0
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0


class Circuit:
    """Five deaths within a minute open it; after a pause one trial is allowed, whose death opens it again at once.

    All times are seconds of one monotonic clock, handed in by the caller.
    """

    def __init__(self, *, deaths: int = DEATHS, window_s: float = WINDOW_S, pause_s: float = PAUSE_S) -> None:
        self._limit = deaths
        self._window_s = window_s
        self._pause_s = pause_s
        self._deaths: deque[float] = deque(maxlen=deaths)
        self._on_trial_until = float("-inf")

    def died(self, now: float) -> float | None:
        """Record a death. The seconds to wait before the next start, or None: the circuit is open now."""
        on_trial = now < self._on_trial_until
        self._deaths.append(now)
        recent = sum(now - moment < self._window_s for moment in self._deaths)
        if on_trial or recent >= self._limit:
            return None
        return min(LONGEST_WAIT_S, FIRST_WAIT_S * 4.0 ** (recent - 1))

    @property
    def pause_s(self) -> float:
        """How long an open circuit rests before its trial."""
        return self._pause_s

    def half_open(self, now: float) -> None:
        """The pause is over: one more start, on trial for a whole window."""
        self._deaths.clear()
        self._on_trial_until = now + self._window_s

    def reset(self) -> None:
        """An operator says that the cause is gone."""
        self._deaths.clear()
        self._on_trial_until = float("-inf")
