"""JPEG, PNG and HEIC as pictures: upright by their EXIF orientation, always 8-bit RGB, one frame."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import pi_heif
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from appliance.plugin_api.images import ImageFacts, ImageType, PatientClaim
from plugins.medical_images.reading.limits import MEGAPIXEL, Limits, check_size
from plugins.medical_images.reading.refusals import NO_SUCH_FRAME, RefusedError, damaged, too_large

_FORMATS: Final[dict[ImageType, str]] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/heic": "HEIF"}
_SIXTEEN_BITS: Final = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,  # what Pillow's PNG reader raises
    TypeError,
    ValueError,
    struct.error,
    UnidentifiedImageError,
)
_TAKEN: Final = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTime)

pi_heif.register_heif_opener(thumbnails=False, aux_images=False)


class PhotoSource:
    """One file, decoded anew for each call."""

    def __init__(self, path: Path, media_type: ImageType, limits: Limits) -> None:
        self._path, self._media_type, self._limits = path, media_type, limits

    def facts(self, claim: PatientClaim | None) -> ImageFacts:
        """A photograph names nobody, whoever is claimed. Raises ``RefusedError``."""
        taken = self._taken()
        width, height = self.frame(0).size
        return ImageFacts(
            media_type=self._media_type,
            width=width,
            height=height,
            taken=taken,
            identity="unchecked" if claim is None else "absent",
            cautions=() if claim is None else ("identity_absent",),
        )

    def frame(self, number: int) -> Image.Image:
        """The picture in RGB. Raises ``RefusedError``."""
        if number != 0:
            raise RefusedError(NO_SUCH_FRAME, frame=str(number), frames="1")
        try:
            with self._opened() as picture:
                picture.load()
                return ImageOps.exif_transpose(_in_rgb(picture))
        except _FAULTS as error:
            raise damaged(_FORMATS[self._media_type]) from error

    def _taken(self) -> str:
        try:
            with self._opened() as picture:
                exif = picture.getexif()
                found = exif.get_ifd(ExifTags.IFD.Exif).get(_TAKEN[0]) or exif.get(_TAKEN[1])
        except _FAULTS:
            return ""
        day = str(found or "")[:10].replace(":", "-")
        return day if len(day) == 10 and day.replace("-", "").isdigit() else ""  # noqa: PLR2004  YYYY-MM-DD

    def _opened(self) -> Image.Image:
        """Only the header is read yet; the size is checked on it."""
        Image.MAX_IMAGE_PIXELS = self._limits.frame_pixels
        try:
            picture = Image.open(self._path, formats=[_FORMATS[self._media_type]])
        except Image.DecompressionBombError as error:
            raise too_large("size", f"{self._limits.frame_pixels // MEGAPIXEL} MP") from error
        check_size(*picture.size, self._limits)
        return picture


def _in_rgb(picture: Image.Image) -> Image.Image:
    """Transparency lies on white; 16 bits become their upper 8. EXIF stays, for the orientation."""
    exif = picture.getexif()
    if picture.mode in _SIXTEEN_BITS:
        flat = picture.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    elif "A" in picture.getbands() or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        flat = Image.new("RGB", clear.size, (255, 255, 255))
        flat.paste(clear, mask=clear.getchannel("A"))
    else:
        flat = picture.convert("RGB")
    flat.info["exif"] = exif.tobytes()
    return flat
