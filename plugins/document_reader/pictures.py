"""Photographs opened safely: the size is known before a pixel is decoded, only three formats are ever tried."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Final

from PIL import Image, ImageFile, ImageOps

from plugins.document_reader.refusals import RefusedError, too_large

_FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/heic": "HEIF"}
_LONGEST: Final = 3400
"""Pixels of the longer side that a page needs: A4 at 290 dots an inch. More costs time and reads no better."""
_SHORTEST: Final = 1700
"""Smaller pictures are enlarged to this: recognisers want letters of twenty pixels or more."""


_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,  # a cut-off EXIF block
)
"""What Pillow raises on broken files; it promises nothing narrower. Too little memory is told elsewhere."""


def open_photo(document: bytes, media_type: str, max_pixels: int) -> Image.Image:
    """The picture as it was meant to be seen (EXIF orientation applied), in a size fit for recognising, mode RGB or L.

    Raises:
        RefusedError: ``document.too_large``, ``document.damaged``.
    """
    if media_type == "image/heic":
        import pi_heif

        pi_heif.register_heif_opener()
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = None  # our own limit is checked below, before anything is decoded
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(document), formats=[_FORMATS[media_type]]) as picture:
            warnings.simplefilter("ignore")
            pixels = picture.width * picture.height
            if pixels > max_pixels:
                raise too_large("megapixels", pixels // 1_000_000, max_pixels // 1_000_000)
            picture.draft("RGB", (_LONGEST, _LONGEST))  # a JPEG decodes to a half or a quarter at once
            upright = ImageOps.exif_transpose(picture)
            return fitting(_on_white(upright))
    except _FAULTS as error:
        raise RefusedError("document.damaged") from error


def fitting(picture: Image.Image) -> Image.Image:
    """Scaled so that letters have the size that recognisers were made for."""
    longest = max(picture.size)
    wanted = min(max(longest, _SHORTEST), _LONGEST)
    if wanted == longest:
        return picture
    size = (max(1, round(picture.width * wanted / longest)), max(1, round(picture.height * wanted / longest)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _on_white(picture: Image.Image) -> Image.Image:
    """Transparent parts are paper."""
    if picture.mode in ("RGB", "L"):
        return picture
    if "A" in picture.getbands() or "transparency" in picture.info:
        over = picture.convert("RGBA")
        paper = Image.new("RGBA", over.size, "white")
        return Image.alpha_composite(paper, over).convert("RGB")
    return picture.convert("RGB")
