"""FHIR R4 REST below ``/fhir/R4`` (FHIR R4 §3.1.0). Patient has routes, and permissions, of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from appliance.api.fhir_capability import capability_statement
from appliance.api.fhir_outcome import FHIR_JSON, render_error
from appliance.api.fhir_read import ReadHandlers
from appliance.api.fhir_replies import BASE
from appliance.api.fhir_write import WriteHandlers
from appliance.plugin_api.http import AnyRoute, Reply, Request, Route
from appliance.plugin_api.storage import Store
from appliance.telemetry.clock import Clock, SystemClock

__all__ = ["render_error", "routes"]

Handler = Callable[[Any], Awaitable[Reply]]


def routes(store: Store, *, clock: Clock | None = None) -> list[AnyRoute]:
    """Every FHIR route over ``store``. Errors on these paths are rendered by ``render_error``."""
    read, write = ReadHandlers(store), WriteHandlers(store, clock or SystemClock())
    return [
        _route("GET", "/metadata", "record.read", _metadata, "What this FHIR service can do", hot=False),
        _route("POST", "", "record.write", write.bundle, "Carry out a transaction or batch Bundle"),
        *_type_routes("/{type}", "record", read, write),
        *_type_routes("/Patient", "patient", read, write),
        _route("GET", "/Patient/{id}/$everything", "record.read", read.everything, "Everything about one patient"),
    ]


def _type_routes(prefix: str, domain: str, read: ReadHandlers, write: WriteHandlers) -> list[AnyRoute]:
    may_read, may_write = f"{domain}.read", f"{domain}.write"
    what = "a patient" if domain == "patient" else "a resource"
    one, version = f"{prefix}/{{id}}", f"{prefix}/{{id}}/_history/{{version}}"
    return [
        _route("GET", one, may_read, read.read, f"Read {what}", hot=True),
        _route("GET", version, may_read, read.read_version, f"Read one version of {what}", hot=True),
        _route("GET", f"{one}/_history", may_read, read.history, f"Versions of {what}"),
        _route("GET", f"{prefix}/_history", may_read, read.history, "Versions of all resources of a type"),
        _route("GET", prefix, may_read, read.search, "Search", hot=True),
        _route("POST", f"{prefix}/_search", may_read, read.search, "Search, with parameters in the body"),
        _route("POST", prefix, may_write, write.create, f"Create {what}"),
        _route("PUT", one, may_write, write.update, f"Update {what} (If-Match)"),
        _route("DELETE", one, may_write, write.delete, f"Delete {what}; its versions stay"),
    ]


def _route(method: str, path: str, permission: str, handler: Handler, summary: str, *, hot: bool = False) -> Route:
    return Route(method, BASE + path, permission, handler, summary, tag="FHIR R4", hot=hot)


async def _metadata(_: Request) -> Reply:
    return Reply(200, capability_statement(), {}, FHIR_JSON)
