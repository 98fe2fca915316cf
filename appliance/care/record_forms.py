"""The record side of clinical work: FHIR R4 resources built from a dictation and a note. Pure functions.

Sources: R4 DocumentReference §9.3, Composition §2.2, Provenance §6.3; section codes are LOINC's SOAP codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

from appliance.care.model import Content, Dictation, Note, SectionCode, Segment, Sentence
from appliance.care.templates.layout import arrange

EXTENSION: Final = "urn:prontuario:extension:"
UNSUPPORTED: Final = "Atenção, frase sem apoio no ditado:"
"""Stands before a draft's sentence that nobody has answered for, wherever the draft is read; a signed note has none."""
IMMUTABLE: Final = {"system": "urn:prontuario:immutable", "code": "signed"}
_LOINC: Final = "http://loinc.org"
_TITLES: Final[dict[SectionCode, tuple[str, str, str]]] = {
    "S": ("Subjetivo", "61150-9", "Subjective narrative"),
    "O": ("Objetivo", "61149-1", "Objective narrative"),
    "A": ("Avaliação", "51848-0", "Evaluation note"),
    "P": ("Plano", "18776-5", "Plan of care note"),
}
_SIGNATURE_TYPE: Final = {
    "system": "urn:iso-astm:E1762-95:2013",
    "code": "1.2.840.10065.1.12.1.1",
    "display": "Author's Signature",
}


def person(practitioner_id: str | None, name: str) -> dict[str, Any]:
    """Who, as a Reference: the Practitioner where the user has one, else the name alone."""
    return {"display": name} | ({"reference": f"Practitioner/{practitioner_id}"} if practitioner_id else {})


def audio_document(dictation: Dictation, now: str) -> dict[str, Any]:
    """The DocumentReference that points at the recording."""
    attachment = {
        "contentType": dictation.media_type,
        "url": f"/api/dictations/{dictation.id}/audio",
        "size": dictation.audio_bytes,
        "title": "Ditado",
        "creation": dictation.opened_at,
    }
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"text": "Áudio do ditado clínico"},
        "subject": _ref("Patient", dictation.patient_id),
        "date": now,
        "author": [person(dictation.practitioner_id, dictation.author_name)],
        "content": [{"attachment": attachment}],
        "context": {"encounter": [_ref("Encounter", dictation.encounter_id)]},
    }


def composition(
    note: Note, dictation: Dictation, segments: dict[int, Segment], now: str, *, replaces: str | None = None
) -> dict[str, Any]:
    """The note as a document: ``preliminary`` until signed, then ``final`` (or ``amended``) and immutable.

    ``replaces``: id of the Composition that this one amends.
    """
    status = "preliminary" if note.signature is None else "amended" if note.amends else "final"
    resource: dict[str, Any] = {
        "resourceType": "Composition",
        "id": note.composition_id,
        "identifier": {"system": "urn:prontuario:note", "value": note.id},
        "status": status,
        "type": {"coding": [{"system": _LOINC, "code": "11488-4", "display": "Consult note"}]},
        "subject": _ref("Patient", note.patient_id),
        "encounter": _ref("Encounter", note.encounter_id),
        "date": now,
        "author": [person(dictation.practitioner_id, dictation.author_name)],
        "title": "Nota clínica",
        "section": _sections(note.content, segments),
    }
    if not resource["section"]:
        del resource["section"]
    if note.signature is not None:
        signer = note.signature["form"]["signer"]
        resource["meta"] = {"tag": [IMMUTABLE]}
        resource["attester"] = [
            {"mode": "legal", "time": note.signed_at, "party": person(signer["practitioner"], signer["name"])}
        ]
    if replaces:
        resource["relatesTo"] = [{"code": "replaces", "targetReference": _ref("Composition", replaces)}]
        resource["extension"] = [{"url": EXTENSION + "amendment-reason", "valueString": note.amendment_reason or ""}]
    return resource


def _sections(content: Content, segments: dict[int, Segment]) -> list[dict[str, Any]]:
    """Under the template's headings; as SOAP where the note has none."""
    displays = {code: display for _title, code, display in _TITLES.values()}
    parts: list[tuple[str, str | None, tuple[Sentence, ...]]] = [
        (heading.title, heading.loinc, heading.sentences) for heading in arrange(content)
    ] or [(*_TITLES[section.code][:2], section.sentences) for section in content.sections]
    return [
        _section(title, _coding(code, displays), sentences, segments) for title, code, sentences in parts if sentences
    ]


def _coding(code: str | None, displays: dict[str, str]) -> dict[str, Any]:
    if code is None:
        return {}
    coding = {"system": _LOINC, "code": code} | ({"display": displays[code]} if code in displays else {})
    return {"code": {"coding": [coding]}}


