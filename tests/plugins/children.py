"""Real engine children for the tests of the demonstration models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.hooks import PluginContext

LOAD_S = 110.0
BUDGET_BYTES = 16 << 30


@asynccontextmanager
async def running(plugin: Any, config: Any, folder: Path) -> AsyncIterator[tuple[EngineSupervisor, Any]]:
    """The plugin's engine as a supervised child, and its provider; both as the host would make them."""
    context = PluginContext("under-test", config, folder / "data", folder / "models")
    (spec,) = plugin.register_engines(context)
    engine = EngineSupervisor(spec, MemoryLedger(BUDGET_BYTES))
    await engine.start()
    try:
        assert await engine.wait_ready(LOAD_S), f"the engine did not load: {engine.last_death}"
        (provider,) = plugin.register_providers(context, {spec.name: engine})
        yield engine, provider.instance
    finally:
        await engine.stop(drain_s=1.0)
