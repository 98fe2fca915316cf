"""A DICOM file as pictures, one frame at a time. Source: DICOM PS3.3 C.7.6.3, PS3.5 §8 and Annex A."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.pixels import iter_pixels
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID, RLELossless

from appliance.plugin_api.images import Caution, ImageFacts, PatientClaim
from plugins.medical_images.reading import burned_in, identity
from plugins.medical_images.reading.codestream import check_rle, declared_size
from plugins.medical_images.reading.dicom_grey import Grey
from plugins.medical_images.reading.dicom_header import HEADER_FAULTS, read_header, shape_of, text
from plugins.medical_images.reading.limits import Limits, check_size
from plugins.medical_images.reading.refusals import NO_SUCH_FRAME, RefusedError, damaged, unsupported

_ELEMENT_HEADER: Final = 12
"""Tag, representation and length of encapsulated pixels (PS3.5 §7.1.2, always explicit)."""
_DATE_DIGITS: Final = 8


class DicomSource:
    """One file. Nothing but its header is in memory between two frames.

    Raises:
        RefusedError: as ``read_header`` and ``shape_of``.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path, self._limits = path, limits
        self._data, self._pixels_at = read_header(path, limits)
        self._shape = shape_of(self._data, limits)

    def facts(self, claim: PatientClaim | None) -> ImageFacts:
        """Decodes the first frame. Raises ``RefusedError``, also for somebody else's picture."""
        checked = identity.check(identity.named_in(self._data), claim)
        _, guessed = self._frame(0)
        cautions: list[Caution] = [*burned_in.cautions(self._data)]
        if checked == "absent":
            cautions.append("identity_absent")
        if guessed:
            cautions.append("window_guessed")
        data, shape = self._data, self._shape
        return ImageFacts(
            media_type="application/dicom",
            width=shape.width,
            height=shape.height,
            frames=shape.frames,
            modality=text(data, "Modality").upper(),
            body_part=text(data, "BodyPartExamined"),
            taken=_day(text(data, "AcquisitionDate") or text(data, "ContentDate") or text(data, "StudyDate")),
            study=text(data, "StudyInstanceUID"),
            instance=text(data, "SOPInstanceUID"),
            transfer_syntax=shape.syntax,
            identity=checked,
            cautions=tuple(cautions),
        )

    def frame(self, number: int) -> Image.Image:
        """One frame in RGB. Raises ``RefusedError``."""
        return self._frame(number)[0]

    def _frame(self, number: int) -> tuple[Image.Image, bool]:
        if not 0 <= number < self._shape.frames:
            raise RefusedError(NO_SUCH_FRAME, frame=str(number), frames=str(self._shape.frames))
        try:
            self._check_codestream(number)
            source: Any = self._data if self._pixels_at is None else self._path
            stored = next(iter_pixels(source, indices=[number]))
            return self._seen(stored, number)
        except NotImplementedError as error:
            raise unsupported(self._shape.syntax) from error
        except (*HEADER_FAULTS, StopIteration) as error:
            raise damaged("pixels") from error

    def _seen(self, stored: np.ndarray[Any, np.dtype[Any]], number: int) -> tuple[Image.Image, bool]:
        guessed = False
        if self._shape.photometric.startswith("MONOCHROME"):
            pixels, guessed = Grey(self._data, self._shape, number).eight_bits(stored)
            return Image.fromarray(pixels).convert("RGB"), guessed
        if self._shape.photometric == "PALETTE COLOR":
            stored = apply_color_lut(stored, self._data)[..., :3]
            shift = (stored.dtype.itemsize - 1) * 8
        else:
            shift = max(0, self._shape.bits - 8)
        return Image.fromarray((stored >> shift).astype(np.uint8)), guessed

    def _check_codestream(self, number: int) -> None:
        """A frame that is compressed by itself declares a size of its own, and decoders believe that one."""
        syntax = UID(str(self._data.file_meta.TransferSyntaxUID))
        if self._pixels_at is None or not syntax.is_compressed:
            return
        data, offsets = self._data, None
        if "ExtendedOffsetTable" in data and "ExtendedOffsetTableLengths" in data:
            offsets = (data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths)
        with self._path.open("rb") as file:
            file.seek(self._pixels_at + _ELEMENT_HEADER)
            frame = get_frame(file, number, number_of_frames=self._shape.frames, extended_offsets=offsets)
        if syntax == RLELossless:
            check_rle(frame, self._shape.frame_bytes)
        elif (size := declared_size(frame)) is not None:
            check_size(*size, self._limits)


def _day(digits: str) -> str:
    if len(digits) >= _DATE_DIGITS and digits[:_DATE_DIGITS].isdigit():
        return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"
    return ""
