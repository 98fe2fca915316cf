"""Health and metrics: alive, ready, primary; Prometheus text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec

from appliance.api.standing import Standing
from appliance.plugin_api.hooks import Health
from appliance.plugin_api.http import PUBLIC, AnyRoute, Reply, Request, Route
from appliance.security.errors import AUTH_DEVICE_REQUIRED
from appliance.telemetry.health import HealthRegistry, worst
from appliance.telemetry.metrics import Metrics

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"
UNREADY: Final = HTTPStatus.SERVICE_UNAVAILABLE


class PartHealth(msgspec.Struct, frozen=True):
    """One part's own judgement, in the reader's language where the part has words for it; ``advice`` is the next step."""

    status: str
    message: str
    advice: str


class Readiness(msgspec.Struct, frozen=True, omit_defaults=True):
    """The worst of all parts; the parts themselves only for those who may read the node's state."""

    status: str
    mode: str
    role: str = ""
    """The node's role in its cluster; left out on a node alone."""
    parts: dict[str, PartHealth] = {}


class Liveness(msgspec.Struct, frozen=True):
    """The loop runs."""

    status: str


def health_routes(health: HealthRegistry, standing: Standing, metrics: Metrics) -> list[AnyRoute]:
    """``/health/live``, ``/health/ready``, ``/health/primary`` and ``/metrics``."""

    async def exposition(_request: Request) -> Reply:
        return Reply(body=metrics.render(), content_type=EXPOSITION)

    return [
        *_probes(health, standing),
        Route("GET", "/metrics", "node.read", exposition, "Prometheus metrics", tag="health"),
    ]


def standby_routes(health: HealthRegistry, standing: Standing, metrics: Metrics) -> list[AnyRoute]:
    """The same on a node without the record, where nobody can be logged in: metrics for any device of this hospital."""

    async def exposition(request: Request) -> Reply:
        if request.device_certificate is None:
            raise AUTH_DEVICE_REQUIRED()
        return Reply(body=metrics.render(), content_type=EXPOSITION)

    return [*_probes(health, standing), _public("/metrics", exposition, "Prometheus metrics", None)]


def _probes(health: HealthRegistry, standing: Standing) -> list[AnyRoute]:
    async def live(_request: Request) -> Reply:
        return Reply(body=Liveness("ok"))

    async def ready(request: Request) -> Reply:
        answers = await health.ask()
        status = worst(answers)
        parts = (
            {name: _told(part, request.language) for name, part in answers.items()} if _may_read_node(request) else {}
        )
        answer = Readiness(status, standing.mode, standing.role, parts)
        return Reply(UNREADY if status == "failed" else HTTPStatus.OK, answer)

    async def primary(_request: Request) -> Reply:
        writable = standing.writable
        return Reply(HTTPStatus.OK if writable else UNREADY, Liveness("primary" if writable else "standby"))

    return [
        _public("/health/live", live, "Whether the node runs", Liveness),
        _public("/health/ready", ready, "Whether every part is well; details with node.read", Readiness),
        _public("/health/primary", primary, "200 on the node that may write", Liveness),
    ]


def _told(part: Health, language: str) -> PartHealth:
    if language == "en":
        return PartHealth(part.status, part.message, part.advice)
    return PartHealth(part.status, part.message_pt or part.message, part.advice_pt or part.advice)


def _public(path: str, handler: Callable[[Request], Awaitable[Reply]], summary: str, response: Any) -> Route:
    return Route("GET", path, PUBLIC, handler, summary, response=response, tag="health", hot=True)


def _may_read_node(request: Request) -> bool:
    caller = getattr(request, "caller", None)
    return caller is not None and bool(caller.may("node.read"))
