"""What a plugin can register. Every hook is optional; all but ``startup`` and ``shutdown`` are called once, at start.

A plugin is a module or object whose methods carry ``@hookimpl``; it is found through the entry-point group
``prontuario.plugins``. See ``docs/plugins.md`` for the tutorial.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pluggy

from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_api.storage import Store

PROJECT: Final = "prontuario"
ENTRY_POINT_GROUP: Final = "prontuario.plugins"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin knows of its node. ``config`` is the plugin's own table, already decoded into its schema type."""

    name: str
    config: Any
    data_dir: Path
    """A folder of the plugin's own."""
    models_dir: Path
    """Active model packs: ``models_dir/<capability>/active`` when one is installed."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An object that offers a capability. Higher ``priority`` wins when the config names no order; a tie is an error."""

    capability: str
    name: str
    instance: Any
    priority: int = 0
    score: Callable[[Any], float] | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How a part is: ``status`` is ``ok``, ``degraded``, ``failed`` or ``not_configured``; ``advice`` is the next step.

    ``message`` and ``advice`` are English; the ones in Portuguese are what people read first, and stay empty only where a
    plugin has no words for them.
    """

    status: str
    message: str
    advice: str = ""
    message_pt: str = ""
    advice_pt: str = ""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A named check; cheap, and never raises for a thing that is merely ill."""

    name: str
    check: Callable[[], Awaitable[Health]]


@dataclass(frozen=True, slots=True)
class Job:
    """A durable job of a kind that the plugin handles."""

    kind: str
    run: Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AdminPage:
    """A page of the dashboard, as data: a title and the API paths whose JSON it shows as cards or tables."""

    slug: str
    title_pt: str
    title_en: str
    sources: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """(heading, GET path) pairs."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A permission of the plugin's own, and the roles that have it."""

    name: str
    description: str
    roles: frozenset[str]


class PluginSpec:
    """The hook specifications."""

    @hookspec
    def config_schema(self) -> type:  # type: ignore[empty-body]
        """The msgspec Struct (``forbid_unknown_fields``) of the plugin's table in ``prontuario.toml``."""

    @hookspec
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:  # type: ignore[empty-body]
        """The engine children that this plugin wants."""

    @hookspec
    def register_providers(  # type: ignore[empty-body]
        self, context: PluginContext, engines: Mapping[str, EngineHandle]
    ) -> Sequence[Provider]:
        """The capabilities that this plugin offers; ``engines`` has the handles of its own engines by name."""

    @hookspec
    def register_routes(self, context: PluginContext, store: Store) -> Sequence[AnyRoute]:  # type: ignore[empty-body]
        """HTTP and WebSocket routes and static folders, below ``/api/plugins/<name>/``."""

    @hookspec
    def register_admin_pages(self, context: PluginContext) -> Sequence[AdminPage]:  # type: ignore[empty-body]
        """Pages of the dashboard, as data."""

    @hookspec
    def register_jobs(self, context: PluginContext, store: Store) -> Sequence[Job]:  # type: ignore[empty-body]
        """Kinds of durable jobs that this plugin runs."""

    @hookspec
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:  # type: ignore[empty-body]
        """Checks shown by health and doctor."""

    @hookspec
    def register_permissions(self) -> Sequence[Permission]:  # type: ignore[empty-body]
        """Permissions that the plugin's routes name."""

    @hookspec
    def startup(self, context: PluginContext) -> Awaitable[None] | None:
        """Called once the node serves; may return an awaitable.

        A node of a pair serves as standby too, with no record open: there the store refuses with ``cluster.standby``.
        A hook that lets this error out is no fault: it is called again, from its beginning, when this node leads, and
        hears of no role before it has ended well. Do first what needs no record, and do it so that twice is harmless.
        """

    @hookspec
    def shutdown(self, context: PluginContext) -> Awaitable[None] | None:
        """Called while the node drains; may return an awaitable."""

    @hookspec
    def role_changed(self, role: str) -> None:
        """The node's role in the pair is now ``primary`` (its record is open), ``standby`` or ``fenced``.

        Only told on nodes of a pair, and only after ``startup`` has ended well.
        """
