"""The switch: a tracer that sends, or the silent one. What sending needs is imported only when it is switched on."""

from __future__ import annotations

from contextlib import AsyncExitStack

from appliance.config.model import Config
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import SILENT, Tracer


def open_tracer(stack: AsyncExitStack, config: Config, metrics: Metrics, node: str, version: str) -> Tracer:
    """What ``[tracing]`` asks for, on the running loop; ``stack`` sends the last spans and stops it.

    Raises:
        OSError: the file ``tracing.ca`` can't be used.
    """
    if not config.tracing.enabled:
        return SILENT
    from appliance.telemetry.tracing_delivery import Delivery

    resource = {"service.name": "prontuario", "service.version": version, "service.instance.id": node}
    delivery = Delivery(config.tracing, config.alerts.networks, resource, metrics)
    delivery.start()
    stack.push_async_callback(delivery.close)
    return Tracer(delivery.put, config.tracing.sample_ratio)
