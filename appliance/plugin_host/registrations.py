"""What one plugin registers, asked for hook by hook and checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pluggy

from appliance.plugin_api.capabilities import CAPABILITIES
from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import (
    PROJECT,
    AdminPage,
    HealthCheck,
    Job,
    Permission,
    PluginContext,
    PluginSpec,
    Provider,
)
from appliance.plugin_api.http import AnyRoute, Route, StaticFolder, WebSocketRoute
from appliance.plugin_api.storage import Store
from appliance.plugin_host.errors import QuarantineError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Registrations:
    """Everything that one plugin offers."""

    providers: Sequence[Provider] = ()
    routes: Sequence[AnyRoute] = ()
    pages: Sequence[AdminPage] = ()
    jobs: Sequence[Job] = ()
    checks: Sequence[HealthCheck] = ()
    permissions: Sequence[Permission] = ()


class Hooks:
    """One plugin behind pluggy, alone in its own manager, so that its mistakes are nobody else's."""

    def __init__(self, name: str, plugin: Any) -> None:
        """Register ``plugin``.

        Raises:
            QuarantineError: it has no hook, or one that does not exist or takes unknown arguments.
        """
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(PluginSpec)
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            raise QuarantineError(f"a hook is wrong: {_first_line(error)}") from error
        if not self._manager.get_hookcallers(plugin):
            raise QuarantineError("it implements no hook")

    def call(self, hook: str, **arguments: Any) -> Any:
        """What the plugin's hook answers; None if it has none."""
        answers = getattr(self._manager.hook, hook)(**arguments)
        return answers[0] if answers else None

    def items(self, hook: str, shape: type[T] | tuple[type, ...], **arguments: Any) -> list[T]:
        """A hook's answer as a list of ``shape``.

        Raises:
            QuarantineError: it is anything else.
        """
        answer = self.call(hook, **arguments)
        if answer is None:
            return []
        if isinstance(answer, (str, bytes)) or not isinstance(answer, Sequence):
            raise QuarantineError(f"{hook} must return a list, not {type(answer).__name__}")
        for item in answer:
            if not isinstance(item, shape):
                raise QuarantineError(f"{hook} returned a {type(item).__name__}")
        return list(answer)


def register_engines(hooks: Hooks, context: PluginContext, taken: Callable[[str], bool]) -> list[EngineSpec]:
    """The engines that the plugin wants. Raises ``QuarantineError``."""
    specs = hooks.items("register_engines", EngineSpec, context=context)
    names = [spec.name for spec in specs]
    for spec in specs:
        if taken(spec.name) or names.count(spec.name) > 1:
            raise QuarantineError(f"an engine called {spec.name!r} exists already")
        if ":" not in spec.factory or spec.queue_limit < 1 or spec.max_running < 1:
            raise QuarantineError(f"engine {spec.name!r}: factory must be 'module:Class', limits at least 1")
    return specs


def register_rest(
    hooks: Hooks, context: PluginContext, store: Store, engines: Mapping[str, EngineHandle]
) -> Registrations:
    """Everything but engines. Raises ``QuarantineError``."""
    registered = Registrations(
        providers=hooks.items("register_providers", Provider, context=context, engines=engines),
        routes=hooks.items("register_routes", (Route, WebSocketRoute, StaticFolder), context=context, store=store),
        pages=hooks.items("register_admin_pages", AdminPage, context=context),
        jobs=hooks.items("register_jobs", Job, context=context, store=store),
        checks=hooks.items("register_health_checks", HealthCheck, context=context),
        permissions=hooks.items("register_permissions", Permission),
    )
    check_providers(registered.providers)
    _check_routes(context.name, registered.routes)
    _check_names(context.name, registered)
    return registered


def check_providers(providers: Sequence[Provider]) -> None:
    """Known capabilities, whole protocols, no name twice. Raises ``QuarantineError``."""
    for provider in providers:
        protocol = CAPABILITIES.get(provider.capability)
        if protocol is None:
            raise QuarantineError(f"unknown capability {provider.capability!r}; known: {', '.join(CAPABILITIES)}")
        if not isinstance(provider.instance, protocol):
            raise QuarantineError(f"provider {provider.name!r} lacks methods of {protocol.__name__}")
    names = [(provider.capability, provider.name) for provider in providers]
    if len(set(names)) != len(names):
        raise QuarantineError("two providers of one capability have the same name")


def _check_routes(plugin: str, routes: Sequence[AnyRoute]) -> None:
    prefix = f"/api/plugins/{plugin}/"
    seen: set[tuple[str, str]] = set()
    for route in routes:
        path = route.prefix if isinstance(route, StaticFolder) else route.path
        key = (route.method if isinstance(route, Route) else type(route).__name__, path)
        if not f"{path.rstrip('/')}/".startswith(prefix):
            raise QuarantineError(f"route {path!r} must lie below {prefix}")
        if not route.permission:
            raise QuarantineError(f"route {path!r} names no permission")
        if key in seen:
            raise QuarantineError(f"route {path!r} is registered twice")
        seen.add(key)


def _check_names(plugin: str, registered: Registrations) -> None:
    """Names in tables that all plugins share begin with the plugin's own, so no plugin can take another's."""
    names = [
        *(permission.name for permission in registered.permissions),
        *(job.kind for job in registered.jobs),
        *(check.name for check in registered.checks),
    ]
    for name in names:
        if name != plugin and not name.startswith(f"{plugin}."):
            raise QuarantineError(f"the name {name!r} must begin with '{plugin}.'")
    for kind in (registered.permissions, registered.checks):
        if len({item.name for item in kind}) != len(kind):
            raise QuarantineError("a permission or health check is registered twice")
    for page in registered.pages:
        if not page.slug.startswith(plugin):
            raise QuarantineError(f"the page {page.slug!r} must begin with {plugin!r}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
