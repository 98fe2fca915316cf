"""OpenAPI 3.1 made from the routes themselves, and a page to browse it that loads nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.http import PUBLIC, AnyRoute, Reply, Request, Route, StaticFolder, WebSocketRoute

PAGE_FOLDER: Final = Path(__file__).parent / "docs_page"
REF: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457; `code` never changes, `detail` and `next_step` are for people.",
    "required": ["type", "title", "status", "code", "detail", "next_step"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "next_step": {"type": "string"},
        "field": {"type": "string"},
        "instance": {"type": "string"},
        "retry_after": {"type": "number"},
        "details": {"type": "object"},
    },
}


def documentation_routes(described: Sequence[AnyRoute], *, title: str, version: str) -> list[AnyRoute]:
    """``/openapi.json`` for ``described`` and the page at ``/docs``; both are public and say nothing of any patient."""
    document = msgspec.json.encode(describe(described, title=title, version=version))

    async def openapi(_request: Request) -> Reply:
        return Reply(body=document)

    return [
        Route("GET", "/openapi.json", PUBLIC, openapi, "This description (OpenAPI 3.1)", tag="documentation"),
        StaticFolder("/docs", PAGE_FOLDER),
    ]


def describe(routes: Sequence[AnyRoute], *, title: str, version: str) -> dict[str, Any]:
    """The OpenAPI document (a WebSocket is described as a GET that answers 101)."""
    shapes = _shapes_of(routes)
    references, components = msgspec.json.schema_components(shapes, ref_template=REF)
    schema = {id(shape): reference for shape, reference in zip(shapes, references, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, StaticFolder):
            continue
        path = paths.setdefault(route.path, {})
        if isinstance(route, Route):
            path[route.method.lower()] = _operation(route, schema)
        else:
            path.setdefault("get", _operation(route, schema))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "device": {"type": "mutualTLS"},
            },
        },
    }


def _operation(route: Route | WebSocketRoute, schema: dict[int, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "tags": [route.tag or "general"],
        "x-permission": route.permission,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in _PARAMETER.findall(route.path)
        ],
        "responses": _responses(route, schema),
    }
    if route.permission != PUBLIC:
        operation["security"] = [{"token": [], "device": []}]
    if isinstance(route, WebSocketRoute):
        operation["x-websocket"] = True
    elif route.request is not None:
        operation["requestBody"] = {"required": True, "content": _json(schema[id(route.request)])}
    if isinstance(route, Route) and route.method != "GET":
        operation["parameters"].append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "maxLength": 128},
            }
        )
    return operation


def _responses(route: Route | WebSocketRoute, schema: dict[int, dict[str, Any]]) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}}
    refused = {"description": "What is wrong and what to do", "content": problem}
    if isinstance(route, WebSocketRoute):
        return {"101": {"description": "Switching protocols"}, "default": refused}
    success: dict[str, Any] = {"description": "Success"}
    if route.response is not None:
        success["content"] = _json(schema[id(route.response)])
    return {"2XX": success, "default": refused}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _shapes_of(routes: Sequence[AnyRoute]) -> list[Any]:
    found: dict[int, Any] = {}
    for route in routes:
        if isinstance(route, Route):
            for shape in (route.request, route.response):
                if shape is not None:
                    found.setdefault(id(shape), shape)
    return list(found.values())
