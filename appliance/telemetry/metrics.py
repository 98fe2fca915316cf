"""Prometheus metrics. One registry per node (not the library's global one), so that tests and restarts start clean."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Makes and renders metrics; names start with ``prontuario_``, units are in the name (``_seconds``, ``_bytes``)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"prontuario_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"prontuario_{name}", text, labels, registry=self.registry)

    def histogram(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
        return Histogram(f"prontuario_{name}", text, labels, registry=self.registry, buckets=LATENCY_BUCKETS_S)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
