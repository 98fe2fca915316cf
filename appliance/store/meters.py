"""The store's metrics, or none."""

from __future__ import annotations

from appliance.telemetry.metrics import Metrics


class StoreMeters:
    """Counts commits and how long they and the barrier took. Without ``metrics`` it does nothing."""

    def __init__(self, metrics: Metrics | None) -> None:
        self._on = metrics is not None
        if metrics is None:
            return
        self._writes = metrics.counter("store_writes_total", "Changes taken into a commit")
        self._commit_s = metrics.histogram("store_commit_seconds", "Time of one group commit")
        self._confirm_s = metrics.histogram("store_confirm_seconds", "Time of one pass of the durability barrier")
        self._unconfirmed = metrics.counter("store_unconfirmed_total", "Changes committed but not confirmed in time")

    def committed(self, changes: int, seconds: float) -> None:
        """One group was committed."""
        if self._on:
            self._writes.inc(changes)
            self._commit_s.observe(seconds)

    def confirmed(self, seconds: float) -> None:
        """The barrier was passed."""
        if self._on:
            self._confirm_s.observe(seconds)

    def unconfirmed(self, changes: int) -> None:
        """The barrier was not passed in time."""
        if self._on:
            self._unconfirmed.inc(changes)
