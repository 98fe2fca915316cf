"""How large a picture may be. Every check happens on the header, before anything of that size is made."""

from __future__ import annotations

from typing import Final

import msgspec

from plugins.medical_images.reading.refusals import damaged, too_large

MEGAPIXEL: Final = 1_000_000
_MEGABYTE: Final = 1 << 20
_LONGEST_SIDE: Final = 65_535
"""DICOM's and JPEG's own; a PNG of one row of a billion pixels is none of a patient."""


class Limits(msgspec.Struct, frozen=True):
    """The limits of one node. Sizes of a single frame; ``inflated_bytes`` is for files that are compressed as a whole."""

    frame_pixels: int = 100 * MEGAPIXEL
    frame_bytes: int = 512 * _MEGABYTE
    frames: int = 10_000
    inflated_bytes: int = 512 * _MEGABYTE


def check_size(width: int, height: int, limits: Limits, *, bytes_a_pixel: int = 3) -> None:
    """Raises ``RefusedError``: no size at all, or more than the limits."""
    if width <= 0 or height <= 0:
        raise damaged("size")
    if max(width, height) > _LONGEST_SIDE or width * height > limits.frame_pixels:
        raise too_large(f"{width}x{height}", f"{limits.frame_pixels // MEGAPIXEL} MP")
    if width * height * bytes_a_pixel > limits.frame_bytes:
        raise too_large(f"{width}x{height}x{bytes_a_pixel}", f"{limits.frame_bytes // _MEGABYTE} MiB")


def check_frames(frames: int, limits: Limits) -> None:
    """Raises ``RefusedError``: not even one, or more than the limits."""
    if frames < 1:
        raise damaged("NumberOfFrames")
    if frames > limits.frames:
        raise too_large(f"{frames} frames", f"{limits.frames} frames")
