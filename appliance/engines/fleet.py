"""All engines of a node: started side by side, stopped together, shown as rows."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial
from typing import Final

import msgspec

from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.ledger import MemoryLedger
from appliance.engines.shared_block import remove_stale_blocks
from appliance.engines.supervisor import EngineSupervisor
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import EngineSpec, EngineStatus, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health, HealthCheck
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

_log = get_logger("engines")


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as the dashboard shows it. ``reason`` is the cause of the last death, empty if there was none."""

    name: str
    plugin: str
    status: str
    pid: int
    restarts: int
    waiting: int
    running: int
    footprint_bytes: int
    resident_bytes: int
    model_id: str
    model_sha256: str
    demonstration: bool
    reason: str


_BACKGROUND: Final = frozenset({Lane.BACKGROUND})


class EngineFleet:
    """Owns the supervisors. Add engines, then start; an engine that is refused does not keep the others from starting."""

    def __init__(
        self, ledger: MemoryLedger | None = None, metrics: Metrics | None = None, rhythm: Rhythm | None = None
    ) -> None:
        self.ledger = ledger or MemoryLedger()
        self._metrics = EngineMetrics(metrics) if metrics is not None else None
        self._rhythm = rhythm
        self._engines: dict[str, EngineSupervisor] = {}
        self._beside: set[EngineSupervisor] = set()
        self._held: frozenset[Lane] = frozenset()
        self._generations = itertools.count(2)

    def make(self, spec: EngineSpec, plugin: str) -> EngineSupervisor:
        """A supervisor that shares this node's ledger and metrics, but does not belong to the fleet yet."""
        return EngineSupervisor(spec, self.ledger, plugin=plugin, metrics=self._metrics, rhythm=self._rhythm)

    def make_beside(self, spec: EngineSpec, plugin: str) -> EngineSupervisor:
        """A candidate for the place of the engine of the same name; ``stop`` ends it too, until ``discard`` did."""
        ledger = self.ledger.beside(f"#{next(self._generations)}")
        engine = EngineSupervisor(spec, ledger, plugin=plugin, metrics=self._metrics, rhythm=self._rhythm)
        engine.requests.hold(self._held)
        self._beside.add(engine)
        return engine

    def replace(self, engine: EngineSupervisor) -> EngineSupervisor | None:
        """Put a candidate in its namesake's place; the namesake, if there is one, runs on beside it."""
        before = self._engines.get(engine.spec.name)
        self._engines[engine.spec.name] = engine
        self._beside.discard(engine)
        if before is not None:
            self._beside.add(before)
        if self._metrics is not None:
            self._metrics.show(engine)
        return before

    async def discard(self, engine: EngineSupervisor, drain_s: float = 0.0) -> None:
        """Stop a candidate that failed, or an engine that was replaced."""
        await engine.stop(drain_s)
        self._beside.discard(engine)

    def add(self, engine: EngineSupervisor) -> None:
        """Take it in.

        Raises:
            ValueError: the name is taken.
        """
        if engine.spec.name in self._engines:
            raise ValueError(f"an engine named {engine.spec.name!r} exists already")
        engine.requests.hold(self._held)
        self._engines[engine.spec.name] = engine
        if self._metrics is not None:
            self._metrics.show(engine)

    def __contains__(self, name: str) -> bool:
        return name in self._engines

    def engine(self, name: str) -> EngineSupervisor:
        """The supervisor called ``name``. Raises ``KeyError``."""
        return self._engines[name]

    def engines(self) -> list[EngineSupervisor]:
        """All of them."""
        return list(self._engines.values())

    def hold_background(self, on: bool) -> None:
        """Let background work wait in its queues, or go on: what a node does on battery."""
        self._held = _BACKGROUND if on else frozenset()
        for engine in (*self._engines.values(), *self._beside):
            engine.requests.hold(self._held)

    def restart(self, name: str) -> bool:
        """A person says so: end the engine's process and start another, or close its open circuit and start now.

        False: there is no such engine. One that was refused for want of memory stays refused.
        """
        engine = self._engines.get(name)
        if engine is None:
            return False
        _log.warning("an engine is restarted by hand", engine=name)
        if engine.status is EngineStatus.CIRCUIT_OPEN:
            engine.reset()
        else:
            engine.restart()
        return True

    async def start(self) -> None:
        """Begin to load every engine; returns at once. What does not fit is logged and shown as refused."""
        remove_stale_blocks()
        for engine in self._engines.values():
            try:
                await engine.start()
            except ProntuarioError as error:
                _log.error(
                    "engine refused: the model does not fit",
                    engine=engine.spec.name,
                    code=error.kind.code,
                    footprint_bytes=engine.spec.footprint_bytes,
                    budget_bytes=self.ledger.budget_bytes,
                )

    async def wait_ready(self, timeout_s: float) -> bool:
        """Whether every engine is ready within ``timeout_s``."""
        return all(await asyncio.gather(*(engine.wait_ready(timeout_s) for engine in self._engines.values())))

    async def stop(self, drain_s: float = 5.0) -> None:
        """Stop all at the same time; no child survives."""
        await asyncio.gather(*(engine.stop(drain_s) for engine in (*self._engines.values(), *self._beside)))

    def report(self) -> list[EngineReport]:
        """One row for each engine, by name."""
        return [self._row(self._engines[name]) for name in sorted(self._engines)]

    def health_checks(self) -> list[HealthCheck]:
        """One check for each engine: ``engine:<name>``."""
        return [HealthCheck(f"engine:{name}", partial(self._health, name)) for name in sorted(self._engines)]

    async def _health(self, name: str) -> Health:
        return await self._engines[name].health()

    def _row(self, engine: EngineSupervisor) -> EngineReport:
        loaded, name = engine.loaded, engine.spec.name
        return EngineReport(
            name=name,
            plugin=engine.plugin,
            status=engine.status.value,
            pid=engine.pid,
            restarts=engine.restarts,
            waiting=engine.waiting,
            running=engine.running,
            footprint_bytes=max(engine.spec.footprint_bytes, loaded.footprint_bytes if loaded else 0),
            resident_bytes=engine.resident_bytes,
            model_id=loaded.model_id if loaded else "",
            model_sha256=loaded.model_sha256 if loaded else "",
            demonstration=loaded.demonstration if loaded else False,
            reason=engine.last_death,
        )
