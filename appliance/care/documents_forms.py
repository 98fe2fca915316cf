"""The record side of paper: FHIR R4 DocumentReference (§10.3) and Observation (§10.1). Pure functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from appliance.care.documents_identity import iso_date
from appliance.care.documents_model import Document, Edits, Proposal
from appliance.care.record_forms import EXTENSION, clean, person
from appliance.plugin_api.http import Principal
from appliance.plugin_api.paper import LabReport, LabValue

_LOINC: Final = "http://loinc.org"
_UCUM: Final = "http://unitsofmeasure.org"
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_EVEN: Final = 10
"""LOINC's check digit is that of Luhn, modulo 10 (LOINC Users' Guide, appendix C)."""


def paper_reference(document: Document) -> dict[str, Any]:
    """The DocumentReference that points at the original."""
    attachment = {
        "contentType": document.media_type,
        "url": f"/api/documents/{document.id}/original",
        "size": document.size,
        "title": clean(document.title),
        "creation": document.uploaded_at,
    }
    resource: dict[str, Any] = {
        "resourceType": "DocumentReference",
        "identifier": [{"system": "urn:prontuario:document-sha256", "value": document.sha256}],
        "status": "current",
        "type": {"text": "Documento em papel ou PDF"},
        "subject": {"reference": f"Patient/{document.patient_id}"},
        "date": document.uploaded_at,
        "author": [person(document.practitioner_id, document.uploader_name)],
        "content": [{"attachment": attachment}],
    }
    if document.encounter_id:
        resource["context"] = {"encounter": [{"reference": f"Encounter/{document.encounter_id}"}]}
    return resource


def observation(
    document: Document, proposal: Proposal, edits: Edits, who: Principal, *, value: str, report: LabReport, now: str
) -> dict[str, Any]:
    """The confirmed value: final, by the person who confirmed it, derived from the paper at its page and place."""
    printed = proposal.proposed
    effective = edits.effective or iso_date(report.collected.text if report.collected else "")
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "extension": [_place(printed)],
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "laboratory", "display": "Laboratory"}]}],
        "code": _code(printed, edits),
        "subject": {"reference": f"Patient/{document.patient_id}"},
        "issued": now,
        "performer": [person(who.practitioner_id, who.username)],
        "valueQuantity": _quantity(printed, edits, value),
        "note": [{"text": clean(f"Transcrito de papel, página {printed.page}: {printed.row}")}],
        "derivedFrom": [{"reference": f"DocumentReference/{document.resource_id}"}],
    }
    if document.encounter_id:
        resource["encounter"] = {"reference": f"Encounter/{document.encounter_id}"}
    if effective:
        resource["effectiveDateTime"] = effective
    if printed.printed_reference and edits.ucum in (None, printed.ucum):
        resource["referenceRange"] = [_range(printed)]
    return resource


def _place(printed: LabValue) -> dict[str, Any]:
    box = printed.box
    figures = (("left", box.left), ("top", box.top), ("width", box.width), ("height", box.height))
    parts: list[dict[str, Any]] = [{"url": "page", "valuePositiveInt": printed.page}]
    parts += [{"url": name, "valueDecimal": round(figure, 4)} for name, figure in figures]
    parts.append({"url": "confidence", "valueDecimal": printed.confidence})
    return {"url": EXTENSION + "paper-source", "extension": parts}


def _code(printed: LabValue, edits: Edits) -> dict[str, Any]:
    loinc = printed.loinc if edits.loinc is None else edits.loinc
    code: dict[str, Any] = {"text": clean(edits.name or printed.printed_name)}
    if loinc:
        display = {"display": printed.display} if loinc == printed.loinc and printed.display else {}
        code["coding"] = [{"system": _LOINC, "code": loinc, **display}]
    return code


def _quantity(printed: LabValue, edits: Edits, value: str) -> dict[str, Any]:
    ucum = printed.ucum if edits.ucum is None else edits.ucum
    comparator = printed.comparator if edits.comparator is None else edits.comparator
    quantity: dict[str, Any] = {"value": Decimal(value.replace(",", "."))}
    if comparator:
        quantity["comparator"] = comparator
    if ucum:
        return quantity | {"unit": ucum, "system": _UCUM, "code": ucum}
    return quantity | ({"unit": clean(printed.printed_unit)} if printed.printed_unit else {})


def _range(printed: LabValue) -> dict[str, Any]:
    coded = {"unit": printed.ucum, "system": _UCUM, "code": printed.ucum} if printed.ucum else {}
    bounds = {
        name: {"value": Decimal(bound), **coded}
        for name, bound in (("low", printed.low), ("high", printed.high))
        if bound
    }
    return {"text": clean(printed.printed_reference), **bounds}


def is_loinc(code: str) -> bool:
    """Whether the check digit is right: a mistyped code is never written."""
    body, _, check = code.partition("-")
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled // _EVEN + doubled % _EVEN
    return check.isdigit() and int(check) == -total % _EVEN
