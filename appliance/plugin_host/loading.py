"""One plugin from candidate to loaded, each step of it fenced: what goes wrong is a reason, never a crash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from appliance.config.load import ConfigError
from appliance.config.model import Config, Paths
from appliance.engines.fleet import EngineFleet
from appliance.engines.seat import EngineSeat
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.storage import Store
from appliance.plugin_host.discovery import Candidate
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.grants import check_engines, check_grants, store_for
from appliance.plugin_host.limited import call_within
from appliance.plugin_host.plugin_settings import plugin_config
from appliance.plugin_host.registrations import Hooks, Registrations, register_engines, register_rest
from appliance.telemetry.logs import get_logger

IMPORT_LIMIT_S: Final = 60.0
_log = get_logger("plugins")


@dataclass(slots=True)
class LoadedPlugin:
    """A plugin that has passed every check."""

    candidate: Candidate
    context: PluginContext
    hooks: Hooks
    registered: Registrations
    engines: list[EngineSupervisor] = field(default_factory=list)
    seats: dict[str, EngineSeat] = field(default_factory=dict)
    """What its providers hold, by engine name."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What loading needs of the node."""

    config: Config
    paths: Paths
    store: Store
    fleet: EngineFleet
    import_limit_s: float = IMPORT_LIMIT_S

    def config_text(self) -> str:
        """The configuration as written, for line numbers."""
        try:
            return self.paths.config.read_text(encoding="utf-8")
        except OSError:
            return ""


def load_plugin(candidate: Candidate, work: Workplace, taken: Mapping[str, object]) -> LoadedPlugin:
    """Import, configure, register, check. ``taken`` has the names of plugins that are loaded already.

    Raises:
        QuarantineError: the reason; nothing of the plugin is in use then.
        ConfigError: the configuration of one of our own plugins is wrong: that stops the start.
    """
    obstacle = candidate.obstacle or ("a plugin of this name is loaded already" if candidate.name in taken else "")
    if obstacle:
        raise QuarantineError(obstacle)
    try:
        return _load(candidate, work)
    except ConfigError as error:
        if candidate.first_party:
            raise
        raise QuarantineError(str(error)) from error
    except QuarantineError:
        raise
    except (Exception, SystemExit) as error:
        _log.error("plugin failed while loading", plugin=candidate.name, exc_info=error)
        raise QuarantineError(f"{type(error).__name__}: {error}") from error


def _load(candidate: Candidate, work: Workplace) -> LoadedPlugin:
    plugin = call_within(work.import_limit_s, candidate.load)
    hooks = Hooks(candidate.name, plugin)
    context = _context(candidate.name, hooks, work)
    specs = register_engines(hooks, context, lambda name: name in work.fleet)
    check_engines(candidate.manifest, specs)
    engines = [work.fleet.make(spec, candidate.name) for spec in specs]
    seats = {engine.spec.name: EngineSeat(engine) for engine in engines}
    registered = register_rest(hooks, context, store_for(candidate.manifest, work.store), seats)
    check_grants(candidate.manifest, registered)
    return LoadedPlugin(candidate, context, hooks, registered, engines, seats)


def _context(name: str, hooks: Hooks, work: Workplace) -> PluginContext:
    table: Mapping[str, Any] | None = work.config.plugins.get(name)
    schema = hooks.call("config_schema")
    config = plugin_config(name, schema, table, work.paths.config, work.config_text())
    data_dir: Path = work.paths.plugin_data / name
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return PluginContext(name, config, data_dir, work.paths.models)
