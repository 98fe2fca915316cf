"""The plugin's table in ``prontuario.toml``: ``[plugins.medical_images]``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class ImagesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How pictures are read and looked at.

    ``model`` is a folder with a SigLIP model and its label sets; without it the active pack of ``image_analyser`` is used, and
    without a pack pictures are kept and shown, and nothing scores them. Of a long study ``frames_at_most`` frames are looked at,
    spread over all of it. ``frame_megapixels`` is the largest frame that is read, ``in_flight`` how many frames of one request
    the model gets at a time, ``batch_size`` how many of all requests it looks at together. ``precision`` "auto" computes in fp32 on a
    CPU and as stored on a GPU. ``describer`` is a folder with a Gemma 3 that has a vision tower (MedGemma); without it the active pack
    of ``image_describer`` is used, and without a pack nothing is described. A conversation with it has ``describer_context_tokens``
    at most, a picture counts 256.
    """

    model: str | None = None
    frames_at_most: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    frame_megapixels: Annotated[int, msgspec.Meta(ge=1, le=400)] = 100
    in_flight: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=256)] = 16
    precision: Literal["auto", "fp32", "stored"] = "auto"
    describer: str | None = None
    describer_context_tokens: Annotated[int, msgspec.Meta(ge=512, le=131_072)] = 4096
