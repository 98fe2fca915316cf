"""A reader of pictures and a model that looks at them, both as a test tells them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.images import (
    Finding,
    HeatMap,
    ImageAnalysis,
    ImageFacts,
    ImageOptions,
    LabelSet,
    PatientClaim,
)

CHEST = LabelSet("radiology", "Tórax", "Chest", "ab" * 32, 2, calibrated=True)
FINDINGS = (
    Finding("effusion", "derrame pleural", "pleural effusion", 0.81, True, 1),
    Finding("mass", "massa", "mass", 0.07, True, 0),
)
PNG = b"\x89PNG\r\n\x1a\nheat"


@dataclass
class FixedPictures:
    """Every file is a chest picture of two frames."""

    facts: ImageFacts = field(
        default_factory=lambda: ImageFacts("application/dicom", 512, 400, 2, "CR", "CHEST", "2026-03-04")
    )
    failure: Exception | None = None
    seen: list[bytes] = field(default_factory=list)
    claims: list[PatientClaim | None] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return ModelInfo("image-reader", "", "image_reader", demonstration=False, ready=True)

    async def inspect(self, image: Path, claim: PatientClaim | None, call: CallOptions) -> ImageFacts:
        self.seen.append(image.read_bytes())
        self.claims.append(claim)
        if self.failure is not None:
            raise self.failure
        return self.facts

    async def png(self, image: Path, frame: int, longest_side: int, call: CallOptions) -> bytes:
        return b"\x89PNG" + f" {frame} {longest_side} ".encode() + image.read_bytes()


@dataclass
class FixedAnalyser:
    """Sees the same in every picture; ``failures`` are raised first, one a call."""

    failures: list[Exception] = field(default_factory=list)
    asked: list[tuple[ImageOptions, CallOptions, bytes]] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return ModelInfo("tiny-siglip", "cd" * 32, "image_analyser", demonstration=False, ready=True)

    def label_sets(self) -> Sequence[LabelSet]:
        return (CHEST,)

    async def analyse(self, image: Path, options: ImageOptions, call: CallOptions) -> ImageAnalysis:
        self.asked.append((options, call, image.read_bytes()))
        if self.failures:
            raise self.failures.pop(0)
        facts = ImageFacts("application/dicom", 512, 400, 2, "CR")
        heat = HeatMap("effusion", 1, PNG)
        return ImageAnalysis(
            facts,
            CHEST,
            FINDINGS,
            (0, 1),
            ("burned_in_likely",),
            heat,
            "",
            model_id="tiny-siglip",
            model_sha256="cd" * 32,
        )
