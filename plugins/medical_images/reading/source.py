"""A picture file of any kind that is read here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from PIL import Image

from appliance.plugin_api.images import ImageFacts, PatientClaim
from plugins.medical_images.reading.dicom import DicomSource
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.photos import PhotoSource
from plugins.medical_images.reading.refusals import unsupported
from plugins.medical_images.reading.sniff import HEAD_BYTES, kind_of


class Source(Protocol):
    """An opened file. Both methods raise ``RefusedError``."""

    def facts(self, claim: PatientClaim | None) -> ImageFacts:
        """What it is; its first frame was decoded."""
        ...

    def frame(self, number: int) -> Image.Image:
        """One frame, upright, 8-bit RGB."""
        ...


def open_source(path: Path, limits: Limits) -> Source:
    """The file at ``path``.

    Raises:
        RefusedError: it is nothing that is read here, or its header is refused.
        OSError: there is no such file.
    """
    with path.open("rb") as file:
        kind = kind_of(file.read(HEAD_BYTES))
    if kind is None:
        raise unsupported("DICOM, JPEG, PNG, HEIC")
    return DicomSource(path, limits) if kind == "application/dicom" else PhotoSource(path, kind, limits)
