"""Routes of a plugin, behind a gate that closes when the plugin is quarantined while the node runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from appliance.plugin_api.http import AnyRoute, Handler, Reply, Route, StaticFolder, WebSocketHandler
from appliance.plugin_host.errors import PLUGIN_UNAVAILABLE


def gated(plugin: str, route: AnyRoute, is_open: Callable[[], bool]) -> AnyRoute:
    """``route``, answering ``plugin.unavailable`` (503) once ``is_open`` says no. Static folders hold no code."""
    if isinstance(route, StaticFolder):
        return route
    if isinstance(route, Route):
        return replace(route, handler=_gated_handler(plugin, route.handler, is_open))
    return replace(route, handler=_gated_session(plugin, route.handler, is_open))


def _gated_handler(plugin: str, handler: Handler, is_open: Callable[[], bool]) -> Handler:
    async def answer(request: Any) -> Reply:
        if not is_open():
            raise PLUGIN_UNAVAILABLE(plugin=plugin)
        return await handler(request)

    return answer


def _gated_session(plugin: str, handler: WebSocketHandler, is_open: Callable[[], bool]) -> WebSocketHandler:
    async def talk(session: Any) -> None:
        if not is_open():
            raise PLUGIN_UNAVAILABLE(plugin=plugin)
        await handler(session)

    return talk
