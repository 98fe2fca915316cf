"""Sizes of a Gemma 3 with a vision tower (MedGemma 4B and its kin): light, so that the core may ask before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.kv_geometry import UnknownModelError, figures_of
from plugins.medical_images.shape import CheckpointError, VisionShape, activation_bytes

RUNTIME_BYTES: Final = 1200 << 20
"""Python, MLX, transformers and a tokenizer of 262 thousand tokens before any weight."""
AT_ONCE: Final = 4
"""Conversations that are answered side by side; the others wait."""
_FP32_BYTES: Final = 4
_SLIDES, _SEES_ALL = "sliding_attention", "full_attention"
_LEAST_TOKENS: Final = 2


class _Rotary(msgspec.Struct, frozen=True):
    rope_theta: float
    rope_type: str = "default"
    factor: float = 1.0


class TextShape(msgspec.Struct, frozen=True, kw_only=True):
    """``text_config``; the defaults are Hugging Face's, whose files leave out what equals them."""

    hidden_size: int = 2304
    intermediate_size: int = 9216
    num_hidden_layers: int = 26
    num_attention_heads: int = 8
    num_key_value_heads: int = 4
    head_dim: int = 256
    vocab_size: int = 262_208
    rms_norm_eps: float = 1e-6
    query_pre_attn_scalar: float = 256
    sliding_window: int = 4096
    sliding_window_pattern: int = 6
    max_position_embeddings: int = 131_072
    rope_theta: float = 1_000_000.0
    rope_local_base_freq: float = 10_000.0
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, _Rotary] | None = None
    layer_types: list[str] | None = None
    attn_logit_softcapping: float | None = None
    final_logit_softcapping: float | None = None


class GemmaShape(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint's ``config.json``."""

    model_type: str
    vision_config: VisionShape
    text_config: TextShape = TextShape()
    mm_tokens_per_image: int = 256
    boi_token_index: int = 255_999
    eoi_token_index: int = 256_000
    image_token_index: int = 262_144
    eos_token_id: int | list[int] = 1
    quantization: dict[str, Any] | None = None

    @property
    def pool(self) -> int:
        """Edge of the square of patches that becomes one token."""
        along: int = round(self.mm_tokens_per_image**0.5)
        return self.vision_config.side // along

    def language(self) -> dict[str, Any]:
        """``text_config`` with every default written out, the rotary figures as they were before transformers 5."""
        text = self.text_config
        plain: dict[str, Any] = msgspec.to_builtins(text)
        if text.rope_parameters is not None:
            far, near = text.rope_parameters[_SEES_ALL], text.rope_parameters[_SLIDES]
            plain |= {"rope_theta": far.rope_theta, "rope_local_base_freq": near.rope_theta}
            scaled = far.rope_type != "default"
            plain["rope_scaling"] = {"rope_type": far.rope_type, "factor": far.factor} if scaled else None
        return plain | {"model_type": "gemma3_text"}


def has_eyes(folder: Path) -> bool:
    """Whether the folder says that it holds a Gemma 3 with a vision tower, of whatever sizes."""
    try:
        said = msgspec.json.decode((folder / "config.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return False
    return said.get("model_type") == "gemma3" and isinstance(said.get("vision_config"), Mapping)


def read_gemma_shape(folder: Path) -> GemmaShape:
    """The sizes in ``config.json``, checked.

    Raises:
        CheckpointError: no Gemma 3 with a vision tower, or one with parts that this engine does not have.
    """
    try:
        shape = msgspec.json.decode((folder / "config.json").read_bytes(), type=GemmaShape)
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"config.json is not that of a Gemma 3 with a vision tower: {error}") from error
    if shape.model_type != "gemma3":
        raise CheckpointError(f'model_type is "{shape.model_type}", not "gemma3"')
    if shape.quantization is not None:
        raise CheckpointError("quantised weights are not read here: use the released bf16 checkpoint")
    text = shape.text_config
    if text.attn_logit_softcapping is not None or text.final_logit_softcapping is not None:
        raise CheckpointError("soft-capped logits are Gemma 2's")
    if text.layer_types is not None and text.layer_types != _pattern(text):
        raise CheckpointError(f"every {text.sliding_window_pattern}th layer, and no other, must see everything")
    if text.rope_parameters is not None and text.rope_parameters.keys() != {_SEES_ALL, _SLIDES}:
        raise CheckpointError("rope_parameters must name both kinds of layers")
    if text.num_hidden_layers < text.sliding_window_pattern:
        raise CheckpointError("no layer sees everything")
    _check_pictures(shape)
    return shape


def footprint_bytes(folder: Path, weights_on_disk: int, context_tokens: int) -> int:
    """What to declare before anything is loaded; weights are counted as fp32 made of bf16.

    Raises:
        CheckpointError: as ``read_gemma_shape``.
    """
    shape = read_gemma_shape(folder)
    return RUNTIME_BYTES + 2 * weights_on_disk + held_bytes(folder, shape, context_tokens)


def held_bytes(folder: Path, shape: GemmaShape, context_tokens: int) -> int:
    """Of caches with every conversation full, and of one picture in the vision tower.

    Raises:
        CheckpointError: a figure of the language model is missing.
    """
    settings = json.loads((folder / "config.json").read_bytes())
    settings["text_config"] = shape.language()
    try:
        row = figures_of(settings, number_bytes=_FP32_BYTES).kv.row_bytes(context_tokens)
    except UnknownModelError as error:
        raise CheckpointError(str(error)) from error
    return AT_ONCE * row + 2 * activation_bytes(shape.vision_config)


def _pattern(text: TextShape) -> list[str]:
    every = text.sliding_window_pattern
    return [_SLIDES if number % every else _SEES_ALL for number in range(1, text.num_hidden_layers + 1)]


def _check_pictures(shape: GemmaShape) -> None:
    vision, along = shape.vision_config, round(shape.mm_tokens_per_image**0.5)
    if vision.num_channels != 3:  # noqa: PLR2004  red, green, blue
        raise CheckpointError("the vision tower must take three channels")
    if vision.hidden_act != "gelu_pytorch_tanh":
        raise CheckpointError(f'activation "{vision.hidden_act}" is not supported')
    if along < _LEAST_TOKENS or along**2 != shape.mm_tokens_per_image or vision.side % along:
        raise CheckpointError("a picture's patches must divide evenly into a square of mm_tokens_per_image")
