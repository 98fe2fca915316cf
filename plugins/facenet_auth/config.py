"""The plugin's table in ``prontuario.toml``: ``[plugins.facenet_auth]``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class FaceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which face model, and how near two faces have to be.

    ``model`` is a folder with the detector's and the embedder's networks; without it the active pack of ``face_verifier`` is used,
    and without a pack the plugin offers nothing. ``threshold`` is the largest distance, 0 to 2, at which two faces count as one
    person's; ``calibrated_for`` begins like the SHA-256 of the model for which it was found (12 digits or more). Both are printed
    by ``prontuario faces evaluate``; for any other model the threshold does not count. ``smallest_px`` and ``sharpness`` say from
    when on a face is good enough; ``runtime`` "auto" is Core ML on a Mac whose pack has it, and ONNX elsewhere.
    """

    model: str | None = None
    threshold: Annotated[float, msgspec.Meta(gt=0.0, lt=2.0)] | None = None
    calibrated_for: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{12,64})?$")] = ""
    smallest_px: Annotated[float, msgspec.Meta(ge=20.0, le=1000.0)] = 80.0
    sharpness: Annotated[float, msgspec.Meta(ge=0.0, le=10_000.0)] = 20.0
    runtime: Literal["auto", "onnx", "coreml"] = "auto"
    threads: Annotated[int, msgspec.Meta(ge=0, le=64)] = 2
    batch_frames: Annotated[int, msgspec.Meta(ge=1, le=128)] = 16
