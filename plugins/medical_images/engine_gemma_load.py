"""Reads a Gemma 3 with eyes (``config.json``, safetensors, tokenizer) for the machine at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import msgspec
from mlx.utils import tree_flatten
from mlx_lm.tokenizer_utils import load as load_tokenizer

from plugins.medical_images.engine_gemma import SeeingGemma
from plugins.medical_images.engine_model import check_numbers, computes_in_full, flat_patches, read_arrays
from plugins.medical_images.engine_pixels import Preparation, read_preparation
from plugins.medical_images.gemma_shape import RUNTIME_BYTES, GemmaShape, held_bytes, read_gemma_shape
from plugins.medical_images.messages import BILINEAR
from plugins.medical_images.shape import CheckpointError

_NAMES: Final = (
    ("language_model.model.", "language.model."),
    ("language_model.lm_head.", "language.lm_head."),
    ("vision_tower.vision_model.", "eyes.tower."),
    ("vision_tower.", "eyes.tower."),
    ("multi_modal_projector.", "eyes.projector."),
)
"""How checkpoints call the parts (as released, and as transformers 5 saves them) and what they are here."""
_PATCHES: Final = "eyes.tower.embeddings.patch_embedding.weight"


class _Generation(msgspec.Struct, frozen=True):
    eos_token_id: int | list[int] | None = None


@dataclass(frozen=True, slots=True)
class SeeingModel:
    """A model with what it needs around it. ``ends``: the tokens that close an answer."""

    net: SeeingGemma
    shape: GemmaShape
    preparation: Preparation
    tokenizer: Any
    ends: frozenset[int]
    footprint_bytes: int

    def pixels(self, rgb: Any) -> mx.array:
        """A picture (Pillow's) as the tower takes it: (1, height, width, RGB)."""
        dtype = self.net.eyes.tower.embeddings.patch_embedding.weight.dtype
        return mx.array(self.preparation.pixels(rgb))[None].astype(dtype)


def load_seeing_model(folder: Path, precision: str, context_tokens: int) -> SeeingModel:
    """The model; on a CPU in fp32.

    Raises:
        CheckpointError: something is missing, has another shape, or is not a number.
    """
    shape = read_gemma_shape(folder)
    preparation = read_preparation(folder, shape.vision_config.image_size, resample=BILINEAR)
    net = SeeingGemma(shape)
    weights = {_here(name): value for name, value in read_arrays(folder, full=computes_in_full(precision)).items()}
    weights[_PATCHES] = flat_patches(weights.get(_PATCHES), _PATCHES)
    if "language.lm_head.weight" not in weights:
        net.language.sanitize({})  # it then says its words with the embedding
    try:
        net.load_weights(list(weights.items()))
    except ValueError as error:
        raise CheckpointError(f"the weights do not fit config.json: {error}") from error
    mx.eval(net.parameters())
    check_numbers(net)
    size = sum(array.nbytes for _, array in tree_flatten(net.parameters()))
    held = RUNTIME_BYTES + size + held_bytes(folder, shape, context_tokens)
    return SeeingModel(net, shape, preparation, _tokenizer(folder, shape), _ends(folder, shape), held)


def _here(name: str) -> str:
    for theirs, ours in _NAMES:
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise CheckpointError(f"{name[:80]} is no part of a Gemma 3 with a vision tower")


def _tokenizer(folder: Path, shape: GemmaShape) -> Any:
    """mlx-lm's wrapper.

    Raises:
        CheckpointError: it can't be read, has no chat template, or does not know the marks around a picture.
    """
    load: Callable[..., Any] = load_tokenizer
    try:
        tokenizer = load(folder)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"the tokenizer is not readable: {error}") from error
    marks = (shape.boi_token_index, shape.eoi_token_index, shape.image_token_index)
    known = {token for token, one in tokenizer.added_tokens_decoder.items() if one.special}
    if not set(marks) <= known:
        raise CheckpointError("the tokenizer does not know the tokens around a picture")
    if not tokenizer.chat_template:
        raise CheckpointError("there is no chat template")
    return tokenizer


def _ends(folder: Path, shape: GemmaShape) -> frozenset[int]:
    said: int | list[int] | None = shape.eos_token_id
    file = folder / "generation_config.json"
    if file.is_file():
        try:
            said = msgspec.json.decode(file.read_bytes(), type=_Generation).eos_token_id or said
        except msgspec.MsgspecError as error:
            raise CheckpointError(f"generation_config.json: {error}") from error
    return frozenset([said] if isinstance(said, int) else said or [])
