"""Label sets: the questions that an image model is asked, as TOML files that a hospital can edit or add to.

A file is named after its set (``radiology.toml``)::

    version = 1                       # of this file's format
    order = 1                         # the lowest comes first; the first serves where a modality says nothing
    pt = "Radiologia: tórax"
    en = "Radiology: chest"
    modalities = ["CR", "DX"]         # DICOM modalities that it is meant for

    [[labels]]
    id = "pleural_effusion"           # stable: it stands in records
    pt = "Derrame pleural"
    en = "Pleural effusion"
    positive = ["pleural effusion"]   # what a picture that shows it is like, in the model's language (English for MedSigLIP)
    negative = ["normal chest x-ray"]

    [calibration]                     # optional; made by calibration.py, good for one model only
    model_sha256 = "…"
    provenance = "which pictures, who judged them, when"
    [calibration.labels.pleural_effusion]
    a = 1.2
    b = -0.4
    positives = 140
    negatives = 310

A score is the logistic function of a margin: how much nearer the picture is to the positive than to the negative sentences. Without
a calibration for exactly this model it orders pictures and is no probability; with one it is ``sigmoid(a * margin + b)`` (Platt 1999).
Text only: nothing here imports a model library.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from appliance.plugin_api.images import LabelSet

BUILT_IN: Final = Path(__file__).with_name("label_sets")
FORMAT_VERSION: Final = 1
MOST_BYTES: Final = 1 << 20

_Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Sentences = Annotated[tuple[_Text, ...], msgspec.Meta(min_length=1, max_length=20)]
_Count = Annotated[int, msgspec.Meta(ge=1)]


class LabelSetError(ValueError):
    """A file is no label set; the text names the file and what is wrong with it."""


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One question."""

    id: _Identifier
    pt: _Text
    en: _Text
    positive: _Sentences
    negative: _Sentences


class Platt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label's calibration, and how many pictures with and without the finding it rests on."""

    a: float
    b: float
    positives: _Count
    negatives: _Count

    def probability(self, margin: float) -> float:
        """Of the finding, 0 to 1."""
        return sigmoid(self.a * margin + self.b)


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Good for the weights with this SHA-256 and no others."""

    model_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    provenance: Annotated[str, msgspec.Meta(min_length=10, max_length=2000)]
    labels: dict[str, Platt]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    pt: _Text
    en: _Text
    labels: Annotated[tuple[Label, ...], msgspec.Meta(min_length=1, max_length=200)]
    order: int = 100
    modalities: tuple[Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2,16}$")], ...] = ()
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Questions:
    """A label set as read; ``sha256`` is that of its file."""

    name: str
    pt: str
    en: str
    labels: tuple[Label, ...]
    modalities: tuple[str, ...]
    calibration: Calibration | None
    order: int
    sha256: str

    def platt(self, label: str, model_sha256: str) -> Platt | None:
        """The calibration of a label for this model; None where there is none."""
        if self.calibration is None or self.calibration.model_sha256 != model_sha256:
            return None
        return self.calibration.labels.get(label)

    def facts(self, model_sha256: str) -> LabelSet:
        """What is told of the set; it is calibrated only if every label is, for this model."""
        calibrated = all(self.platt(label.id, model_sha256) is not None for label in self.labels)
        return LabelSet(self.name, self.pt, self.en, self.sha256, len(self.labels), calibrated)


@dataclass(frozen=True, slots=True)
class LabelSets:
    """All sets, the first one being the default, and what is wrong with files that could not be read."""

    sets: tuple[Questions, ...]
    problems: tuple[str, ...] = ()

    def by_modality(self) -> dict[str, str]:
        """Which set is meant for a DICOM modality; the first that names it."""
        return {modality: one.name for one in reversed(self.sets) for modality in one.modalities}


def read_label_sets(folders: Sequence[Path]) -> LabelSets:
    """Every ``*.toml`` of the folders; a later folder's file takes the place of an earlier one's with the same name.

    A broken file is named in ``problems`` and its set is left out, even where an earlier folder has a sound one: nobody must
    believe that the edited questions were asked. Folders that do not exist are empty.
    """
    files = {file.stem: file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.toml"))}
    found, problems = [], []
    for file in files.values():
        try:
            found.append(read_label_set(file))
        except LabelSetError as error:
            problems.append(str(error))
    found.sort(key=lambda one: (one.order, one.name))
    return LabelSets(tuple(found), tuple(problems))


def read_label_set(file: Path) -> Questions:
    """One file.

    Raises:
        LabelSetError: not readable, no TOML, an unknown or missing key, a value out of bounds, or parts that contradict.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise LabelSetError(f"{file.name}: larger than {MOST_BYTES} bytes")
        data = file.read_bytes()
        read = msgspec.convert(tomllib.loads(data.decode()), _File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise LabelSetError(f"{file.name}: {error}") from error
    _check(file, read)
    digest = hashlib.sha256(data).hexdigest()
    return Questions(file.stem, read.pt, read.en, read.labels, read.modalities, read.calibration, read.order, digest)


def _check(file: Path, read: _File) -> None:
    """What the types cannot say."""
    if not is_identifier(file.stem):
        raise LabelSetError(f"{file.name}: a set's name has small letters, digits and underscores")
    if read.version != FORMAT_VERSION:
        raise LabelSetError(
            f"{file.name}: format version {read.version} is unknown, this program reads {FORMAT_VERSION}"
        )
    known: set[str] = set()
    for label in read.labels:
        if label.id in known:
            raise LabelSetError(f'{file.name}: label "{label.id}" stands there twice')
        known.add(label.id)
        if set(label.positive) & set(label.negative):
            raise LabelSetError(f'{file.name}: label "{label.id}" has a sentence that is both positive and negative')
    for name, platt in (read.calibration.labels if read.calibration else {}).items():
        if name not in known:
            raise LabelSetError(f'{file.name}: calibration of "{name}", which is no label of this set')
        if not (math.isfinite(platt.a) and math.isfinite(platt.b) and platt.a > 0):
            raise LabelSetError(f'{file.name}: calibration of "{name}": a must be above 0, and both must be numbers')


def is_identifier(text: str) -> bool:
    """Whether ``text`` may name a set or a label."""
    try:
        msgspec.convert(text, _Identifier)
    except msgspec.ValidationError:
        return False
    return True


def sigmoid(value: float) -> float:
    """The logistic function, safe for any finite value."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    grown = math.exp(value)
    return grown / (1.0 + grown)
