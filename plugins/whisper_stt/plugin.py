"""Speech to text with a Whisper model. Light: the model and its libraries live in the engine child only."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from appliance.plugin_api.model_folder import ModelFolder, find_model_folder, weight_bytes
from appliance.plugin_api.vocabulary import read_vocabulary
from plugins.whisper_stt.config import WhisperConfig
from plugins.whisper_stt.messages import TRANSCRIBE, Utterance
from plugins.whisper_stt.provider import WhisperSpeechToText

CAPABILITY: Final = "speech_to_text"
ENGINE: Final = "whisper"
DEMONSTRATION: Final = Path(__file__).parent / "demonstration"

_POSITION_S: Final = 0.02
"""One encoder position (Radford et al. 2022): the window is ``n_audio_ctx`` of them."""
_MARGIN_S: Final = 0.2
_RUNTIME_BYTES: Final = 1 << 30
_EXPANSION: Final = 8
"""4-bit weights grow eightfold when a CPU needs them in fp32."""
_WORKING_BYTES_PER_ROW: Final = 48 << 20
_STALL_LIMIT_S: Final = 120.0
"""A step decodes a whole batch; a busy machine without a GPU takes tens of seconds for it."""
_PROBE_BYTES: Final = 16_000
_log = logging.getLogger("prontuario.plugins.whisper_stt")


class WhisperPlugin:
    """Registers the engine ``whisper`` and the provider of ``speech_to_text``."""

    @hookimpl
    def config_schema(self) -> type:
        return WhisperConfig

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        config: WhisperConfig = context.config
        model = _folder(context)
        if model.demonstration:
            _log.warning(
                "speech: demonstration model in use; it understands only the sample dictation, never use it for care"
            )
        return [
            EngineSpec(
                name=ENGINE,
                factory="plugins.whisper_stt.engine:WhisperEngine",
                config={
                    "folder": str(model.path),
                    "demonstration": model.demonstration,
                    "batch_size": config.batch_size,
                    "no_speech_threshold": config.no_speech_threshold,
                    "precision": config.precision,
                    "fallback_temperatures": config.fallback_temperatures,
                },
                footprint_bytes=_footprint(model, config),
                max_running=config.batch_size,
                stall_limit_s=_STALL_LIMIT_S,
                environment=openblas_environment(),
                probe=(TRANSCRIBE, _probe()),
            )
        ]

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        config: WhisperConfig = context.config
        model = _folder(context)
        window_s = json.loads((model.path / "config.json").read_bytes())["n_audio_ctx"] * _POSITION_S
        provider = WhisperSpeechToText(
            engines[ENGINE],
            folder=model.path,
            demonstration=model.demonstration,
            max_utterance_s=min(config.max_utterance_s, window_s - _MARGIN_S),
            pause_s=config.pause_s,
            in_flight=config.in_flight,
            vocabulary=config.vocabulary and not model.demonstration,
            terms=_terms(model),
        )
        return [Provider(CAPABILITY, "whisper", provider)]

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        async def check() -> Health:
            if _folder(context).demonstration:  # asked anew: a pack may become active while people work
                return Health(
                    "not_configured",
                    "demonstration model: only the sample dictation",
                    "install a model pack",
                    message_pt="modelo de demonstração: só o ditado de exemplo",
                    advice_pt="instale um pacote de modelos",
                )
            return Health("ok", "model pack in use", message_pt="pacote de modelos em uso")

        return [HealthCheck("whisper_stt.model", check)]


def _folder(context: PluginContext) -> ModelFolder:
    config: WhisperConfig = context.config
    return find_model_folder(
        configured=config.model, models_dir=context.models_dir, capability=CAPABILITY, demonstration=DEMONSTRATION
    )


def _terms(model: ModelFolder) -> tuple[str, ...]:
    """The words that came with the model. A pack's were looked at when it was taken in; a bad file of a folder is left out."""
    try:
        return read_vocabulary(model.path)
    except ValueError as error:
        _log.warning("speech: the model's vocabulary can't be used: %s", error)
        return ()


def _footprint(model: ModelFolder, config: WhisperConfig) -> int:
    return _RUNTIME_BYTES + _EXPANSION * weight_bytes(model.path) + config.batch_size * _WORKING_BYTES_PER_ROW


def _probe() -> bytes:
    silence = Utterance(bytes(_PROBE_BYTES), "pt", "", 0.0, word_times=False)
    return msgspec.msgpack.encode(silence)


plugin = WhisperPlugin()
