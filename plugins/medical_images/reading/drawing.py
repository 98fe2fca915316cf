"""Pictures for the model and for the eye: resized frames, and a heat map laid over one."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from PIL import Image

from plugins.medical_images.messages import BILINEAR, HeatGrid, Picture

_STRONGEST: Final = 0.6
"""What is under the map must stay visible."""
_COLOURS: Final = np.array([[0, 0, 160], [0, 160, 255], [255, 230, 0], [220, 0, 0]], np.float32)


def prepared(image: Image.Image, frame: int, side: int, *, square: bool, resample: int) -> Picture:
    """The frame at the model's size; ``square`` squeezes it as SigLIP's own preparation does."""
    size = (side, side) if square else within(image.size, side)
    small = image if image.size == size else image.resize(size, Image.Resampling(resample))
    return Picture(frame, *small.size, small.tobytes())


def drawn(image: Image.Image, side: int, grid: HeatGrid | None) -> bytes:
    """A PNG at most ``side`` pixels long, with the heat map over it if there is one."""
    small = image.resize(within(image.size, side), Image.Resampling(BILINEAR))
    shown = small if grid is None else _overlaid(small, grid)
    file = io.BytesIO()
    shown.save(file, "PNG")
    return file.getvalue()


def within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size that fits into a square of ``side`` with the same proportions; never larger than it was."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _overlaid(picture: Image.Image, grid: HeatGrid) -> Image.Image:
    values = np.asarray(grid.values, np.float32).reshape(grid.rows, grid.columns).clip(0, 1)
    strength = np.asarray(Image.fromarray(values).resize(picture.size, Image.Resampling.BICUBIC)).clip(0, 1)
    colour = _colour(strength)
    opacity = strength[..., None] * _STRONGEST
    mixed = np.asarray(picture, np.float32) * (1 - opacity) + colour * opacity
    return Image.fromarray(mixed.round().astype(np.uint8))


def _colour(strength: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Blue through yellow to red, shape (height, width, 3)."""
    stops = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(strength, stops, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)
