"""Routes that need a person who was confirmed anew, as ``[faces] required_for`` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from appliance.plugin_api.http import AnyRoute, Handler, Reply, Route
from appliance.security.faces.desk import FaceDesk

GUARDED: Final = {
    "sign": ("POST", "/api/notes/{note_id}/sign"),
    "export": ("GET", "/api/notes/{note_id}/export"),
}
"""What ``required_for`` may name, and the route that it means."""


def confirmed(routes: Sequence[AnyRoute], desk: FaceDesk) -> list[AnyRoute]:
    """``routes``, of which those that the configuration names first ask for a confirmation.

    Raises:
        ValueError: a route that the configuration names is not among them: it must not be left unguarded.
    """
    wanted = {GUARDED[name] for name in desk.required_for}
    missing = wanted - {(route.method, route.path) for route in routes if isinstance(route, Route)}
    if missing:
        raise ValueError(f"no such route to guard: {sorted(missing)}")
    return [
        replace(route, handler=_asking(route.handler, desk))
        if isinstance(route, Route) and (route.method, route.path) in wanted
        else route
        for route in routes
    ]


def _asking(handler: Handler, desk: FaceDesk) -> Handler:
    async def answer(request: Any) -> Reply:
        await desk.require(request.principal)
        return await handler(request)

    return answer
