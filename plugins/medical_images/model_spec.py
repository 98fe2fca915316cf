"""How the models' children are started. Light: the core asks this without importing a model library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from appliance.plugin_api.blas import openblas_environment
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.model_folder import weight_bytes
from plugins.medical_images.gemma_shape import AT_ONCE, footprint_bytes
from plugins.medical_images.labels import BUILT_IN, read_label_sets
from plugins.medical_images.messages import CONVERSE, FIND, Converse, Find, Picture, Turn
from plugins.medical_images.shape import declared_bytes, read_shape

LABEL_SETS: Final = "label_sets"
"""Folder with label sets, in a model's folder (the pack's own, with its calibrations) and in the plugin's data (the hospital's)."""
_STALL_LIMIT_S: Final = 120.0
"""A full batch of MedSigLIP takes about a second on a Mac, and most of this on a small processor."""
_DESCRIBER_STALL_S: Final = 120.0
"""One layer's work on a picture of 896 x 896 pixels takes milliseconds on a GPU, and seconds on a small processor."""
_DESCRIBER_LOAD_S: Final = 1800.0
"""Eight gigabytes, and one black picture through the tower: minutes on a small processor."""


def label_folders(model: Path, data: Path) -> list[Path]:
    """Where label sets are looked for; a later one's file takes the place of an earlier one's."""
    return [BUILT_IN, model / LABEL_SETS, data / LABEL_SETS]


def image_model_spec(name: str, *, model: Path, labels: Sequence[Path], batch_size: int, precision: str) -> EngineSpec:
    """The engine's specification, with its memory told beforehand and a black picture as the synthetic request.

    Raises:
        CheckpointError: ``model`` is not a SigLIP that this engine runs.
    """
    side = read_shape(model).vision_config.image_size
    sets = read_label_sets(labels).sets
    black = Picture(0, side, side, bytes(3 * side * side))
    probe = (FIND, msgspec.msgpack.encode(Find(black, sets[0].name))) if sets else None
    return EngineSpec(
        name=name,
        factory="plugins.medical_images.engine:ImageEngine",
        config={
            "folder": str(model),
            "batch_size": batch_size,
            "precision": precision,
            "label_folders": [str(folder) for folder in labels],
        },
        footprint_bytes=declared_bytes(model, weight_bytes(model), batch_size),
        max_running=2 * batch_size,
        stall_limit_s=_STALL_LIMIT_S,
        environment=openblas_environment(),
        probe=probe,
    )


def describer_spec(name: str, *, model: Path, context_tokens: int, precision: str) -> EngineSpec:
    """The describer's, with one word without a picture as the synthetic request.

    Raises:
        CheckpointError: ``model`` is not a Gemma 3 with a vision tower that this engine runs.
    """
    probe = Converse((Turn("user", ("?",)),), (), 1)
    return EngineSpec(
        name=name,
        factory="plugins.medical_images.engine_describer:DescriberEngine",
        config={"folder": str(model), "context_tokens": context_tokens, "precision": precision},
        footprint_bytes=footprint_bytes(model, weight_bytes(model), context_tokens),
        max_running=4 * AT_ONCE,  # enough that a synthetic request need not wait outside for pictures to be seen
        stall_limit_s=_DESCRIBER_STALL_S,
        load_limit_s=_DESCRIBER_LOAD_S,
        environment=openblas_environment(),
        probe=(CONVERSE, msgspec.msgpack.encode(probe)),
    )
