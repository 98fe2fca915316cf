"""What the document routes give: JSON shapes, and how they are made from the domain's values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from appliance.api.care_shapes import Problem, problem
from appliance.care.documents_model import Document, Proposal, Warned
from appliance.care.errors import by_code
from appliance.plugin_api.paper import Doubt, LabReport, LabValue, PaperPage, PrintedFact

_DOUBTS: Final[dict[Doubt, tuple[str, str]]] = {
    "analyte_unknown": (
        "exame fora da tabela: fica como texto, sem código",
        "not in the table: stays text, not mapped",
    ),
    "other_specimen": ("não é sangue: sem código", "not blood: not mapped"),
    "unit_missing": ("unidade não impressa: sem código", "no unit printed: not mapped"),
    "unit_unknown": ("unidade fora da tabela: sem código", "unit not in the table: not mapped"),
    "unit_unexpected": ("unidade incomum para este exame: sem código", "unexpected unit for this test: not mapped"),
    "unit_misread": (
        "a unidade foi lida com erro conhecido: confira",
        "the unit was read with a known error: check it",
    ),
    "digits_unsure": ("dígitos incertos: leia no papel", "unsure digits: read the paper"),
    "separator_unsure": ("ponto decimal ou de milhar? leia no papel", "decimal point or thousands? read the paper"),
    "implausible": ("valor implausível: leia no papel", "implausible value: read the paper"),
    "low_confidence": ("leitura pouco segura: confira", "read with little confidence: check it"),
}
_WARNINGS: Final = {
    "name_differs": (
        "O nome no papel é diferente do nome do paciente.",
        "The name on the paper differs from the patient's.",
    ),
    "name_not_found": ("Não achamos o nome do paciente no papel.", "The patient's name was not found on the paper."),
    "birth_date_differs": ("O nascimento no papel é diferente.", "The birth date on the paper differs."),
}


class DocumentView(msgspec.Struct):
    """A document; links are paths. ``problem``: why it was only kept, or why its reading failed."""

    id: str
    patient: str
    encounter: str | None
    title: str
    media_type: str
    size: int
    sha256: str
    pages: int
    state: str
    reader: str | None
    uploaded_by: str
    uploaded_at: str
    changed_at: str
    links: dict[str, str]
    problem: Problem | None = None


class DocumentList(msgspec.Struct):
    """Newest first."""

    documents: list[DocumentView]


class ReadingView(msgspec.Struct):
    """The pages that were asked for. A word is ``[text, [left, top, width, height], confidence]``, places as shares of the page."""

    document_id: str
    reader: str | None
    pages: list[PaperPage]


class DoubtView(msgspec.Struct):
    """Why to look twice."""

    code: str
    message: str


class ProposalView(msgspec.Struct):
    """One row of the paper, what is proposed from it, and what was decided. ``observation`` is an id."""

    number: int
    state: str
    proposed: LabValue
    doubts: list[DoubtView] = []
    decided_by: str | None = None
    decided_at: str | None = None
    observation: str | None = None


class WarningView(msgspec.Struct):
    """Something about whose paper it is. ``printed`` stands on the paper, ``recorded`` in the patient's record."""

    code: str
    message: str
    printed: str
    recorded: str


class ProposalsView(msgspec.Struct):
    """Everything that is proposed from a document. Nothing of it is in the record before a person confirms it."""

    document_id: str
    warnings: list[WarningView]
    patient_name: PrintedFact | None
    birth_date: PrintedFact | None
    collected: PrintedFact | None
    proposals: list[ProposalView]


def document_view(document: Document, language: str) -> DocumentView:
    """A document for clients."""
    base = f"/api/documents/{document.id}"
    links = {name: f"{base}/{name}" for name in ("original", "reading", "proposals")}
    links["document"] = f"/fhir/R4/DocumentReference/{document.resource_id}"
    return DocumentView(
        id=document.id,
        patient=document.patient_id,
        encounter=document.encounter_id,
        title=document.title,
        media_type=document.media_type,
        size=document.size,
        sha256=document.sha256,
        pages=document.pages,
        state=document.state,
        reader=document.reader,
        uploaded_by=document.uploaded_by,
        uploaded_at=document.uploaded_at,
        changed_at=document.changed_at,
        links=links,
        problem=problem(by_code(document.reason), language) if document.reason else None,
    )


def reading_view(document: Document, pages: list[PaperPage]) -> ReadingView:
    """What was read."""
    return ReadingView(document.id, document.reader, pages)


def proposal_view(proposal: Proposal, language: str = "pt") -> ProposalView:
    """One proposal with its doubts in words."""
    place = 0 if language == "pt" else 1
    return ProposalView(
        number=proposal.number,
        state=proposal.state,
        proposed=proposal.proposed,
        doubts=[DoubtView(doubt, _DOUBTS[doubt][place]) for doubt in proposal.proposed.doubts],
        decided_by=proposal.decided_by,
        decided_at=proposal.decided_at,
        observation=proposal.observation_id,
    )


def proposals_view(
    document: Document, report: LabReport, proposals: Sequence[Proposal], warned: Sequence[Warned], language: str
) -> ProposalsView:
    """All of a document."""
    place = 0 if language == "pt" else 1
    return ProposalsView(
        document_id=document.id,
        warnings=[WarningView(one.code, _WARNINGS[one.code][place], one.printed, one.recorded) for one in warned],
        patient_name=report.patient_name,
        birth_date=report.birth_date,
        collected=report.collected,
        proposals=[proposal_view(one, language) for one in proposals],
    )
