"""The figures of all engines of a node, by engine name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from appliance.plugin_api.engine import EngineSpec, EngineStatus
from appliance.telemetry.metrics import Metrics


class Shown(Protocol):
    """An engine whose state is read whenever the metrics are."""

    @property
    def spec(self) -> EngineSpec: ...
    @property
    def waiting(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def away(self) -> int: ...
    @property
    def far_room(self) -> int: ...
    @property
    def resident_bytes(self) -> int: ...
    @property
    def status(self) -> EngineStatus: ...


class EngineMetrics:
    """One per node; every supervisor counts here."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = metrics.counter("engine_requests", "Requests by how they ended", ("engine", "outcome"))
        self.deaths = metrics.counter("engine_deaths", "Deaths of the child by cause", ("engine", "cause"))
        self.first_output = metrics.histogram(
            "engine_first_output_seconds", "From dispatch to the first piece of the answer", ("engine",)
        )
        self.queued = metrics.histogram(
            "engine_queue_seconds", "From the call to its dispatch, by lane", ("engine", "lane")
        )
        self.figures = metrics.gauge(
            "engine_figure",
            "What the child tells of itself: tokens, bytes of caches, seconds of prefill and decode, cache hits, cancels",
            ("engine", "figure"),
        )
        self.shared = metrics.counter(
            "engine_shared_requests",
            "Requests to the other node's engine: sent, answered, refused (their own fault), failed_over (run again here), "
            "broken (lost after a part of the answer was read)",
            ("engine", "event"),
        )
        self.away = metrics.gauge("engine_away", "Requests in the other node's engine", ("engine",))
        self.far_room = metrics.gauge("engine_far_room", "How many more the other node's engine may take", ("engine",))
        self.waiting = metrics.gauge("engine_waiting", "Requests in the queue", ("engine",))
        self.limit = metrics.gauge("engine_queue_limit", "How many requests the queue holds at most", ("engine",))
        self.circuit = metrics.gauge(
            "engine_circuit_open", "Whether it died too often and waits half a minute for its next trial", ("engine",)
        )
        self.running = metrics.gauge("engine_running", "Requests in the child", ("engine",))
        self.resident = metrics.gauge("engine_resident_bytes", "Resident memory of the child", ("engine",))

    def tell(self, engine: str, stats: Mapping[str, float]) -> None:
        """The figures of a child, as it told them last; they begin anew with every child."""
        for figure, value in stats.items():
            self.figures.labels(engine, figure).set(value)

    def show(self, engine: Shown) -> None:
        """From now on the gauges tell ``engine``'s state at the moment when they are read."""
        name = engine.spec.name
        self.waiting.labels(name).set_function(lambda: engine.waiting)
        self.running.labels(name).set_function(lambda: engine.running)
        self.limit.labels(name).set(engine.spec.queue_limit)
        self.circuit.labels(name).set_function(lambda: engine.status is EngineStatus.CIRCUIT_OPEN)
        self.away.labels(name).set_function(lambda: engine.away)
        self.far_room.labels(name).set_function(lambda: engine.far_room)
        self.resident.labels(name).set_function(lambda: engine.resident_bytes)
