"""What is seen in a medical picture: its facts, findings with scores, a heat map. Values only; nothing here reads or judges.

A picture is a file (DICOM, JPEG, PNG or HEIC) of one or more frames, numbered from 0. A finding is a score of a label, never a
diagnosis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

ImageType = Literal["application/dicom", "image/jpeg", "image/png", "image/heic"]
IdentityCheck = Literal["match", "absent", "unchecked"]
"""How the file's own header stands to the patient who was claimed: the same; it names nobody; nobody was claimed."""
Caution = Literal[
    "burned_in_declared", "burned_in_likely", "identity_absent", "frames_left_out", "window_guessed", "not_calibrated"
]
"""What a person must know before looking; the sentences stand in ``docs/images.md``."""


class PatientClaim(msgspec.Struct, frozen=True):
    """Whose picture it is said to be, as the record knows them. ``birth_date`` is YYYY-MM-DD or empty."""

    identifiers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    birth_date: str = ""


class ImageFacts(msgspec.Struct, frozen=True):
    """What a picture is, read from its file. Sizes in pixels as it stands upright; DICOM's own fields are empty elsewhere.

    ``modality`` is DICOM's (0008,0060); ``taken`` is YYYY-MM-DD; ``study`` and ``instance`` are UIDs.
    """

    media_type: ImageType
    width: int
    height: int
    frames: int = 1
    modality: str = ""
    body_part: str = ""
    taken: str = ""
    study: str = ""
    instance: str = ""
    transfer_syntax: str = ""
    identity: IdentityCheck = "unchecked"
    cautions: tuple[Caution, ...] = ()


class LabelSet(msgspec.Struct, frozen=True):
    """The questions that a model can be asked at once. ``sha256`` (hex) is that of the file that defines them."""

    name: str
    pt: str
    en: str
    sha256: str
    labels: int
    calibrated: bool


class Finding(msgspec.Struct, frozen=True):
    """One label's score, 0 to 1: a calibrated probability where the label set is ``calibrated``, else only an order.

    ``frame`` is the one where the score is highest.
    """

    label: str
    pt: str
    en: str
    score: float
    calibrated: bool
    frame: int = 0


class HeatMap(msgspec.Struct, frozen=True):
    """Where a label's evidence lies: a PNG of the frame with the map laid over it."""

    label: str
    frame: int
    png: bytes


class ImageOptions(msgspec.Struct, frozen=True):
    """``label_set`` empty: the provider's choice by modality. ``frames`` empty: a spread over all of them.

    ``claim``: the picture is refused if its header names somebody else. ``heat_map``: the label to draw; empty: the highest finding.
    ``description``: also describe it in ``language`` (``"pt"`` or ``"en"``), where the model can.
    """

    label_set: str = ""
    frames: tuple[int, ...] = ()
    claim: PatientClaim | None = None
    heat_map: str = ""
    description: bool = False
    language: Literal["pt", "en"] = "pt"


class ImageAnalysis(msgspec.Struct, frozen=True):
    """What a model made of a picture. ``findings`` are all labels of the set, highest first; ``frames`` are those that it saw.

    ``described_by``: which model's words the description is, as ``id sha256``.
    """

    facts: ImageFacts
    label_set: LabelSet
    findings: tuple[Finding, ...]
    frames: tuple[int, ...]
    cautions: tuple[Caution, ...] = ()
    heat_map: HeatMap | None = None
    description: str = ""
    described_by: str = ""
    model_id: str = ""
    model_sha256: str = ""


class PicturePart(msgspec.Struct, frozen=True):
    """A picture where it stands in a conversation: ``image`` is a file as for ``ImageReader``."""

    image: Path
    frame: int = 0


class PictureTurn(msgspec.Struct, frozen=True):
    """What one side says, in texts and pictures."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | PicturePart, ...]
