"""Health and metrics: alive, ready, primary; Prometheus text."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from appliance.plugin_api.http import PUBLIC, AnyRoute, Reply, Request, Route
from appliance.telemetry.health import HealthRegistry, worst
from appliance.telemetry.metrics import Metrics

EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
UNREADY = 503
READ_ONLY = "read-only"


class Mode(Protocol):
    """What an acknowledgement means now."""

    @property
    def mode(self) -> str: ...


class PartHealth(msgspec.Struct, frozen=True):
    """One part's own judgement; ``advice`` is the next step."""

    status: str
    message: str
    advice: str


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worst of all parts; the parts themselves only for those who may read the node's state."""

    status: str
    mode: str
    parts: dict[str, PartHealth] = {}


class Liveness(msgspec.Struct, frozen=True):
    """The loop runs."""

    status: str


def health_routes(health: HealthRegistry, store: Mode, metrics: Metrics) -> list[AnyRoute]:
    """``/health/live``, ``/health/ready``, ``/health/primary`` and ``/metrics``."""

    async def live(_request: Request) -> Reply:
        return Reply(body=Liveness("ok"))

    async def ready(request: Request) -> Reply:
        answers = await health.ask()
        status = worst(answers)
        parts = (
            {name: PartHealth(part.status, part.message, part.advice) for name, part in answers.items()}
            if _may_read_node(request)
            else {}
        )
        return Reply(UNREADY if status == "failed" else 200, Readiness(status, store.mode, parts))

    async def primary(_request: Request) -> Reply:
        writable = store.mode != READ_ONLY
        return Reply(200 if writable else UNREADY, Liveness("primary" if writable else "standby"))

    async def exposition(_request: Request) -> Reply:
        return Reply(body=metrics.render(), content_type=EXPOSITION)

    def public(path: str, handler: Any, summary: str, response: Any) -> Route:
        return Route("GET", path, PUBLIC, handler, summary, response=response, tag="health", hot=True)

    return [
        public("/health/live", live, "Whether the node runs", Liveness),
        public("/health/ready", ready, "Whether every part is well; details with node.read", Readiness),
        public("/health/primary", primary, "200 on the node that may write", Liveness),
        Route("GET", "/metrics", "node.read", exposition, "Prometheus metrics", tag="health"),
    ]


def _may_read_node(request: Request) -> bool:
    caller = getattr(request, "caller", None)
    return caller is not None and bool(caller.may("node.read"))
