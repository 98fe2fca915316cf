"""One span for each HTTP request and WebSocket: method, route template, status, error code. Nothing of what was sent.

A path holds identifiers, a query and a body hold more: none of them is looked at. A client's ``traceparent`` is continued
when it is well-formed; it can't make the node record more than its own ratio allows.
"""

from __future__ import annotations

from typing import Any, Final

from hypercorn.typing import ASGIFramework

from appliance.api.errors import SERVER_ERROR
from appliance.api.quart_host import MATCH
from appliance.api.routing import KNOWN_METHODS, Match
from appliance.telemetry.tracing import Kind, Span, Tracer, within
from appliance.telemetry.tracing_context import TraceContext, parse_traceparent

_UNTRACED: Final = (b"/health/", b"/metrics")
"""Asked every few seconds by machines."""
_TRACEPARENT: Final = b"traceparent"
_SWITCHED: Final = 101


class TracedApplication:
    """An ASGI application around another one."""

    def __init__(self, inner: ASGIFramework, tracer: Tracer) -> None:
        self._inner: Any = inner
        self._tracer = tracer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["raw_path"].startswith(_UNTRACED):
            await self._inner(scope, receive, send)
            return
        method = KNOWN_METHODS.get(scope["method"], "(other)") if scope["type"] == "http" else "WEBSOCKET"
        span = self._tracer.begin(method, Kind.SERVER, asked_by(scope))
        span.set("http.request.method", method)
        with within(span):
            try:
                await self._inner(scope, receive, _listening(span, send) if span.recorded else send)
            finally:
                _name(span, method, scope["state"].get(MATCH))


def asked_by(scope: Any) -> TraceContext | None:
    """The client's trace; none if it names two, or none that is well-formed."""
    named = [value for name, value in scope["headers"] if name.lower() == _TRACEPARENT]
    return parse_traceparent(named[0].decode("latin-1").strip()) if len(named) == 1 else None


def _listening(span: Span, send: Any) -> Any:
    async def listening(message: Any) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            span.set("http.response.status_code", message["status"])
            if message["status"] >= SERVER_ERROR:
                span.fail(f"http_{message['status']}")
        elif kind == "websocket.accept":
            span.set("http.response.status_code", _SWITCHED)
        await send(message)

    return listening


def _name(span: Span, method: str, match: Match | None) -> None:
    route = match.template if match is not None else "(none)"
    span.rename(f"{method} {route}")
    span.set("http.route", route)
