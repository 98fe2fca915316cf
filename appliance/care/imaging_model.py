"""The values of pictures in the record: an image, an analysis of it, and a person's decision."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from appliance.plugin_api.images import Caution, Finding, ImageFacts, LabelSet

AnalysisState = Literal["waiting", "done", "failed"]
Decision = Literal["accepted", "rejected"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{0,80}$")]


class Image(msgspec.Struct, frozen=True):
    """A row of care_image."""

    id: str
    patient_id: str
    encounter_id: str | None
    uploaded_by: str
    uploader_name: str
    practitioner_id: str | None
    title: str
    facts: ImageFacts
    sha256: str
    size: int
    blob: str
    key_id: str
    media_id: str
    uploaded_at: str


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an analysis is to look for; empty fields are the provider's choice (see ``ImageOptions``)."""

    label_set: Name = ""
    frames: Annotated[tuple[Annotated[int, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=64)] = ()
    heat_map: Name = ""
    description: bool = False


class Result(msgspec.Struct, frozen=True):
    """What a model made of it, without the heat map's pixels."""

    label_set: LabelSet
    findings: tuple[Finding, ...]
    frames: tuple[int, ...]
    cautions: tuple[Caution, ...]
    description: str
    model_id: str
    model_sha256: str
    demonstration: bool
    degraded: bool
    heat_label: str = ""
    heat_frame: int = 0
    described_by: str = ""


class Analysis(msgspec.Struct, frozen=True):
    """A row of care_image_analysis. ``reason`` is an error code where it failed."""

    id: str
    image_id: str
    state: AnalysisState
    reason: str | None
    asked: Asked
    asked_by: str
    result: Result | None
    heat_blob: str | None
    heat_size: int | None
    heat_key_id: str | None
    report_id: str | None
    decision: Decision | None
    decided_by: str | None
    decided_at: str | None
    asked_at: str
    changed_at: str
