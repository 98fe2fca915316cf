"""A frame as it was sent becomes pixels. What is hostile or broken is refused before it costs memory."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from plugins.facenet_auth.messages import MOST_SIDE_PX, Frame

Array = npt.NDArray[Any]
DETECTION_SIDE_PX: Final = 640
"""About how long the longer side is of the picture in which faces are looked for."""
_SHORTEST_PX: Final = 24
_READ: Final = ("JPEG", "PNG")
_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,  # a cut-off EXIF block
    Image.DecompressionBombError,
)
"""What Pillow raises on broken files; it promises nothing narrower. What got past here would fail everybody's frames of the step."""


class PictureError(ValueError):
    """No picture that this engine reads."""


@dataclass(frozen=True)
class Picture:
    """``pixels`` (rows, columns, 3) uint8 RGB, upright; ``small`` the same with both sides divided by ``factor``."""

    pixels: Array
    small: Array
    factor: int

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def picture(frame: Frame) -> Picture:
    """Raises ``PictureError``."""
    image = _raw(frame) if frame.width or frame.height else _decoded(frame.image)
    factor = max(1, round(max(image.size) / DETECTION_SIDE_PX))
    small = image.reduce(factor) if factor > 1 else image
    return Picture(np.asarray(image), np.asarray(small), factor)


def _raw(frame: Frame) -> Image.Image:
    _check_sides(frame.width, frame.height)
    if len(frame.image) != frame.width * frame.height * 3:
        raise PictureError("plain pixels have another length than their sides say")
    return Image.frombytes("RGB", (frame.width, frame.height), frame.image)


def _decoded(content: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(content), formats=_READ) as opened:
            _check_sides(*opened.size)  # known from the header; nothing is decoded yet
            return ImageOps.exif_transpose(opened).convert("RGB")
    except PictureError:
        raise
    except _FAULTS as error:
        raise PictureError("neither a JPEG nor a PNG file") from error


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < _SHORTEST_PX or max(width, height) > MOST_SIDE_PX:
        raise PictureError(f"sides must be {_SHORTEST_PX} to {MOST_SIDE_PX} pixels")
