"""A SigLIP checkpoint's sizes and what they cost in memory: light, so that the core may ask before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

RUNTIME_BYTES: Final = 500 << 20
"""Python, MLX, Pillow and the tokenizer before any weight."""
_SUPPORTED_ACT: Final = "gelu_pytorch_tanh"
_FP32_BYTES: Final = 4


class CheckpointError(ValueError):
    """The folder holds no SigLIP that this engine can run; the text says why. ``code`` crosses the process border."""

    code: Final = "images.checkpoint"


class TowerShape(msgspec.Struct, frozen=True, kw_only=True):
    """What both towers have in common; the defaults are Hugging Face's, whose files leave out what equals them."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu_pytorch_tanh"


class VisionShape(TowerShape, frozen=True, kw_only=True):
    """``image_size`` and ``patch_size`` in pixels; pictures are square."""

    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 16

    @property
    def side(self) -> int:
        """Patches along one edge."""
        return self.image_size // self.patch_size


class TextShape(TowerShape, frozen=True, kw_only=True):
    """``projection_size`` None: as wide as the tower."""

    vocab_size: int = 32_000
    max_position_embeddings: int = 64
    projection_size: int | None = None


class SiglipShape(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint's ``config.json``."""

    model_type: str
    vision_config: VisionShape = VisionShape()
    text_config: TextShape = TextShape()


def activation_bytes(vision: VisionShape) -> int:
    """Of one picture in the vision tower, in fp32: pixels, a layer's attention and MLP, and the residual stream."""
    places = vision.side**2
    pixels = 3 * vision.image_size**2
    attention = vision.num_attention_heads * places**2
    layer = places * (8 * vision.hidden_size + 3 * vision.intermediate_size)
    return _FP32_BYTES * (2 * pixels + 2 * attention + layer)


def batch_bytes(vision: VisionShape, batch_size: int) -> int:
    """Of a full batch: what is in use, and as much again that MLX keeps for the next one."""
    return 2 * batch_size * activation_bytes(vision)


def declared_bytes(folder: Path, weights_on_disk: int, batch_size: int) -> int:
    """The footprint to declare before anything is loaded, from ``config.json``; weights are counted as fp32 made of bf16.

    Raises:
        CheckpointError: ``config.json`` is not a SigLIP's.
    """
    shape = read_shape(folder)
    return RUNTIME_BYTES + 2 * weights_on_disk + batch_bytes(shape.vision_config, batch_size)


def read_shape(folder: Path) -> SiglipShape:
    """The sizes in ``config.json``, checked.

    Raises:
        CheckpointError: not a SigLIP, or one with parts that this engine does not have.
    """
    try:
        shape = msgspec.json.decode((folder / "config.json").read_bytes(), type=SiglipShape)
    except (OSError, msgspec.MsgspecError) as error:
        raise CheckpointError(f"config.json is not a SigLIP's: {error}") from error
    if shape.model_type != "siglip":
        raise CheckpointError(f'model_type is "{shape.model_type}", not "siglip"')
    vision, text = shape.vision_config, shape.text_config
    if vision.num_channels != 3:  # noqa: PLR2004  red, green, blue
        raise CheckpointError("the vision tower must take three channels")
    for tower in (vision, text):
        if tower.hidden_act != _SUPPORTED_ACT:
            raise CheckpointError(f'activation "{tower.hidden_act}" is not supported, only {_SUPPORTED_ACT}')
        if tower.hidden_size % tower.num_attention_heads:
            raise CheckpointError("hidden_size must be a multiple of num_attention_heads")
    if (text.projection_size or text.hidden_size) != vision.hidden_size:
        raise CheckpointError("the two towers' embeddings have different lengths")
    return shape
