"""The product's own models as it runs them: the plugin's engine in a supervised child process, behind its provider."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from appliance.config.load import load_config
from appliance.config.model import Config, Paths
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import ChatModel, SpeechToText
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_host.plugin_settings import plugin_config

_LOAD_S: Final = 600.0
_BUDGET_BYTES: Final = 512 << 30
_DRAIN_S: Final = 1.0


class EngineFailedError(RuntimeError):
    """The engine did not come up; the text says why."""


@asynccontextmanager
async def speech_model(home: Path | None = None) -> AsyncIterator[SpeechToText]:
    """The speech model that the node at ``home`` is set to use; without a home, the demonstration."""
    from plugins.whisper_stt.plugin import plugin

    async with _running("whisper_stt", plugin, home) as provider:
        yield provider


@asynccontextmanager
async def chat_model(home: Path | None = None) -> AsyncIterator[ChatModel]:
    """The same for the language model."""
    from plugins.medgemma_chat.plugin import plugin

    async with _running("medgemma_chat", plugin, home) as provider:
        yield provider


@asynccontextmanager
async def _running(name: str, plugin: Any, home: Path | None) -> AsyncIterator[Any]:
    with tempfile.TemporaryDirectory(prefix="prontuario-eval-") as scratch:
        paths = Paths(home if home is not None else Path(scratch))
        config = load_config(paths.config) if home is not None else Config()
        settings = plugin_config(name, plugin.config_schema(), config.plugins.get(name), paths.config, "")
        context = PluginContext(name, settings, Path(scratch), paths.models)
        (spec,) = plugin.register_engines(context)
        engine = EngineSupervisor(spec, MemoryLedger(_BUDGET_BYTES))
        await engine.start()
        try:
            if not await engine.wait_ready(_LOAD_S):
                raise EngineFailedError(f"{name}: the engine did not load: {engine.last_death}")
            (provider,) = plugin.register_providers(context, {spec.name: engine})
            yield provider.instance
        finally:
            await engine.stop(_DRAIN_S)
