"""Prometheus metrics. One registry per node (not the library's global one), so that tests and restarts start clean."""

from __future__ import annotations

from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

T = TypeVar("T")
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Makes and renders metrics; names start with ``prontuario_``, units are in the name (``_seconds``, ``_bytes``)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._made: dict[str, tuple[tuple[object, ...], Any]] = {}

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return self._get(Counter, name, text, labels)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return self._get(Gauge, name, text, labels)

    def histogram(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
        return self._get(Histogram, name, text, labels, buckets=LATENCY_BUCKETS_S)

    def _get(self, kind: type[T], name: str, text: str, labels: tuple[str, ...], **options: Any) -> T:
        """The metric, made on first use: a part that opens again (the record, with the role) goes on counting.

        Raises:
            ValueError: another part declared something else under this name.
        """
        declared = (kind, text, labels)
        if name not in self._made:
            make: Any = kind
            self._made[name] = declared, make(f"prontuario_{name}", text, labels, registry=self.registry, **options)
        known, metric = self._made[name]
        if known != declared:
            raise ValueError(f"the metric {name!r} is declared twice, as different things")
        found: T = metric
        return found

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
