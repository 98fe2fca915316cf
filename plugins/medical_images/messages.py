"""What travels between the provider and its children, as msgpack.

The *reader* opens hostile files and gives plain pixels; it may crash without hurting a loaded model. The *model* sees only those
pixels, one frame a request, so that frames of all users share its batches and either node of a pair may work on them. So does the
*describer*, where there is one, with what people ask about them.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

from appliance.plugin_api.images import ImageFacts, LabelSet, PatientClaim

# -- the reader's requests ----------------------------------------------------------------------------------------------
READ = "read"
"""A ``Question``: ``Inspect`` → one ``Inspected``, ``ReadFrames`` → one ``Picture`` for each frame in the order asked for, ``Draw`` →
one ``Drawn``; a ``Refusal`` takes the place of what can't be given, and ends the answer."""

# -- the model's requests -----------------------------------------------------------------------------------------------
FIND = "find"
"""``Find`` → one ``Found``."""
HEAT = "heat"
"""``Heat`` → one ``HeatGrid``."""

# -- the describer's requests -------------------------------------------------------------------------------------------
CONVERSE = "converse"
"""``Converse`` → ``Said``, piece by piece."""

BILINEAR = 2
"""Pillow's number of that filter."""

# Codes by which the model's child says why a request failed; the reader's are in reading/refusals.py.
UNKNOWN_LABEL_SET = "image.label_set"
UNKNOWN_LABEL = "image.label"
BAD_CONVERSATION = "image.conversation"
TOO_LONG = "image.conversation_too_long"


class Inspect(msgspec.Struct, frozen=True, tag=True):
    """Look at a file without decoding more than one frame of it."""

    path: str
    claim: PatientClaim | None = None


class ReadFrames(msgspec.Struct, frozen=True, tag=True):
    """Decode some frames. ``square``: exactly ``side`` × ``side`` pixels (as SigLIP is trained); else at most ``side`` long.

    ``resample`` is Pillow's number of the filter (``Image.Resampling``).
    """

    path: str
    frames: tuple[int, ...]
    side: int
    square: bool = True
    resample: int = BILINEAR


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """The reader's answer to a file that can't be read or must not be: a code of reading/refusals.py and what fills its sentence."""

    code: str
    details: dict[str, str]


class Inspected(msgspec.Struct, frozen=True, tag=True):
    """What the file is."""

    facts: ImageFacts


class Drawn(msgspec.Struct, frozen=True, tag=True):
    """A picture for the eye."""

    png: bytes


class Picture(msgspec.Struct, frozen=True, tag=True):
    """One frame as uint8 RGB, rows from the top, ``height`` × ``width`` × 3 bytes, windowed and upright."""

    frame: int
    width: int
    height: int
    rgb: bytes


class HeatGrid(msgspec.Struct, frozen=True, array_like=True):
    """How much each patch speaks for a label: ``rows`` × ``columns`` values from 0 to 1, rows from the top."""

    rows: int
    columns: int
    values: tuple[float, ...]


class Draw(msgspec.Struct, frozen=True, tag=True):
    """A frame as a PNG, at most ``side`` long, with a heat map over it if one is given."""

    path: str
    frame: int
    side: int
    grid: HeatGrid | None = None


Question: TypeAlias = Inspect | ReadFrames | Draw
Answer: TypeAlias = Picture | Inspected | Drawn | Refusal
"""What the reader is asked and says."""


class Find(msgspec.Struct, frozen=True, array_like=True):
    """Score every label of a set on one picture (``ModelFacts.side`` square)."""

    picture: Picture
    label_set: str


class LabelScore(msgspec.Struct, frozen=True, array_like=True):
    """One label's score, 0 to 1; ``calibrated`` as in ``Finding``."""

    label: str
    pt: str
    en: str
    score: float
    calibrated: bool


class Found(msgspec.Struct, frozen=True, array_like=True):
    """All labels of the set, in the set's order."""

    scores: tuple[LabelScore, ...]


class Heat(msgspec.Struct, frozen=True, array_like=True):
    """Where on this picture a label's evidence lies."""

    picture: Picture
    label_set: str
    label: str


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """What one side says: texts, and numbers of pictures where they stand among them."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | int, ...]


class Converse(msgspec.Struct, frozen=True, array_like=True):
    """Go on with a conversation about pictures (``DescriberFacts.side`` square), each of which stands in it once, or about none."""

    turns: tuple[Turn, ...]
    pictures: tuple[Picture, ...]
    max_tokens: Annotated[int, msgspec.Meta(ge=1)]


class Said(msgspec.Struct, frozen=True, array_like=True):
    """A piece of the answer; the last one says why it ends, and has the counts."""

    text: str
    finish_reason: Literal["stop", "length"] | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


class DescriberFacts(msgspec.Struct, frozen=True):
    """What the describer's child tells of itself in ``Loaded.info``; ``side`` and ``resample`` as in ``ModelFacts``."""

    side: int
    resample: int
    context_tokens: int


class ModelFacts(msgspec.Struct, frozen=True):
    """What the model's child tells of itself in ``Loaded.info`` (``msgspec.to_builtins``), once, when it is ready.

    ``side``: the square it sees, in pixels; ``resample``: Pillow's number of the filter that made its training pictures so small.
    ``by_modality``: which label set is meant for a DICOM modality such as ``CR``; the first of ``label_sets`` serves where it
    says nothing.
    """

    side: int
    label_sets: tuple[LabelSet, ...]
    resample: int = BILINEAR
    by_modality: dict[str, str] = {}
