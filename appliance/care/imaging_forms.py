"""The record side of pictures: FHIR R4 Media (§10.6), DiagnosticReport (§10.2) and Observation (§10.1). Pure functions.

What a model says is preliminary and says so; only a person's acceptance makes it final.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from appliance.care.imaging_model import Analysis, Image, Result
from appliance.care.record_forms import EXTENSION, clean, person
from appliance.plugin_api.http import Principal
from appliance.plugin_api.images import Finding, PatientClaim

NOTICE_PT: Final = (
    "Não é um diagnóstico. Pontuações de um modelo de IA, a serem conferidas por um profissional que viu a imagem."
)
NOTICE_EN: Final = "Not a diagnosis. Scores of an AI model, to be checked by a professional who has seen the image."
USE_PT: Final = "Uso pretendido: apontar achados que merecem atenção; não exclui nada e não substitui o laudo."
USE_EN: Final = (
    "Intended use: to point at findings that deserve attention; it rules nothing out and replaces no report."
)
OBSERVED: Final = 5
"""How many of the highest findings become Observations; every score stays in the analysis."""
_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_UCUM: Final = "http://unitsofmeasure.org"


def media(image: Image) -> dict[str, Any]:
    """The Media that points at the original."""
    attachment = {
        "contentType": image.facts.media_type,
        "url": f"/api/images/{image.id}/original",
        "size": image.size,
        "title": clean(image.title),
        "creation": image.uploaded_at,
    }
    resource: dict[str, Any] = {
        "resourceType": "Media",
        "identifier": [{"system": "urn:prontuario:image-sha256", "value": image.sha256}],
        "status": "completed",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/media-type", "code": "image"}]},
        "subject": {"reference": f"Patient/{image.patient_id}"},
        "createdDateTime": image.facts.taken or image.uploaded_at,
        "issued": image.uploaded_at,
        "operator": person(image.practitioner_id, image.uploader_name),
        "width": image.facts.width,
        "height": image.facts.height,
        "frames": image.facts.frames,
        "content": attachment,
    }
    return resource | _encounter(image)


def observations(image: Image, result: Result, now: str) -> list[dict[str, Any]]:
    """The highest findings, preliminary."""
    return [_observation(image, result, finding, now) for finding in result.findings[:OBSERVED]]


def _observation(image: Image, result: Result, finding: Finding, now: str) -> dict[str, Any]:
    certainty = "calibrada" if finding.calibrated else "não calibrada"
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "extension": _provenance(result),
        "status": "preliminary",
        "category": [{"coding": [{"system": _CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "code": {"text": clean(finding.pt)},
        "subject": {"reference": f"Patient/{image.patient_id}"},
        "issued": now,
        "valueQuantity": {"value": round(finding.score, 4), "unit": "1", "system": _UCUM, "code": "1"},
        "method": {"text": clean(f"Pontuação de 0 a 1, {certainty}, de {result.model_id}; quadro {finding.frame}")},
        "note": [{"text": f"{NOTICE_PT} {NOTICE_EN}"}],
        "derivedFrom": [{"reference": f"Media/{image.media_id}"}],
    }
    return resource | _encounter(image)


def report(image: Image, result: Result, observed: list[str], now: str) -> dict[str, Any]:
    """The draft report over Observations with these ids."""
    said = [f"{finding.pt}: {finding.score:.2f}" for finding in result.findings[:OBSERVED]]
    parts = [NOTICE_PT, USE_PT, "; ".join(said) + ".", result.description, NOTICE_EN, USE_EN]
    resource: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "extension": _provenance(result),
        "status": "preliminary",
        "code": {"text": clean(f"Análise de imagem por IA: {result.label_set.pt}")},
        "subject": {"reference": f"Patient/{image.patient_id}"},
        "effectiveDateTime": image.facts.taken or image.uploaded_at,
        "issued": now,
        "result": [{"reference": f"Observation/{one}"} for one in observed],
        "media": [{"link": {"reference": f"Media/{image.media_id}"}}],
        "conclusion": clean("\n".join(part for part in parts if part)),
    }
    return resource | _encounter(image)


def decided(resource: Mapping[str, Any], analysis: Analysis, who: Principal) -> dict[str, Any]:
    """The report or an Observation after the decision: ``final`` in the name of ``who``, or ``cancelled``."""
    final = analysis.decision == "accepted"
    changed = {**resource, "status": "final" if final else "cancelled"}
    field = "resultsInterpreter" if resource["resourceType"] == "DiagnosticReport" else "performer"
    return changed | ({field: [person(who.practitioner_id, who.username)]} if final else {})


def claim_of(patient: Mapping[str, Any]) -> PatientClaim:
    """What the record knows of the patient, for the comparison with a file's header."""
    names = [
        str(name.get("text") or " ".join([*name.get("given", []), str(name.get("family", ""))])).strip()
        for name in patient.get("name", [])
    ]
    identifiers = [str(one["value"]) for one in patient.get("identifier", []) if one.get("value")]
    return PatientClaim(tuple(identifiers), tuple(filter(None, names)), str(patient.get("birthDate", "")))


def _encounter(image: Image) -> dict[str, Any]:
    return {"encounter": {"reference": f"Encounter/{image.encounter_id}"}} if image.encounter_id else {}


def _provenance(result: Result) -> list[dict[str, Any]]:
    facts = {
        "ai-model": result.model_id,
        "ai-model-sha256": result.model_sha256,
        "ai-description-model": result.described_by,
        "ai-label-set": result.label_set.name,
        "ai-label-set-sha256": result.label_set.sha256,
        "ai-notice": NOTICE_PT,
        "ai-intended-use": USE_PT,
    }
    return [{"url": EXTENSION + name, "valueString": clean(value)} for name, value in facts.items() if value]
