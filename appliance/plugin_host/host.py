"""The plugin host: finds plugins, loads each behind its own fence, and hands on what they registered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from appliance.config.model import Config, Paths
from appliance.engines.fleet import EngineFleet
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import AdminPage, HealthCheck, Job, Permission
from appliance.plugin_api.http import AnyRoute
from appliance.plugin_api.storage import Store
from appliance.plugin_host.abilities import Offer, PluginAbilities
from appliance.plugin_host.discovery import Candidate, discover
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.gate import gated
from appliance.plugin_host.limited import call_hook_within
from appliance.plugin_host.loading import IMPORT_LIMIT_S, LoadedPlugin, Workplace, load_plugin
from appliance.plugin_host.plugin_settings import check_names, check_order
from appliance.plugin_host.renewal import QUIET_S, Renewal, discard, gate, prepare, retire
from appliance.telemetry.logs import get_logger

HOOK_LIMIT_S: Final = 15.0
_log = get_logger("plugins")
_PRIMARY: Final = "primary"
_NEEDS_RECORD: Final = frozenset({"cluster.standby", "cluster.read_only"})
"""What the store answers where no record may be written: a matter of this node's role, not a fault of the plugin."""
_WAITS: Final = "its startup needs the record and waits until this node leads"


class PluginReport(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin as people see it: ``state`` is ``active``, ``quarantined`` or ``disabled``; ``reason`` says why."""

    name: str
    version: str
    first_party: bool
    state: str
    reason: str = ""
    capabilities: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()
    """What a third-party plugin's manifest asks for."""
    pages: tuple[AdminPage, ...] = ()


class PluginHost:
    """``load()`` once, before the application is built; ``start()`` when it serves; ``stop()`` while it drains."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        *,
        store: Store,
        fleet: EngineFleet,
        candidates: Sequence[Candidate] | None = None,
        hook_limit_s: float = HOOK_LIMIT_S,
        import_limit_s: float = IMPORT_LIMIT_S,
        quiet_s: float = QUIET_S,
    ) -> None:
        """``candidates`` replaces discovery (tests, tools); ``quiet_s``: see ``renewal.QUIET_S``."""
        self._work = Workplace(config, paths, store, fleet, import_limit_s)
        self._given = candidates
        self._hook_limit_s = hook_limit_s
        self._quiet_s = quiet_s
        self._retiring: set[asyncio.Task[None]] = set()
        self._waiting: set[str] = set()
        self._loaded: dict[str, LoadedPlugin] = {}
        self._reports: list[PluginReport] = []
        self._abilities = PluginAbilities([], {})

    @property
    def abilities(self) -> PluginAbilities:
        """The façade that the layers above use."""
        return self._abilities

    # -- life -------------------------------------------------------------------------------------------------------------
    def load(self) -> None:
        """Discover, import and register everything. Broken plugins are quarantined; the rest work.

        Raises:
            ConfigError: a wrong name or table in ``prontuario.toml``, or a tie between two providers.
        """
        config, paths = self._work.config, self._work.paths
        candidates = self._given
        if candidates is None:
            candidates = discover(paths.plugins, development=config.node.profile == "development")
        names = {candidate.name for candidate in candidates}
        check_names(config, paths.config, names)
        for candidate in candidates:
            self._take_in(candidate)
        offers = [
            Offer(name, provider, tuple(plugin.engines))
            for name, plugin in self._loaded.items()
            for provider in plugin.registered.providers
        ]
        check_order(config.capabilities, paths.config, offers, names)
        self._abilities = PluginAbilities(offers, config.capabilities)

    def _take_in(self, candidate: Candidate) -> None:
        if candidate.name in self._work.config.disabled_plugins:
            self._set_aside(candidate, "disabled", "disabled in the configuration")
            return
        if candidate.superseded:
            self._set_aside(candidate, "disabled", "a newer version is installed")
            return
        try:
            plugin = load_plugin(candidate, self._work, self._loaded)
        except QuarantineError as error:
            self._set_aside(candidate, "quarantined", str(error))
            return
        for engine in plugin.engines:
            self._work.fleet.add(engine)
        self._loaded[candidate.name] = plugin

    def _set_aside(self, candidate: Candidate, state: str, reason: str) -> None:
        self._reports.append(_report(candidate, state, reason))
        if state == "quarantined":
            _log.error("plugin quarantined", plugin=candidate.name, version=candidate.version)

    async def start(self) -> None:
        """Start the engines and call every ``startup`` hook; one that raises or hangs is quarantined.

        One that needs the record on a node that has none open (a standby) is called again when this node leads.
        """
        await self._work.fleet.start()
        await asyncio.gather(*(self._start_one(name) for name in list(self._loaded)))

    async def _start_one(self, name: str) -> None:
        plugin = self._loaded[name]
        self._waiting.discard(name)
        reason = await self._call_timed("startup", plugin)
        if reason in _NEEDS_RECORD:
            self._waiting.add(name)
            _log.info("plugin waits for the record", plugin=name, code=reason)
            return
        if reason:
            await self._quarantine_running(name, f"startup: {reason}")
            return
        _log.info("plugin active", plugin=name, version=plugin.candidate.version)

    async def _quarantine_running(self, name: str, reason: str) -> None:
        plugin = self._loaded.pop(name)
        self._abilities.remove(name)
        self._set_aside(plugin.candidate, "quarantined", reason)
        await asyncio.gather(*(engine.stop(0.0) for engine in plugin.engines))

    async def stop(self, drain_s: float = 5.0) -> None:
        """Call every ``shutdown`` hook, then stop the engines; no child survives, whatever a plugin does."""
        await asyncio.gather(*(self._call_timed("shutdown", plugin) for plugin in self._loaded.values()))
        for task in self._retiring:
            task.cancel()
        await self._work.fleet.stop(drain_s)

    async def role_changed(self, role: str) -> None:
        """Tell every plugin that the node is ``primary``, ``standby`` or ``fenced`` now.

        A primary's record is open: first come the ``startup`` hooks that had to wait for it.
        """
        if role == _PRIMARY:
            await asyncio.gather(*(self._start_one(name) for name in sorted(self._waiting)))
        started = [plugin for name, plugin in self._loaded.items() if name not in self._waiting]
        await asyncio.gather(*(self._call_timed("role_changed", plugin, role=role) for plugin in started))

    # -- other models while people work -----------------------------------------------------------------------------------
    async def try_models(self, capability: str, models_dir: Path) -> list[Renewal]:
        """Load what ``models_dir`` holds beside what serves and have it answer; empty: no plugin of ``capability`` would change.

        Raises:
            GateError: why it must not serve; nothing of it runs any more.
        """
        fleet = self._work.fleet
        tried: list[Renewal] = []
        try:
            for name, plugin in self._loaded.items():
                if capability in self._abilities.offered(name):
                    renewal = prepare(plugin, fleet, models_dir)
                    tried += [renewal] if renewal is not None else []
            for renewal in tried:
                await gate(renewal)
        except BaseException:
            await asyncio.shield(self.drop_models(tried))
            raise
        return tried

    async def drop_models(self, tried: Sequence[Renewal]) -> None:
        """What was tried will not serve."""
        await asyncio.gather(*(discard(renewal, self._work.fleet) for renewal in tried))

    def use_models(self, tried: Sequence[Renewal]) -> None:
        """From the next request on they serve; requests that run finish on the engines before, which then stop by themselves."""
        for renewal in tried:
            plugin, fleet = renewal.plugin, self._work.fleet
            old_seats = plugin.seats
            replaced = [before for engine in renewal.engines if (before := fleet.replace(engine)) is not None]
            plugin.engines = [fleet.engine(engine_name) for engine_name in renewal.seats]
            plugin.seats = renewal.seats
            name = plugin.candidate.name
            offers = [Offer(name, provider, tuple(plugin.engines)) for provider in renewal.providers]
            self._abilities.renew(name, offers)
            for old in replaced:
                successor = renewal.seats[old.spec.name]
                task = asyncio.create_task(retire(old, old_seats[old.spec.name], successor, fleet, self._quiet_s))
                self._retiring.add(task)
                task.add_done_callback(self._retiring.discard)

    async def _call_timed(self, hook: str, plugin: LoadedPlugin, **arguments: object) -> str:
        """Why the hook failed; empty if it did not."""
        arguments = arguments or {"context": plugin.context}
        try:
            await call_hook_within(self._hook_limit_s, partial(plugin.hooks.call, hook, **arguments))
        except TimeoutError:
            reason = f"no answer within {self._hook_limit_s:g} s"
        except ProntuarioError as error:
            reason = error.kind.code
        except (Exception, SystemExit) as error:  # noqa: BLE001  a stranger's hook may raise anything; it is quarantined
            _log.error("plugin hook failed", plugin=plugin.context.name, step=hook, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
        else:
            return ""
        return reason

    # -- what was registered ----------------------------------------------------------------------------------------------
    def routes(self) -> list[AnyRoute]:
        """Every plugin's routes; those of a plugin that is quarantined later answer 503."""
        return [
            gated(name, route, partial(self._is_loaded, name))
            for name, plugin in self._loaded.items()
            for route in plugin.registered.routes
        ]

    def _is_loaded(self, name: str) -> bool:
        return name in self._loaded

    def jobs(self) -> list[Job]:
        """Kinds of durable jobs, each with its handler."""
        return [job for plugin in self._loaded.values() for job in plugin.registered.jobs]

    def health_checks(self) -> list[HealthCheck]:
        """The plugins' own checks; those of the engines come from the fleet."""
        return [check for plugin in self._loaded.values() for check in plugin.registered.checks]

    def admin_pages(self) -> list[AdminPage]:
        """Pages for the dashboard."""
        return [page for plugin in self._loaded.values() for page in plugin.registered.pages]

    def permissions(self) -> list[Permission]:
        """Permissions of the plugins' own, for the policy."""
        return [permission for plugin in self._loaded.values() for permission in plugin.registered.permissions]

    def report(self) -> list[PluginReport]:
        """Every plugin that was found, by name, with the reason if it is not active."""
        active = [
            _report(
                plugin.candidate,
                "active",
                _WAITS if name in self._waiting else "",
                capabilities=self._abilities.offered(name),
                pages=tuple(plugin.registered.pages),
            )
            for name, plugin in self._loaded.items()
        ]
        return sorted([*active, *self._reports], key=lambda row: (row.name, row.version))


def _report(
    candidate: Candidate,
    state: str,
    reason: str = "",
    capabilities: tuple[str, ...] = (),
    pages: tuple[AdminPage, ...] = (),
) -> PluginReport:
    asked = candidate.manifest.permissions if candidate.manifest is not None else ()
    return PluginReport(
        name=candidate.name,
        version=candidate.version,
        first_party=candidate.first_party,
        state=state,
        reason=reason,
        capabilities=capabilities,
        permissions=tuple(asked),
        pages=pages,
    )
