"""The whole API as one ASGI application: routes checked and wired, hot reads served in front of Quart."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from hypercorn.typing import ASGIFramework

from appliance.api.context import ApiRequest, Visit
from appliance.api.door import Authenticator, Door
from appliance.api.errors import ErrorPages, ErrorRenderer
from appliance.api.health import health_routes, standby_routes
from appliance.api.metering import Meters
from appliance.api.openapi import documentation_routes
from appliance.api.quart_host import MATCH, QuartHost
from appliance.api.replies import Answer
from appliance.api.routing import KNOWN_METHODS, Match, RouteTable
from appliance.api.standing import LoneNode, ServedStore, Standing
from appliance.api.streams import HEARTBEAT_S
from appliance.api.tracing import TracedApplication
from appliance.config.model import Api
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import PUBLIC, AnyRoute, Route, WebSocketRoute
from appliance.security import policy
from appliance.telemetry.clock import Clock
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.metrics import Metrics
from appliance.telemetry.tracing import SILENT, Tracer

LINGER_S: Final = 2.0


class Application:
    """Made by ``build_application``; served by ``appliance.api.server.serve``."""

    def __init__(
        self,
        table: RouteTable,
        standby: RouteTable,
        door: Door,
        config: Api,
        meters: Meters,
        *,
        recheck_s: float,
        tracer: Tracer,
    ) -> None:
        """``standby`` has what is served while the node's standing refuses everything else."""
        self.draining = asyncio.Event()
        self.routes: Sequence[AnyRoute] = tuple(table.routes)
        self._table = table
        self._standby = standby
        self._door = door
        self._standing = door.standing
        self._meters = meters
        self._host = QuartHost(door, config, recheck_s=recheck_s)
        self.asgi: ASGIFramework = TracedApplication(self._serve, tracer) if tracer.on else self._serve
        """The ASGI 3 callable."""

    def drain(self) -> None:
        """The node stops: streams and WebSockets end with a word, ordinary requests run to their end."""
        self.draining.set()
        self._host.drain()

    def hand_over(self) -> None:
        """This node no longer has the record: streams and WebSockets end with ``reconnect``; it goes on answering."""
        self._host.hand_over()

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        kind = scope["type"]
        try:
            if kind == "http":
                match = scope["state"][MATCH] = self._find(scope["method"], scope["raw_path"])
                route = match.route
                if isinstance(route, Route) and route.hot and not _has_body(scope):
                    request = ApiRequest(scope, route, match.parameters, self._door)
                    await _send(send, await self._door.answer(route, request))
                    return
            elif kind == "websocket":
                scope["state"][MATCH] = self._find_websocket(scope["raw_path"])
            else:
                return
        except ProntuarioError as error:
            await self._refuse(scope, receive, send, error)
            return
        with self._counted(kind):
            await self._host.quart(scope, receive, send)

    def _find(self, method: str, raw_path: bytes) -> Match:
        refusal = self._standing.refusal()
        if refusal is None:
            return self._table.find(method, raw_path)
        try:
            return self._standby.find(method, raw_path)
        except ProntuarioError:
            raise refusal from None

    def _find_websocket(self, raw_path: bytes) -> Match:
        refusal = self._standing.refusal()
        if refusal is not None:
            raise refusal
        return self._table.find_websocket(raw_path)

    def _counted(self, kind: str) -> Any:
        return self._meters.streams.track_inprogress() if kind == "websocket" else _Uncounted()

    async def _refuse(self, scope: Any, receive: Any, send: Any, error: ProntuarioError) -> None:
        """An answer before any route: no such address, method or path."""
        visit = Visit(scope, WebSocketRoute(scope["path"], PUBLIC, _nothing, ""), {})
        is_http = scope["type"] == "http"
        has_body = is_http and _has_body(scope)
        answer = self._door.refusal(error, visit, close=has_body and scope["http_version"] == "1.1")
        self._meters.count(KNOWN_METHODS.get(scope.get("method", ""), "(other)"), "(none)", answer.status, 0.0)
        kind = "http.response" if is_http else "websocket.http.response"
        await _send(send, answer, kind, receive if has_body else None)


def build_application(
    routes: Sequence[AnyRoute],
    *,
    identity: Authenticator,
    store: ServedStore,
    metrics: Metrics,
    config: Api,
    clock: Clock,
    health: HealthRegistry,
    plugin_routes: Mapping[str, Sequence[AnyRoute]] | None = None,
    known_permissions: Collection[str] = policy.KNOWN,
    renderers: Mapping[str, ErrorRenderer] | None = None,
    title: str = "Prontuário",
    version: str = "0.1.0",
    recheck_s: float = HEARTBEAT_S,
    standing: Standing | None = None,
    tracer: Tracer = SILENT,
) -> Application:
    """The API of one node.

    ``plugin_routes`` are by plugin name and must lie below ``/api/plugins/<name>/``; ``known_permissions`` is
    ``Policy.known`` with the plugins' own; ``renderers`` map a path prefix (``/fhir/``, ``/v1/``) to the shape in which its
    clients expect errors. Health, metrics and documentation routes are added here. Every ``recheck_s`` a stream shows that it is
    alive and its listener's session is checked again. ``standing`` is this node's place in a cluster; None: it is alone.
    ``tracer`` begins a span for each request.

    Raises:
        RouteError: a route without a known permission, without a summary, repeated, or outside its plugin's prefix.
    """
    meters, place = Meters(metrics), standing or LoneNode(store)
    own = [*routes, *health_routes(health, place, metrics)]
    every = [*own, *(route for offered in (plugin_routes or {}).values() for route in offered)]
    own.extend(documentation_routes(every, title=title, version=version))
    table = RouteTable(own, known_permissions=known_permissions, plugin_routes=plugin_routes)
    pages = ErrorPages(renderers or {})
    door = Door(identity=identity, store=store, standing=place, clock=clock, pages=pages, meters=meters)
    standby = RouteTable(standby_routes(health, place, metrics), known_permissions=())
    return Application(table, standby, door, config, meters, recheck_s=recheck_s, tracer=tracer)


class _Uncounted:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def _has_body(scope: Any) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"transfer-encoding" in names or b"content-length" in names


async def _send(send: Any, answer: Answer, kind: str = "http.response", receive: Any = None) -> None:
    await send({"type": f"{kind}.start", "status": answer.status, "headers": answer.headers})
    body = answer.body
    if receive is not None:
        await send({"type": f"{kind}.body", "body": body, "more_body": True})
        await _swallow(receive)
        body = b""
    await send({"type": f"{kind}.body", "body": body, "more_body": False})


async def _swallow(receive: Any) -> None:
    """Take in a body that nobody wants, so that the client hears why, within ``LINGER_S``."""
    try:
        async with asyncio.timeout(LINGER_S):
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass
    except TimeoutError:
        return


async def _nothing(_: Any) -> None:
    raise NotImplementedError
