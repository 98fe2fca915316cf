"""Reads a SigLIP checkpoint (``config.json``, safetensors, tokenizer) for the machine at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import numpy as np
from mlx import nn
from mlx.utils import tree_flatten

from appliance.plugin_api.model_folder import weight_files
from plugins.medical_images.engine_pixels import Preparation, read_preparation
from plugins.medical_images.engine_siglip import Siglip
from plugins.medical_images.engine_words import Words, read_words
from plugins.medical_images.shape import RUNTIME_BYTES, CheckpointError, SiglipShape, batch_bytes, read_shape

_PATCHES: Final = "vision_model.embeddings.patch_embedding.weight"
_BOOKKEEPING: Final = "position_ids"
"""Buffers that older exports carry along; they hold 0, 1, 2, …"""


@dataclass(frozen=True, slots=True)
class ImageModel:
    """A model with what it needs around it."""

    net: Siglip
    shape: SiglipShape
    preparation: Preparation
    words: Words
    weight_bytes: int

    def footprint_bytes(self, batch_size: int) -> int:
        """Upper bound of what the process holds with a full batch, decoded pictures not counted."""
        return RUNTIME_BYTES + self.weight_bytes + batch_bytes(self.shape.vision_config, batch_size)


def load_image_model(folder: Path, precision: str) -> ImageModel:
    """The model; on a CPU in fp32, for half precision never reaches the BLAS there.

    Raises:
        CheckpointError: something is missing, has another shape, or is not a number.
    """
    shape = read_shape(folder)
    preparation = read_preparation(folder, shape.vision_config.image_size)
    words = read_words(folder, shape.text_config.max_position_embeddings, shape.text_config.vocab_size)
    net = Siglip(shape)
    weights = _read_weights(folder, full=computes_in_full(precision))
    try:
        net.load_weights(list(weights.items()))
    except ValueError as error:
        raise CheckpointError(f"the weights do not fit config.json: {error}") from error
    mx.eval(net.parameters())
    check_numbers(net)
    size = sum(array.nbytes for _, array in tree_flatten(net.parameters()))
    return ImageModel(net, shape, preparation, words, size)


def _read_weights(folder: Path, *, full: bool) -> dict[str, mx.array]:
    weights = read_arrays(folder, full=full)
    weights[_PATCHES] = flat_patches(weights.get(_PATCHES), _PATCHES)
    for name in ("logit_scale", "logit_bias"):
        if name in weights:
            weights[name] = weights[name].reshape(1).astype(mx.float32)
    return weights


def read_arrays(folder: Path, *, full: bool) -> dict[str, mx.array]:
    """Every array of the folder's safetensors by its name there; ``full``: in fp32.

    Raises:
        CheckpointError: no such file, or one that is not readable.
    """
    files = [file for file in weight_files(folder) if file.suffix == ".safetensors"]
    if not files:
        raise CheckpointError("there is no .safetensors file")
    weights: dict[str, mx.array] = {}
    for file in files:
        try:
            read: Any = mx.load(str(file))
        except RuntimeError as error:
            raise CheckpointError(f"{file.name} is not readable as safetensors") from error
        for name, value in read.items():
            if not name.endswith(_BOOKKEEPING):
                weights[name] = value.astype(mx.float32) if full else value
    return weights


def flat_patches(patches: mx.array | None, name: str) -> mx.array:
    """PyTorch's (width, channels, rows, columns) of a convolution to what a patch is here: rows, then columns, then channels.

    Raises:
        CheckpointError: it is missing or no convolution.
    """
    if patches is None or patches.ndim != 4:  # noqa: PLR2004  the shape above
        raise CheckpointError(f"{name} is missing or no convolution")
    return patches.transpose(0, 2, 3, 1).reshape(patches.shape[0], -1)


def computes_in_full(precision: str) -> bool:
    """Whether weights become fp32: half precision never reaches the BLAS of a CPU."""
    return precision == "fp32" or (precision == "auto" and mx.default_device().type == mx.DeviceType.cpu)


def check_numbers(net: nn.Module) -> None:
    """A weight that is no number would poison every answer, unseen. Raises ``CheckpointError``."""
    for name, value in tree_flatten(net.parameters()):
        if not math.isfinite(float(np.array(value.astype(mx.float32).sum()))):
            raise CheckpointError(f"{name} holds values that are not numbers")
