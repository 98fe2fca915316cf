"""Medical images: files are read in one child, a SigLIP model looks at them in another. Light: neither is imported here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.engine import EngineHandle, EngineSpec
from appliance.plugin_api.hooks import Health, HealthCheck, PluginContext, Provider, hookimpl
from appliance.plugin_api.model_folder import MODEL_FOLDER, ModelFolder, find_model_folder
from plugins.medical_images.config import ImagesConfig
from plugins.medical_images.describing import DESCRIBES, PictureDescriber
from plugins.medical_images.labels import read_label_sets
from plugins.medical_images.model_spec import describer_spec, image_model_spec, label_folders
from plugins.medical_images.provider import ANALYSES, READS, PictureAnalyser, PictureReader
from plugins.medical_images.reading.limits import MEGAPIXEL, Limits
from plugins.medical_images.shape import CheckpointError

READER: Final = "image_reader"
MODEL: Final = "image_model"
DESCRIBER: Final = "image_describer"
_READER_BYTES: Final = 1 << 30
"""Python, the decoders, and a file that is compressed as a whole."""
_BYTES_A_PIXEL: Final = 12
"""Of the largest frame: stored values, 8-bit grey, RGB, and a decoder's own copy."""
_ANSWER_S: Final = 60.0
"""A frame that takes longer to decode is refused."""
_READER_STALL_S: Final = 90.0


class MedicalImagesPlugin:
    """Registers all abilities always, a model's engine once there is the model."""

    @hookimpl
    def config_schema(self) -> type:
        return ImagesConfig

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        model = model_folder(context)
        specs = [_reader(context.config), *([] if model is None else [_model(context, model.path)])]
        describer = describer_folder(context)
        return [*specs, *([] if describer is None else [_describer(context.config, describer.path)])]

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        config: ImagesConfig = context.config
        model, words = model_folder(context), describer_folder(context)
        describer = PictureDescriber(
            engines[READER], engines.get(DESCRIBER), folder=words.path if words is not None else Path(DESCRIBES)
        )
        analyser = PictureAnalyser(
            engines[READER],
            engines.get(MODEL),
            folder=model.path if model is not None else Path(ANALYSES),
            demonstration=model is not None and model.demonstration,
            frames_at_most=config.frames_at_most,
            in_flight=config.in_flight,
            describer=describer,
        )
        # Also without a model: its first pack is put to work by whoever offers the ability.
        return [
            Provider(READS, READER, PictureReader(engines[READER])),
            Provider(ANALYSES, MODEL, analyser),
            Provider(DESCRIBES, DESCRIBER, describer),
        ]

    @hookimpl
    def register_health_checks(self, context: PluginContext) -> Sequence[HealthCheck]:
        async def check() -> Health:
            model = model_folder(context)
            broken = () if model is None else read_label_sets(label_folders(model.path, context.data_dir)).problems
            return health(model, broken)

        return [HealthCheck("medical_images", check)]


def model_folder(context: PluginContext) -> ModelFolder | None:
    """The configured folder, else the active pack; None: there is neither.

    Raises:
        ProntuarioError: ``model.folder`` (422).
    """
    config: ImagesConfig = context.config
    found = find_model_folder(
        configured=config.model, models_dir=context.models_dir, capability=ANALYSES, demonstration=Path()
    )
    return None if found.demonstration else found


def describer_folder(context: PluginContext) -> ModelFolder | None:
    """The same of the describer. Raises ``model.folder`` (422)."""
    config: ImagesConfig = context.config
    found = find_model_folder(
        configured=config.describer, models_dir=context.models_dir, capability=DESCRIBES, demonstration=Path()
    )
    return None if found.demonstration else found


def health(model: ModelFolder | None, broken: Sequence[str] = ()) -> Health:
    """What is missing, and the next step; ``broken`` are label sets that could not be read, and why."""
    if model is None:
        return Health(
            "not_configured",
            "images are kept and shown; no model scores them",
            "install a model pack, or set plugins.medical_images.model to a model folder",
            message_pt="imagens são guardadas e mostradas; nenhum modelo as avalia",
            advice_pt="instale um pacote de modelos ou aponte plugins.medical_images.model para uma pasta",
        )
    if broken:
        return Health(
            "degraded",
            f"label sets that could not be read: {'; '.join(broken)}",
            "correct the files in the plugin's label_sets folder and start the node again",
            message_pt=f"conjuntos de rótulos que não puderam ser lidos: {'; '.join(broken)}",
            advice_pt="corrija os arquivos na pasta label_sets do plugin e reinicie o nó",
        )
    return Health("ok", "model pack in use", message_pt="pacote de modelos em uso")


def _reader(config: ImagesConfig) -> EngineSpec:
    limits = Limits(frame_pixels=config.frame_megapixels * MEGAPIXEL)
    footprint = _READER_BYTES + _BYTES_A_PIXEL * limits.frame_pixels
    return EngineSpec(
        name=READER,
        factory="plugins.medical_images.reading.child:ReaderEngine",
        config={"limits": msgspec.to_builtins(limits), "memory_bytes": footprint, "limit_s": _ANSWER_S},
        footprint_bytes=footprint,
        max_running=4,
        stall_limit_s=_READER_STALL_S,
        environment=openblas_environment(),
    )


def _model(context: PluginContext, folder: Path) -> EngineSpec:
    config: ImagesConfig = context.config
    labels = label_folders(folder, context.data_dir)
    try:
        return image_model_spec(
            MODEL, model=folder, labels=labels, batch_size=config.batch_size, precision=config.precision
        )
    except CheckpointError as error:
        raise MODEL_FOLDER(field="model", missing="a SigLIP config.json") from error


def _describer(config: ImagesConfig, folder: Path) -> EngineSpec:
    try:
        return describer_spec(
            DESCRIBER, model=folder, context_tokens=config.describer_context_tokens, precision=config.precision
        )
    except CheckpointError as error:
        raise MODEL_FOLDER(field="describer", missing="a Gemma 3 config.json with a vision tower") from error


plugin = MedicalImagesPlugin()
