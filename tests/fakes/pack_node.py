"""A node's shelf with a plugin that serves what is activated, as the admin API and the dashboard meet it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.config.model import Config, Models, Paths
from appliance.daemon.packs_desk import PacksDesk
from appliance.daemon.record import RecordSlot
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_host.discovery import Candidate
from appliance.plugin_host.host import PluginHost
from appliance.security.steady_time import SteadyTime
from appliance.telemetry.clock import SystemClock
from tests.fakes import pack_plugin, packs
from tests.fakes.pack_plugin import PackPlugin


@dataclass
class PackNode:
    """``slot`` has no record until somebody puts one there; ``disks`` is where a stick would appear."""

    desk: PacksDesk
    paths: Paths
    slot: RecordSlot
    disks: Path

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.paths.models, self.paths.pack_keys)

    def stick(self, version: int, name: str = "late", **settings: object) -> str:
        """Lay a signed pack on a stick; its path below ``disks``."""
        pack_plugin.make(self.disks / "STICK" / f"{name}-{version}", version, name, **settings)
        return f"STICK/{name}-{version}"


@asynccontextmanager
async def pack_node(folder: Path) -> AsyncIterator[PackNode]:
    """On ``folder``; engines start with the first activation."""
    paths, disks = Paths(folder / "shelf"), folder / "Volumes"
    for needed in (paths.models, paths.inbox, disks):
        needed.mkdir(parents=True)
    packs.write_trusted(paths.pack_keys)
    (folder / "config.json").write_text(json.dumps({"echo": {}}))
    slot, config = RecordSlot(), Config(models=Models(import_from=(str(disks),)))
    candidate = Candidate("pack_plugin", "1.0", True, lambda: PackPlugin(folder))
    fleet = EngineFleet(MemoryLedger(8 << 30))
    host = PluginHost(config, paths, store=slot, fleet=fleet, candidates=[candidate], quiet_s=0.1)
    host.load()
    await host.start()
    desk = PacksDesk(paths, host, slot, SteadyTime(SystemClock()), config)
    try:
        yield PackNode(desk, paths, slot, disks)
    finally:
        await desk.close()
        await host.stop(0.0)
