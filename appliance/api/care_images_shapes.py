"""What the image routes give: JSON shapes, and how they are made from the domain's values."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from appliance.api.care_shapes import Problem, problem
from appliance.care.errors import by_code
from appliance.care.imaging_forms import NOTICE_EN, NOTICE_PT, USE_EN, USE_PT
from appliance.care.imaging_model import Analysis, Image
from appliance.plugin_api.images import Caution, LabelSet

_CAUTIONS: Final[dict[Caution, tuple[str, str]]] = {
    "burned_in_declared": (
        "O arquivo declara que há identificação gravada na imagem.",
        "The file declares that identity is burnt into the picture.",
    ),
    "burned_in_likely": (
        "Este tipo de exame costuma trazer identificação gravada na imagem: confira.",
        "This kind of study often has identity burnt into the picture: check it.",
    ),
    "identity_absent": (
        "O arquivo não diz de quem é: confira o paciente.",
        "The file does not say whose it is: check the patient.",
    ),
    "frames_left_out": ("Nem todos os quadros foram vistos pelo modelo.", "The model has not seen every frame."),
    "window_guessed": (
        "O arquivo não traz a janela de contraste; foi estimada.",
        "The file has no contrast window; it was estimated.",
    ),
    "not_calibrated": (
        "As pontuações não são calibradas: só a ordem tem sentido.",
        "The scores are not calibrated: only their order means something.",
    ),
}


class CautionView(msgspec.Struct):
    """Something to know before looking."""

    code: str
    message: str


class FindingView(msgspec.Struct):
    """A label's score, 0 to 1."""

    label: str
    text: str
    score: float
    calibrated: bool
    frame: int


class LabelSetView(msgspec.Struct):
    """What a model can be asked."""

    name: str
    title: str
    labels: int
    calibrated: bool
    sha256: str


class LabelSetList(msgspec.Struct):
    """The active model's label sets, its own choice first."""

    label_sets: list[LabelSetView]


class AnalysisView(msgspec.Struct):
    """An analysis; ``findings`` are all labels of the set, highest first. ``notice`` and ``intended_use`` are shown with them."""

    id: str
    image: str
    state: str
    asked_by: str
    asked_at: str
    notice: str
    intended_use: str
    links: dict[str, str]
    findings: list[FindingView] = []
    label_set: LabelSetView | None = None
    frames: tuple[int, ...] = ()
    cautions: list[CautionView] = []
    description: str = ""
    model: str = ""
    model_sha256: str = ""
    demonstration: bool = False
    degraded: bool = False
    decision: str | None = None
    decided_by: str | None = None
    decided_at: str | None = None
    problem: Problem | None = None


class ImageView(msgspec.Struct):
    """A picture; links are paths."""

    id: str
    patient: str
    encounter: str | None
    title: str
    media_type: str
    size: int
    sha256: str
    width: int
    height: int
    frames: int
    modality: str
    body_part: str
    taken: str
    identity: str
    cautions: list[CautionView]
    uploaded_by: str
    uploaded_at: str
    links: dict[str, str]
    analyses: list[AnalysisView] = []


class ImageList(msgspec.Struct):
    """A patient's pictures, newest first, without their analyses."""

    images: list[ImageView]


class Decide(msgspec.Struct, forbid_unknown_fields=True):
    """What the clinician says of the draft."""

    decision: Literal["accepted", "rejected"]


def image_view(image: Image, analyses: list[Analysis], language: str) -> ImageView:
    """A picture as a client sees it."""
    facts, base = image.facts, f"/api/images/{image.id}"
    return ImageView(
        id=image.id,
        patient=image.patient_id,
        encounter=image.encounter_id,
        title=image.title,
        media_type=facts.media_type,
        size=image.size,
        sha256=image.sha256,
        width=facts.width,
        height=facts.height,
        frames=facts.frames,
        modality=facts.modality,
        body_part=facts.body_part,
        taken=facts.taken,
        identity=facts.identity,
        cautions=_cautions(facts.cautions, language),
        uploaded_by=image.uploaded_by,
        uploaded_at=image.uploaded_at,
        links={
            "original": f"{base}/original",
            "frame": f"{base}/frames/0",
            "analyses": f"{base}/analyses",
            "media": f"/fhir/R4/Media/{image.media_id}",
        },
        analyses=[analysis_view(one, language) for one in analyses],
    )


def analysis_view(analysis: Analysis, language: str) -> AnalysisView:
    """An analysis as a client sees it; the sentences in ``language``."""
    portuguese, result = language == "pt", analysis.result
    view = AnalysisView(
        id=analysis.id,
        image=analysis.image_id,
        state=analysis.state,
        asked_by=analysis.asked_by,
        asked_at=analysis.asked_at,
        notice=NOTICE_PT if portuguese else NOTICE_EN,
        intended_use=USE_PT if portuguese else USE_EN,
        links=_links(analysis),
        decision=analysis.decision,
        decided_by=analysis.decided_by,
        decided_at=analysis.decided_at,
        problem=problem(by_code(analysis.reason), language) if analysis.reason else None,
    )
    if result is not None:
        view.findings = [
            FindingView(one.label, one.pt if portuguese else one.en, one.score, one.calibrated, one.frame)
            for one in result.findings
        ]
        view.label_set, view.frames = label_set_view(result.label_set, language), result.frames
        view.cautions, view.description = _cautions(result.cautions, language), result.description
        view.model, view.model_sha256 = result.model_id, result.model_sha256
        view.demonstration, view.degraded = result.demonstration, result.degraded
    return view


def label_set_view(one: LabelSet, language: str) -> LabelSetView:
    """A label set as a client sees it."""
    return LabelSetView(one.name, one.pt if language == "pt" else one.en, one.labels, one.calibrated, one.sha256)


def _links(analysis: Analysis) -> dict[str, str]:
    links = {}
    if analysis.heat_blob is not None:
        links["heat_map"] = f"/api/images/{analysis.image_id}/analyses/{analysis.id}/heat-map"
    if analysis.report_id is not None:
        links["report"] = f"/fhir/R4/DiagnosticReport/{analysis.report_id}"
    return links


def _cautions(codes: tuple[Caution, ...], language: str) -> list[CautionView]:
    return [CautionView(code, _CAUTIONS[code][0 if language == "pt" else 1]) for code in codes]
