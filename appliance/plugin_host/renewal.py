"""One plugin's engines and providers for other models: made beside those that serve, tried, and only then put in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from appliance.engines.fleet import EngineFleet
from appliance.engines.seat import EngineSeat
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineSpec, EngineStatus, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import PluginContext, Provider
from appliance.plugin_host.errors import QuarantineError
from appliance.plugin_host.grants import check_engines
from appliance.plugin_host.loading import LoadedPlugin
from appliance.plugin_host.registrations import check_providers
from appliance.telemetry.logs import get_logger

_log = get_logger("plugins")
_LOOK_S: Final = 0.05
QUIET_S: Final = 30.0
"""An engine that was replaced and got no request for this long is stopped."""
LONGEST_S: Final = 3600.0
"""After this it gets no new ones, whoever still began with it; what it works on is always finished."""


class GateError(Exception):
    """The new models must not serve; the text is the reason, a short code where there is one."""


@dataclass(slots=True)
class Renewal:
    """What would serve for ``plugin`` with other models. Only engines whose configuration differs are made."""

    plugin: LoadedPlugin
    context: PluginContext
    engines: list[EngineSupervisor]
    seats: dict[str, EngineSeat]
    providers: Sequence[Provider] = ()


def prepare(plugin: LoadedPlugin, fleet: EngineFleet, models_dir: Path) -> Renewal | None:
    """The engines that ``plugin`` wants when ``models_dir`` is what it finds; None: nothing would change. None is started yet.

    Raises:
        GateError: the plugin can't make use of what lies there; no engine was made.
    """
    context = replace(plugin.context, models_dir=models_dir)
    with _as_gate_error(plugin):
        specs = plugin.hooks.items("register_engines", EngineSpec, context=context)
        changed = _changed(plugin, specs, fleet)
        check_engines(plugin.candidate.manifest, specs)
    if not changed:
        return None
    engines = [fleet.make_beside(spec, plugin.candidate.name) for spec in changed]
    seats = plugin.seats | {engine.spec.name: EngineSeat(engine) for engine in engines}
    return Renewal(plugin, context, engines, seats)


@contextmanager
def _as_gate_error(plugin: LoadedPlugin) -> Iterator[None]:
    """Whatever a plugin raises over a model that it does not know is a reason to refuse the model, never a crash."""
    try:
        yield
    except GateError:
        raise
    except ProntuarioError as error:
        raise GateError(error.kind.code) from error
    except QuarantineError as error:
        raise GateError(str(error)) from error
    except Exception as error:
        _log.warning("plugin can't use new models", plugin=plugin.candidate.name, exc_info=error)
        raise GateError(type(error).__name__) from error


def _changed(plugin: LoadedPlugin, specs: Sequence[EngineSpec], fleet: EngineFleet) -> list[EngineSpec]:
    """The engines whose configuration differs, and those that the plugin did without as long as it had no model."""
    current = {engine.spec.name: engine.spec for engine in plugin.engines}
    wanted = {spec.name for spec in specs}
    if not current.keys() <= wanted or any(name in fleet for name in wanted - current.keys()):
        raise GateError("the plugin would have other engines")
    return [spec for spec in specs if spec.name not in current or spec.config != current[spec.name].config]


async def gate(renewal: Renewal) -> None:
    """Make the providers, start every new engine, and have its synthetic request answered by it.

    Raises:
        GateError: why not; the caller discards the engines.
    """
    plugin = renewal.plugin
    with _as_gate_error(plugin):
        providers = plugin.hooks.items("register_providers", Provider, context=renewal.context, engines=renewal.seats)
        check_providers(providers)
    renewal.providers = providers
    for engine in renewal.engines:
        try:
            await engine.start()
        except ProntuarioError as error:
            raise GateError(error.kind.code) from error
    await asyncio.gather(*(_answers(engine) for engine in renewal.engines))


async def _answers(engine: EngineSupervisor) -> None:
    await _ready(engine)
    if engine.spec.probe is None:
        return
    kind, payload = engine.spec.probe
    options = CallOptions(Lane.URGENT, engine.spec.stall_limit_s, user="(gate)", idempotent=False)
    pieces = 0
    try:
        async with aclosing(engine.submit(kind, payload, options)) as answer:
            async for _ in answer:
                pieces += 1
    except ProntuarioError as error:
        raise GateError(str(error.details.get("reason") or error.kind.code)) from error
    if not pieces:
        raise GateError("no answer")


async def _ready(engine: EngineSupervisor) -> None:
    """A first death is enough to refuse: who serves already is restarted, a candidate has to prove itself."""
    try:
        async with asyncio.timeout(engine.spec.load_limit_s):
            # Two things may happen, and a supervisor has an event for neither.
            while engine.status is not EngineStatus.READY and not engine.last_death:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        raise GateError("load limit") from None
    if engine.status is not EngineStatus.READY:
        raise GateError(engine.last_death)


async def discard(renewal: Renewal, fleet: EngineFleet) -> None:
    """It will not serve: end its engines."""
    await asyncio.gather(*(fleet.discard(engine) for engine in renewal.engines))


async def retire(
    engine: EngineSupervisor, seat: EngineSeat, successor: EngineSeat, fleet: EngineFleet, quiet_s: float = QUIET_S
) -> None:
    """Let a replaced engine finish: whoever began with it goes on with it, until there is a pause; then it is stopped."""
    loop = asyncio.get_running_loop()
    ends_at, quiet_since = loop.time() + LONGEST_S, loop.time()
    while loop.time() < min(ends_at, quiet_since + quiet_s):
        await asyncio.sleep(_LOOK_S)
        if _busy(engine):
            quiet_since = loop.time()
    seat.pass_to(successor)
    while _busy(engine):  # noqa: ASYNC110  requests have deadlines; there is no event for the last one
        await asyncio.sleep(_LOOK_S)
    await fleet.discard(engine)
    _log.info("the engine of the model before is stopped", engine=engine.spec.name)


def _busy(engine: EngineSupervisor) -> bool:
    """Whether anybody waits for it, here or (what it handed on) at the other node."""
    return bool(engine.running or engine.waiting or engine.away)
