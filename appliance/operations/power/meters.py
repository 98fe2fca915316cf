"""The UPS's figures for Prometheus; a node without a UPS has none of them."""

from __future__ import annotations

import math

from appliance.operations.power.decide import Action, State
from appliance.operations.power.reading import Reading, Supply
from appliance.telemetry.metrics import Metrics


class PowerMeters:
    """Gauges of the last look, and what was ordered."""

    def __init__(self, metrics: Metrics) -> None:
        self._up = metrics.gauge("ups_up", "Whether the UPS answers")
        self._battery = metrics.gauge("ups_on_battery", "Whether this node believes to be on battery")
        self._low = metrics.gauge("ups_battery_low", "Whether this node believes the battery to end soon")
        self._worn = metrics.gauge("ups_battery_worn", "Whether the UPS asks for a new battery")
        self._charge = metrics.gauge("ups_charge_percent", "How full the battery is; NaN: not told")
        self._runtime = metrics.gauge("ups_runtime_seconds", "How long the battery lasts; NaN: not told")
        self._shedding = metrics.gauge("power_shedding", "Whether background work is held back to save the battery")
        self._actions = metrics.counter("power_actions_total", "What was ordered because of the power", ("action",))

    def show(self, state: State, reading: Reading | None) -> None:
        """The last look; a silent UPS keeps what was believed, and has no figures."""
        self._up.set(reading is not None)
        self._battery.set(state.supply is not Supply.MAINS)
        self._low.set(state.supply is Supply.LOW)
        self._worn.set(reading is not None and reading.worn)
        self._charge.set(_figure(reading.charge_percent if reading else None))
        self._runtime.set(_figure(reading.runtime_s if reading else None))
        self._shedding.set(state.shedding)

    def acted(self, action: Action) -> None:
        """``action`` is carried out."""
        self._actions.labels(action.value).inc()


def _figure(value: float | None) -> float:
    return math.nan if value is None else value
