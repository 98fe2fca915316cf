"""Vital signs of a signed note as Observations: LOINC codes, UCUM units, only what the guard supports and a person signed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from appliance.care import guard
from appliance.care.guard.numbers import fold, plain
from appliance.care.model import Dictation, Fact, Note

_CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_UCUM: Final = "http://unitsofmeasure.org"
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_PRESSURE: Final = re.compile(r"(\d{2,3})\s*(?:/|x|por)\s*(\d{2,3})")
_KILOGRAMS: Final = re.compile(r"\d\s*(?:kg|quilo)")


@dataclass(frozen=True, slots=True)
class _Vital:
    loinc: str
    display: str
    unit: str
    ucum: str
    plausible: tuple[float, float]
    """A value outside is no vital sign of a living person but an error of hearing: it stays in the text only."""


_VITALS: Final = {
    "frequencia cardiaca": _Vital("8867-4", "Heart rate", "beats/minute", "/min", (10, 350)),
    "frequencia respiratoria": _Vital("9279-1", "Respiratory rate", "breaths/minute", "/min", (2, 120)),
    "saturacao": _Vital("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry", "%", "%", (20, 100)),
    "temperatura": _Vital("8310-5", "Body temperature", "Cel", "Cel", (20, 45)),
    "glicemia capilar": _Vital(
        "41653-7", "Glucose [Mass/volume] in Capillary blood by Glucometer", "mg/dL", "mg/dL", (5, 2000)
    ),
    "peso": _Vital("29463-7", "Body weight", "kg", "kg", (0.3, 650)),
}
_PANEL: Final = ("85354-9", "Blood pressure panel with all children optional")
_SYSTOLIC: Final = _Vital("8480-6", "Systolic blood pressure", "mmHg", "mm[Hg]", (20, 350))
_DIASTOLIC: Final = _Vital("8462-4", "Diastolic blood pressure", "mmHg", "mm[Hg]", (5, 250))


def observations(note: Note, dictation: Dictation) -> list[dict[str, Any]]:
    """One Observation for each vital sign that was heard, is supported, and still stands in the signed text."""
    found = [_observation(fact) for fact in note.content.facts if fact.kind == "vital" and _stands(fact, note)]
    common: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": _CATEGORY, "code": "vital-signs", "display": "Vital Signs"}]}],
        "subject": {"reference": f"Patient/{note.patient_id}"},
        "encounter": {"reference": f"Encounter/{note.encounter_id}"},
        "effectiveDateTime": dictation.opened_at,
    }
    if dictation.document_id:
        common["derivedFrom"] = [{"reference": f"DocumentReference/{dictation.document_id}"}]
    return [common | value for value in found if value is not None]


def _stands(fact: Fact, note: Note) -> bool:
    """Supported by the speech, and by a sentence that was signed: an edited or deleted figure is never written."""
    if not fact.verdict.supported or fact.negated:
        return False
    return any(
        guard.check_fact(
            fact.name,
            fact.value,
            negated=fact.negated,
            laterality=fact.laterality,
            segments=(1,),
            transcript={1: sentence.text},
        ).supported
        for sentence in note.content.sentences()
        if set(sentence.segments) & set(fact.segments)
    )


def _observation(fact: Fact) -> dict[str, Any] | None:
    name, value = fold(fact.name), fold(fact.value or "")
    if name in ("pressao arterial", "pa"):
        return _pressure(value)
    vital = _VITALS.get(name)
    number = _NUMBER.search(value)
    if vital is None or number is None or (name == "peso" and not _KILOGRAMS.search(value)):
        return None
    quantity = _quantity(vital, plain(number[0]))
    return None if quantity is None else {"code": _code(vital.loinc, vital.display), "valueQuantity": quantity}


def _pressure(value: str) -> dict[str, Any] | None:
    pair = _PRESSURE.search(value)
    if pair is None or float(pair[1]) <= float(pair[2]):
        return None
    parts = [(vital, _quantity(vital, text)) for vital, text in ((_SYSTOLIC, pair[1]), (_DIASTOLIC, pair[2]))]
    if any(quantity is None for _vital, quantity in parts):
        return None
    components = [{"code": _code(vital.loinc, vital.display), "valueQuantity": quantity} for vital, quantity in parts]
    return {"code": _code(*_PANEL), "component": components}


def _quantity(vital: _Vital, number: str) -> dict[str, Any] | None:
    value = float(number)
    low, high = vital.plausible
    if not low <= value <= high:
        return None
    exact = int(value) if value.is_integer() else value
    return {"value": exact, "unit": vital.unit, "system": _UCUM, "code": vital.ucum}


def _code(loinc: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://loinc.org", "code": loinc, "display": display}]}
