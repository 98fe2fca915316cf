"""Faces as a second signal. Light: the networks live in the engine child only; without a pack none is started."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from appliance.plugin_api.model_folder import find_model_folder, weight_bytes, weight_sha256
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.messages import EXAMINE, Examine, Frame
from plugins.facenet_auth.provider import CAPABILITY, FacenetVerifier

ENGINE: Final = "faces"
_RUNTIME_BYTES: Final = 1 << 30
_WEIGHT_COPIES: Final = 3
_MAX_RUNNING: Final = 16
_STALL_LIMIT_S: Final = 60.0
_PROBE_SIDE: Final = 64


class FacenetAuthPlugin:
    """Registers the engine ``faces`` when a model is there, and the provider of ``face_verifier``."""

    @hookimpl
    def config_schema(self) -> type:
        return FaceConfig

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        folder, config = model_folder(context), _config(context)
        if folder is None:
            return []
        return [
            EngineSpec(
                name=ENGINE,
                factory="plugins.facenet_auth.engine:FaceEngine",
                config={
                    "folder": str(folder),
                    "batch_frames": config.batch_frames,
                    "threads": config.threads,
                    "runtime": config.runtime,
                },
                footprint_bytes=_RUNTIME_BYTES + _WEIGHT_COPIES * weight_bytes(folder),
                max_running=_MAX_RUNNING,
                stall_limit_s=_STALL_LIMIT_S,
                environment={"OPENBLAS_NUM_THREADS": "1"},  # onnxruntime has threads of its own
                probe=(EXAMINE, _probe()),
            )
        ]

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        return [Provider(CAPABILITY, "facenet", FacenetVerifier(engines.get(ENGINE), _config(context)))]

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        async def check() -> Health:
            folder = model_folder(context)  # asked anew: a pack may become active while people work
            digest = "" if folder is None else await asyncio.to_thread(_digest, folder)
            return health(digest, _config(context))

        return [HealthCheck("facenet_auth.model", check)]


def model_folder(context: PluginContext) -> Path | None:
    """The configured folder, or the active pack's; None when there is neither.

    Raises:
        ProntuarioError: ``model.folder`` (422) when there is no model in it.
    """
    nowhere = context.models_dir / CAPABILITY
    found = find_model_folder(
        configured=_config(context).model, models_dir=context.models_dir, capability=CAPABILITY, demonstration=nowhere
    )
    return None if found.demonstration else found.path


def health(digest: str, config: FaceConfig) -> Health:
    """What is missing, and the next step; ``digest`` is the SHA-256 of the model, empty when there is none."""
    if not digest:
        return Health(
            "not_configured",
            "no face model is installed",
            "install a pack of face_verifier, or leave faces off",
            message_pt="nenhum modelo de rosto foi instalado",
            advice_pt="instale um pacote de face_verifier, ou deixe rostos desligados",
        )
    if config.threshold is None or not config.calibrated_for:
        return Health(
            "not_configured",
            "the face model has no threshold",
            "calibrate it: prontuario faces evaluate",
            message_pt="o modelo de rosto não tem limiar",
            advice_pt="calibre-o: prontuario faces evaluate",
        )
    if not digest.startswith(config.calibrated_for):
        return Health(
            "degraded",
            "the threshold was calibrated for another face model",
            "calibrate this one: prontuario faces evaluate",
            message_pt="o limiar foi calibrado para outro modelo de rosto",
            advice_pt="calibre este: prontuario faces evaluate",
        )
    return Health("ok", "face model in use", message_pt="modelo de rosto em uso")


def _config(context: PluginContext) -> FaceConfig:
    config: FaceConfig = context.config
    return config


@lru_cache(maxsize=4)
def _digest(folder: Path) -> str:
    """Read once: packs never change, and the engine, too, reads its model only when it starts."""
    return weight_sha256(folder)


def _probe() -> bytes:
    grey = Frame(bytes([128]) * (_PROBE_SIDE * _PROBE_SIDE * 3), _PROBE_SIDE, _PROBE_SIDE)
    return msgspec.msgpack.encode(Examine((grey,)))


plugin = FacenetAuthPlugin()
