"""Conversation and note drafting with a Gemma model. Light: the model and its libraries live in the engine child only."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.capabilities import ChatMessage, ChatOptions
from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from appliance.plugin_api.kv_geometry import figures_of
from appliance.plugin_api.model_folder import ModelFolder, find_model_folder, weight_bytes
from plugins.medgemma_chat.budget import kv_budget_bytes
from plugins.medgemma_chat.config import ChatConfig
from plugins.medgemma_chat.messages import CHAT, ChatRequest
from plugins.medgemma_chat.provider import GemmaChat

CAPABILITY: Final = "chat_model"
ENGINE: Final = "medgemma"
DEMONSTRATION: Final = Path(__file__).parent / "demonstration"

_RUNTIME_BYTES: Final = 1200 << 20
_EXPANSION: Final = 8
"""4-bit weights grow eightfold when a CPU needs them in fp32."""
_STALL_LIMIT_S: Final = 120.0
"""A step may read a part of eight long prompts; a busy machine without a GPU takes tens of seconds for it."""
_MIB: Final = 1 << 20
_log = logging.getLogger("prontuario.plugins.medgemma_chat")


class MedgemmaPlugin:
    """Registers the engine ``medgemma`` and the provider of ``chat_model``."""

    @hookimpl
    def config_schema(self) -> type:
        return ChatConfig

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        config: ChatConfig = context.config
        model = _folder(context)
        if model.demonstration:
            _log.warning(
                "chat: demonstration model in use; it understands only the sample consult, never use it for care"
            )
        return [
            EngineSpec(
                name=ENGINE,
                factory="plugins.medgemma_chat.engine:ChatEngine",
                config={
                    "folder": str(model.path),
                    "demonstration": model.demonstration,
                    "batch_size": config.batch_size,
                    "context_tokens": config.context_tokens,
                    "prefill_step_tokens": config.prefill_step_tokens,
                    "precision": config.precision,
                    "piece_every_s": config.piece_every_s,
                    "kv_mib": config.kv_mib,
                    "prefix_mib": config.prefix_mib,
                    "prefix_age_s": config.prefix_age_s,
                    "stall_s": config.stall_s,
                },
                footprint_bytes=_footprint(model, config),
                max_running=2 * config.batch_size,
                stall_limit_s=_STALL_LIMIT_S,
                environment=engine_environment(),
                probe=(CHAT, _probe()),
            )
        ]

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        model = _folder(context)
        provider = GemmaChat(engines[ENGINE], folder=model.path, demonstration=model.demonstration)
        return [Provider(CAPABILITY, "medgemma", provider)]

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        async def check() -> Health:
            if _folder(context).demonstration:  # asked anew: a pack may become active while people work
                return Health(
                    "not_configured",
                    "demonstration model: only the sample consult",
                    "install a model pack",
                    message_pt="modelo de demonstração: só a consulta de exemplo",
                    advice_pt="instale um pacote de modelos",
                )
            return Health("ok", "model pack in use", message_pt="pacote de modelos em uso")

        return [HealthCheck("medgemma_chat.model", check)]


def engine_environment() -> dict[str, str]:
    """What the child gets: half of the cores for BLAS, whose threads only spin for each other over one token's small matrices."""
    return openblas_environment(threads=max(1, (os.cpu_count() or 1) // 2))


def _folder(context: PluginContext) -> ModelFolder:
    config: ChatConfig = context.config
    return find_model_folder(
        configured=config.model, models_dir=context.models_dir, capability=CAPABILITY, demonstration=DEMONSTRATION
    )


def _footprint(model: ModelFolder, config: ChatConfig) -> int:
    """Weights as a CPU needs them, and the caches of a full batch."""
    settings: dict[str, Any] = json.loads((model.path / "config.json").read_bytes())
    on_cpu = sys.platform != "darwin"
    wide = config.precision == "fp32" or (config.precision == "auto" and on_cpu)
    figures = figures_of(settings, number_bytes=4 if wide else 2)
    context_tokens = min(config.context_tokens, figures.max_context or config.context_tokens)
    caches = kv_budget_bytes(figures.kv, context_tokens, config.batch_size, config.kv_mib) + config.prefix_mib * _MIB
    return _RUNTIME_BYTES + (_EXPANSION if wide else 1) * weight_bytes(model.path) + caches


def _probe() -> bytes:
    request = ChatRequest([ChatMessage("user", "Olá")], ChatOptions(max_tokens=1))
    return msgspec.msgpack.encode(request)


plugin = MedgemmaPlugin()
