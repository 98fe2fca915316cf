"""From a picture to the numbers that the vision tower takes, as Hugging Face's ``SiglipImageProcessor`` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from PIL import Image

_BICUBIC: Final = 3
_FILTERS: Final = {0, 1, 2, 3, 4, 5}
"""Pillow's numbers for its resampling filters, which is what ``resample`` in the file means."""


class PreparationError(ValueError):
    """``preprocessor_config.json`` asks for something that this engine does not do. ``code`` crosses the process border."""

    code: Final = "images.checkpoint"


class _Size(msgspec.Struct, frozen=True):
    height: int
    width: int


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of ``preprocessor_config.json`` that matter; the defaults are the processor's own."""

    size: _Size
    resample: int = _BICUBIC
    rescale_factor: float = 1 / 255
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    do_resize: bool = True
    do_rescale: bool = True
    do_normalize: bool = True

    def pixels(self, picture: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Shape (height, width, RGB). The picture is squeezed to the square; proportions are not kept, as in training."""
        colour = picture if picture.mode == "RGB" else picture.convert("RGB")
        small = colour.resize((self.size.width, self.size.height), Image.Resampling(self.resample))
        values = np.asarray(small, np.float32) * np.float32(self.rescale_factor)
        mean, deviation = np.array(self.image_mean, np.float32), np.array(self.image_std, np.float32)
        return np.asarray((values - mean) / deviation, np.float32)


def read_preparation(folder: Path, image_size: int, *, resample: int = _BICUBIC) -> Preparation:
    """From ``preprocessor_config.json``; without the file SigLIP's usual preparation at ``image_size`` pixels, with ``resample``.

    Raises:
        PreparationError: not readable, another size than the model's, or a step left out that the model was trained with.
    """
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return Preparation(size=_Size(image_size, image_size), resample=resample)
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Preparation)
    except msgspec.MsgspecError as error:
        raise PreparationError(f"preprocessor_config.json: {error}") from error
    if (found.size.height, found.size.width) != (image_size, image_size):
        raise PreparationError(f"preprocessor_config.json: size is not the model's {image_size} x {image_size}")
    if not (found.do_resize and found.do_rescale and found.do_normalize):
        raise PreparationError("preprocessor_config.json: resize, rescale and normalize must all be on")
    if found.resample not in _FILTERS or 0.0 in found.image_std:
        raise PreparationError("preprocessor_config.json: unknown resample, or a standard deviation of zero")
    return found