def _section(
    title: str, code: dict[str, Any], sentences: Sequence[Sentence], segments: dict[int, Segment]
) -> dict[str, Any]:
    paragraphs = "".join(f"<p>{escape(clean(_shown(sentence)))}</p>" for sentence in sentences)
    links = [_link(index, sentence, segments) for index, sentence in enumerate(sentences)]
    return {
        "extension": links,
        "title": title,
        **code,
        "text": {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'},
    }


def _shown(sentence: Sentence) -> str:
    return sentence.text if sentence.resolved else f"{UNSUPPORTED} {sentence.text}"


def _link(index: int, sentence: Sentence, segments: dict[int, Segment]) -> dict[str, Any]:
    """Which paragraph came from which seconds of the recording; where they do not carry it, and who let it stand."""
    parts: list[dict[str, Any]] = [
        {"url": "paragraph", "valueUnsignedInt": index},
        {"url": "origin", "valueCode": sentence.origin},
    ]
    if sentence.verdict is not None and not sentence.verdict.supported:
        parts.append({"url": "unsupported", "valueBoolean": True})
        parts += [{"url": "accepted-by", "valueString": sentence.accepted_by}] if sentence.accepted_by else []
    for number in sentence.segments:
        if number in segments:
            seconds = {
                "low": _seconds(segments[number].start),
                "high": _seconds(segments[number].end),
            }
            parts += [{"url": "segment", "valueUnsignedInt": number}, {"url": "time", "valueRange": seconds}]
    return {"url": EXTENSION + "sentence-source", "extension": parts}


def _seconds(value: float) -> dict[str, Any]:
    return {"value": round(value, 2), "unit": "s", "system": "http://unitsofmeasure.org", "code": "s"}


def clean(text: str) -> str:
    """Without the control characters that XML and FHIR strings forbid."""
    return "".join(character for character in text if character in "\t\n" or (character >= " " and character != "\x7f"))


def provenance(
    note: Note, dictation: Dictation, signer: dict[str, Any], signature: dict[str, Any], data: str
) -> dict[str, Any]:
    """Who signed what, made from what, with which models. ``data``: the signature document, base64."""
    agents: list[dict[str, Any]] = [{"type": _participant("author"), "who": signer}]
    extension: list[dict[str, Any]] = [
        {"url": EXTENSION + "transcript-sha256", "valueString": note.content.transcript_sha256}
    ]
    ai = note.content.ai
    if ai is not None and ai.model:
        agents.append({"type": _participant("assembler"), "who": {"display": ai.model}})
        told = {
            "model-sha256": ai.sha256,
            "prompt-version": ai.prompt_version,
            "guard-version": ai.guard_version,
        }
        extension += [{"url": EXTENSION + name, "valueString": value} for name, value in told.items() if value]
        extension.append({"url": EXTENSION + "demonstration-model", "valueBoolean": ai.demonstration_model})
    resource: dict[str, Any] = {
        "resourceType": "Provenance",
        "meta": {"tag": [IMMUTABLE]},
        "extension": extension,
        "target": [_ref("Composition", note.composition_id)],
        "recorded": signature["signed_at"],
        "agent": agents,
        "signature": [
            {
                "type": [_SIGNATURE_TYPE],
                "when": signature["signed_at"],
                "who": signer,
                "sigFormat": "application/vnd.prontuario.signature+json",
                "data": data,
            }
        ],
    }
    if dictation.document_id:
        resource["entity"] = [{"role": "source", "what": _ref("DocumentReference", dictation.document_id)}]
    return resource


def _participant(code: str) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {"coding": [{"system": system, "code": code}]}


def _ref(resource_type: str, resource_id: str) -> dict[str, Any]:
    return {"reference": f"{resource_type}/{resource_id}"}


def document_bundle(
    note: Note, entries: list[dict[str, Any]], *, signer: dict[str, Any], signed_at: str, data: str, now: str
) -> dict[str, Any]:
    """The signed note as a FHIR document (R4 §3.3): Composition first, then what it speaks of."""
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:prontuario:document", "value": f"{note.id}-{note.version}"},
        "type": "document",
        "timestamp": now,
        "entry": [
            {"fullUrl": f"urn:prontuario:{entry['resourceType']}/{entry['id']}", "resource": entry} for entry in entries
        ],
        "signature": {
            "type": [_SIGNATURE_TYPE],
            "when": signed_at,
            "who": signer,
            "sigFormat": "application/vnd.prontuario.signature+json",
            "data": data,
        },
    }
