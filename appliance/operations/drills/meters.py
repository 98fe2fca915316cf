"""Drills for Prometheus and the box's own alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from appliance.operations.drills.model import Summary
from appliance.telemetry.metrics import Metrics

LABEL: Final = ("drill",)


class Meters:
    """Gauges by the drill's name."""

    def __init__(self, metrics: Metrics) -> None:
        self._announced = metrics.gauge("drill_announced", "Whether a drill that interrupts people begins soon", LABEL)
        self._put_off = metrics.gauge(
            "drill_put_off",
            "Whether consults kept it from being made so often that a person must choose the time",
            LABEL,
        )
        self._failed = metrics.gauge("drill_failed", "Whether the last one failed", LABEL)
        self._ended = metrics.gauge(
            "drill_last_seconds", "When the last one ended, since 1970; 0: none since the start", LABEL
        )
        self._rto = metrics.gauge("drill_rto_seconds", "RTO that the last one measured; NaN: none", LABEL)
        self._rpo = metrics.gauge(
            "drill_rpo_writes", "Acknowledged writes that the last one missed; NaN: not measured", LABEL
        )

    def show(self, drill: str, put_off: bool) -> None:
        """From now on there is such a drill."""
        for gauge in (self._announced, self._failed, self._ended):
            gauge.labels(drill).set(0)
        self._put_off.labels(drill).set(put_off)
        for gauge in (self._rto, self._rpo):
            gauge.labels(drill).set(float("nan"))

    def announced(self, drill: str, *, on: bool) -> None:
        """It begins soon, or has begun."""
        self._announced.labels(drill).set(on)

    def put_off(self, drill: str) -> None:
        """Nobody found a quiet hour."""
        self._announced.labels(drill).set(0)
        self._put_off.labels(drill).set(1)

    def ended(self, told: Summary) -> None:
        """A report was made."""
        self._announced.labels(told.drill).set(0)
        self._put_off.labels(told.drill).set(0)
        self.recalled(told)

    def recalled(self, told: Summary) -> None:
        """What the last report said."""
        self._failed.labels(told.drill).set(told.outcome == "failed")
        self._ended.labels(told.drill).set(datetime.fromisoformat(told.ended_at).timestamp())
        for gauge, value in ((self._rto, told.rto_s), (self._rpo, told.rpo_writes)):
            gauge.labels(told.drill).set(float("nan") if value is None else value)
