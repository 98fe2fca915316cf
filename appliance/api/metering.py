"""Request metrics: how many, how long, how many at once, by route template (never by path: a path holds identifiers)."""

from __future__ import annotations

from typing import Any

from appliance.telemetry.metrics import Metrics


class Meters:
    """Counts requests. Label children are kept, for looking them up costs more than counting."""

    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter("http_requests_total", "Requests answered", ("method", "route", "status"))
        self._latency = metrics.histogram("http_request_seconds", "Time to the answer", ("method", "route"))
        self._replays = metrics.counter("http_idempotent_replays_total", "Repeats answered with the first reply")
        self._unaudited = metrics.counter("http_audit_failures_total", "Requests refused for want of an audit event")
        self.running = 0
        metrics.gauge("http_requests_running", "Requests in progress").set_function(lambda: self.running)
        self.streams = metrics.gauge("http_streams_open", "Event streams and WebSockets open")
        self._known: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request was answered."""
        key = (method, route, status)
        children = self._known.get(key)
        if children is None:
            children = (self._requests.labels(method, route, str(status)), self._latency.labels(method, route))
            self._known[key] = children
        children[0].inc()
        children[1].observe(seconds)

    def count_replay(self) -> None:
        """A repeat was answered from memory."""
        self._replays.inc()

    def count_unaudited(self) -> None:
        """An audit event could not be written."""
        self._unaudited.inc()
