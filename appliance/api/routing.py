"""The table of routes: checked when it is built, asked once per request.

Paths are matched segment by segment on the undecoded path, literal parts before parameters, so that ``%2F`` inside an
identifier never changes the route. The application refuses to start on a route that names no known permission, repeats
another, or (a plugin's) leaves its own prefix.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from appliance.api.errors import METHOD_NOT_ALLOWED, PATH_MALFORMED, ROUTE_UNKNOWN
from appliance.plugin_api.http import PUBLIC, SELF, AnyRoute, Route, StaticFolder, WebSocketRoute

PLUGIN_PREFIX: Final = "/api/plugins/"
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
KNOWN_METHODS: Final = {name: name for name in (*METHODS, "HEAD", "OPTIONS")}
MAX_SEGMENTS: Final = 32
_PARAMETER: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ufffd]")


class RouteError(Exception):
    """A route that the application will not start with; the text names it and says what to change."""


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    routes: dict[str, tuple[Route, list[str]]] = field(default_factory=dict)
    websocket: WebSocketRoute | None = None
    folder: StaticFolder | None = None


@dataclass(slots=True)
class Match:
    """What a path leads to. ``parameters`` are percent-decoded; for a folder, ``rest`` is the path below it."""

    route: Route | WebSocketRoute | StaticFolder
    parameters: Mapping[str, str]
    rest: tuple[str, ...] = ()

    @property
    def template(self) -> str:
        """The path as it was declared; it holds no identifier."""
        return _path(self.route)


class RouteTable:
    """Every route of the application."""

    def __init__(
        self,
        routes: Sequence[AnyRoute],
        *,
        known_permissions: Collection[str],
        plugin_routes: Mapping[str, Sequence[AnyRoute]] | None = None,
    ) -> None:
        self._root = _Node()
        self._known = {*known_permissions, PUBLIC, SELF}
        self.routes: list[AnyRoute] = []
        for route in routes:
            self._add(route, f"route {_label(route)}")
        for plugin, offered in (plugin_routes or {}).items():
            for route in offered:
                label = f"route {_label(route)} of plugin {plugin!r}"
                if not f"{_path(route)}/".startswith(f"{PLUGIN_PREFIX}{plugin}/"):
                    raise RouteError(f"{label} must lie below {PLUGIN_PREFIX}{plugin}/")
                self._add(route, label)

    def find(self, method: str, raw_path: bytes) -> Match:
        """The HTTP route or folder for ``method`` and ``raw_path`` (without its query).

        Raises:
            ProntuarioError: ``route.unknown`` 404, ``method.not_allowed`` 405, ``path.malformed`` 400.
        """
        segments = split_path(raw_path)
        wanted = "GET" if method == "HEAD" else method
        allowed: set[str] = set()
        for node, values, depth in _walk(self._root, segments, 0, ()):
            if depth == len(segments) and node.routes:
                bound = node.routes.get(wanted)
                if bound is not None:
                    return Match(bound[0], dict(zip(bound[1], values, strict=True)))
                allowed.update(node.routes)
            elif node.folder is not None and wanted == "GET":
                return Match(node.folder, {}, segments[depth:])
        if allowed:
            offered = allowed | ({"HEAD"} if "GET" in allowed else set())
            raise METHOD_NOT_ALLOWED(method=method, allowed=", ".join(sorted(offered)))
        raise ROUTE_UNKNOWN()

    def find_websocket(self, raw_path: bytes) -> Match:
        """The WebSocket route for ``raw_path``; raises as ``find`` does."""
        segments = split_path(raw_path)
        for node, values, depth in _walk(self._root, segments, 0, ()):
            if depth == len(segments) and node.websocket is not None:
                return Match(node.websocket, dict(zip(_names(node.websocket.path), values, strict=True)))
        raise ROUTE_UNKNOWN()

    def _add(self, route: AnyRoute, label: str) -> None:
        if route.permission not in self._known:
            raise RouteError(
                f"{label} names the unknown permission {route.permission!r}; every route needs a known one"
            )
        path = _path(route)
        if not path.startswith("/") or (path.endswith("/") and path != "/" and not isinstance(route, StaticFolder)):
            raise RouteError(f"{label}: a path begins with '/' and has none at its end")
        node = self._root
        for segment in split_path(path.encode("ascii")):
            node = _child(node, segment, label)
        _place(node, route, label)
        self.routes.append(route)


def split_path(raw_path: bytes) -> tuple[str, ...]:
    """Percent-decoded segments; control characters, invalid UTF-8 and absurd depth are refused."""
    try:
        text = raw_path.decode("ascii")
    except UnicodeDecodeError as error:
        raise PATH_MALFORMED() from error
    if not text.startswith("/"):
        raise PATH_MALFORMED()
    segments = tuple(text[1:].rstrip("/").split("/")) if len(text) > 1 else ()
    if len(segments) > MAX_SEGMENTS:
        raise PATH_MALFORMED()
    if "%" in text:
        segments = tuple(unquote(segment) for segment in segments)
        text = "/".join(segments)
    if _CONTROL.search(text):
        raise PATH_MALFORMED()
    return segments


def _walk(
    node: _Node, segments: tuple[str, ...], depth: int, values: tuple[str, ...]
) -> Iterable[tuple[_Node, tuple[str, ...], int]]:
    """Every node that may answer, best first: the whole path (literals before parameters), then folders inward-out."""
    if depth == len(segments):
        yield node, values, depth
        return
    literal = node.literals.get(segments[depth])
    if literal is not None:
        yield from _walk(literal, segments, depth + 1, values)
    if node.parameter is not None and segments[depth]:
        yield from _walk(node.parameter, segments, depth + 1, (*values, segments[depth]))
    if node.folder is not None:
        yield node, values, depth


def _child(node: _Node, segment: str, label: str) -> _Node:
    if _PARAMETER.fullmatch(segment):
        node.parameter = node.parameter or _Node()
        return node.parameter
    if "{" in segment or "}" in segment or not segment:
        raise RouteError(f"{label}: the part {segment!r} is neither a word nor one {{parameter}}")
    return node.literals.setdefault(segment, _Node())


def _place(node: _Node, route: AnyRoute, label: str) -> None:
    if isinstance(route, Route):
        _check_operation(route, label)
        if route.method in node.routes:
            raise RouteError(f"{label} repeats {_label(node.routes[route.method][0])}")
        node.routes[route.method] = (route, _names(route.path))
    elif isinstance(route, WebSocketRoute):
        if node.websocket is not None:
            raise RouteError(f"{label} repeats {_label(node.websocket)}")
        node.websocket = route
    else:
        if node.folder is not None:
            raise RouteError(f"{label} repeats {_label(node.folder)}")
        node.folder = route


def _check_operation(route: Route, label: str) -> None:
    if route.method not in METHODS:
        raise RouteError(f"{label}: the method is one of {', '.join(sorted(METHODS))}")
    if not route.summary.strip():
        raise RouteError(f"{label} has no summary")
    if route.hot and route.method != "GET":
        raise RouteError(f"{label}: only a GET may be hot")
    names = _names(route.path)
    if len(set(names)) != len(names):
        raise RouteError(f"{label} names a parameter twice")


def _names(path: str) -> list[str]:
    return _PARAMETER.findall(path)


def _path(route: AnyRoute) -> str:
    return route.prefix if isinstance(route, StaticFolder) else route.path


def _label(route: AnyRoute) -> str:
    if isinstance(route, Route):
        return f"{route.method} {route.path}"
    return f"WebSocket {route.path}" if isinstance(route, WebSocketRoute) else f"folder {route.prefix}"
