"""The values of paper in the record: a document, a proposal, a decision, a warning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from appliance.plugin_api.paper import LabReport, LabValue
from appliance.plugin_api.storage import Row

DocumentState = Literal["kept", "reading", "read", "failed"]
ProposalState = Literal["proposed", "confirmed", "rejected"]


class Document(msgspec.Struct, frozen=True):
    """A row of care_document, without the report. ``kept``: not to be read, for AI is switched off; ``reason`` says so."""

    id: str
    patient_id: str
    encounter_id: str | None
    uploaded_by: str
    uploader_name: str
    practitioner_id: str | None
    title: str
    media_type: str
    sha256: str
    size: int
    blob: str
    key_id: str
    pages: int
    state: DocumentState
    reason: str | None
    resource_id: str
    reader: str | None
    uploaded_at: str
    changed_at: str


class Proposal(msgspec.Struct, frozen=True):
    """What is proposed from one row of the paper, and what became of it. ``number`` counts from 1 in order of the paper."""

    document_id: str
    number: int
    proposed: LabValue
    state: ProposalState
    decided_by: str | None
    decided_at: str | None
    observation_id: str | None


class Edits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person confirms; a field that is left out stays as proposed.

    ``value`` is a decimal number ("13.2" or "13,2"); ``ucum`` and ``loinc`` are codes; ``effective`` is when the sample was
    taken (FHIR date). ``identity_checked``: the person has compared the paper's name with the patient's.
    """

    value: Annotated[str, msgspec.Meta(pattern=r"^\d{1,12}([.,]\d{1,8})?$")] | None = None
    comparator: Literal["", "<", "<=", ">=", ">"] | None = None
    ucum: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{0,40}$")] | None = None
    loinc: Annotated[str, msgspec.Meta(pattern=r"^(\d{1,7}-\d)?$")] | None = None
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    effective: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    identity_checked: bool = False


class Warned(msgspec.Struct, frozen=True):
    """Something about the paper's identity. ``printed`` is what the paper says, ``recorded`` what the patient's record says."""

    code: Literal["name_differs", "name_not_found", "birth_date_differs"]
    printed: str
    recorded: str


COLUMNS = ", ".join(Document.__struct_fields__)


def document_of(row: Row) -> Document:
    """From a row of COLUMNS."""
    return msgspec.convert(dict(zip(row.keys(), row, strict=True)), Document)


def proposal_of(row: Row) -> Proposal:
    """From a row of care_proposal."""
    values: dict[str, Any] = dict(zip(row.keys(), row, strict=True))
    return msgspec.convert(values | {"proposed": msgspec.json.decode(str(values["proposed"]))}, Proposal)


def report_of(text: object) -> LabReport:
    """The stored report; an empty one before the document is read."""
    return LabReport() if text is None else msgspec.json.decode(str(text), type=LabReport)
