"""The figures of all engines of a node, by engine name."""

from __future__ import annotations

from appliance.telemetry.metrics import Metrics


class EngineMetrics:
    """One per node; every supervisor counts here."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = metrics.counter("engine_requests", "Requests by how they ended", ("engine", "outcome"))
        self.deaths = metrics.counter("engine_deaths", "Deaths of the child by cause", ("engine", "cause"))
        self.first_output = metrics.histogram(
            "engine_first_output_seconds", "From dispatch to the first piece of the answer", ("engine",)
        )
        self.waiting = metrics.gauge("engine_waiting", "Requests in the queue", ("engine",))
        self.running = metrics.gauge("engine_running", "Requests in the child", ("engine",))
        self.resident = metrics.gauge("engine_resident_bytes", "Resident memory of the child", ("engine",))
