"""FHIR resources as plain Portuguese statements, one line each: what the model reads and what claims are held to.

Only what is in force: no drafts, no errors, nothing refuted. What a type says that is not listed here is not told.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Resource = Mapping[str, Any]
LONGEST: Final = 400
"""Characters of one statement."""
_MOST_LINES: Final = 50
"""Of one text: twenty thousand characters, more than any report has."""
_SENTENCE_END: Final = re.compile(r"(?<=[.;!?]) ")
_TAG: Final = re.compile(r"<[^>]*>")
_PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_VOID: Final = frozenset(
    {"entered-in-error", "cancelled", "refuted", "not-done", "preliminary", "draft", "registered", "unknown"}
)
_NAMES: Final = {
    "8867-4": "Frequência cardíaca", "9279-1": "Frequência respiratória", "59408-5": "Saturação", "8310-5": "Temperatura",
    "41653-7": "Glicemia capilar", "29463-7": "Peso", "8302-2": "Altura",
}  # fmt: skip
"""LOINC codes of the vital signs that this appliance writes itself."""
_PRESSURE: Final = ("8480-6", "8462-4")
_GENDER: Final = {"male": "masculino", "female": "feminino"}
_STATUS: Final = {
    "active": "ativo", "recurrence": "recorrente", "relapse": "em recaída", "inactive": "inativo", "remission": "em remissão",
    "resolved": "resolvido",
}  # fmt: skip
_STOPPED: Final = frozenset({"stopped", "completed", "on-hold", "not-taken"})
_SEVERITY: Final = {
    "high": "risco alto",
    "low": "risco baixo",
    "severe": "grave",
    "moderate": "moderada",
    "mild": "leve",
}


def statements(resource: Resource) -> list[str]:
    """What a resource says; an empty list when it says nothing that counts."""
    tell = _TELLERS.get(str(resource.get("resourceType")))
    if tell is None or _is_void(resource):
        return []
    return [line for text in tell(resource) for line in _lines(text)]


def date_of(resource: Resource) -> str:
    """The day that it speaks of (ISO 8601), or nothing."""
    for name in (
        "effectiveDateTime", "onsetDateTime", "authoredOn", "performedDateTime", "occurrenceDateTime", "recordedDate",
        "dateAsserted", "date", "birthDate",
    ):  # fmt: skip
        if resource.get(name):
            return str(resource[name])[:10]
    for name in ("effectivePeriod", "period", "performedPeriod", "onsetPeriod"):
        if resource.get(name, {}).get("start"):
            return str(resource[name]["start"])[:10]
    return ""


def _is_void(resource: Resource) -> bool:
    told = {str(resource.get("status", "")), _code(resource.get("verificationStatus"))}
    return bool(told & _VOID)


def _lines(text: str) -> list[str]:
    """Lines without control characters or square brackets, which are ours: they number the sources.

    A long text is told to its end, for an answer may say that the record is silent about what stands there. It is parted between
    sentences only: behind a cut "sem | trombose" would say the opposite.
    """
    visible = "".join(character if character.isprintable() else " " for character in text)
    lines = [""]
    for sentence in _SENTENCE_END.split(" ".join(visible.replace("[", "(").replace("]", ")").split())):
        if lines[-1] and len(lines[-1]) + 1 + len(sentence) > LONGEST:
            lines.append(sentence)
        else:
            lines[-1] = f"{lines[-1]} {sentence}".strip()
    return [line[:LONGEST] for line in lines[:_MOST_LINES] if line]


def _day(text: str) -> str:
    """``2024-03-12`` as ``12/03/2024``; a month or a year stays what it is."""
    parts = text[:10].split("-")
    return "/".join(reversed(parts))


def _when(resource: Resource, word: str = "em") -> str:
    day = date_of(resource)
    return f" {word} {_day(day)}" if day else ""


def _concept(value: Any) -> str:
    if not isinstance(value, Mapping):
        return ""
    known = [_NAMES.get(str(coding.get("code")), "") for coding in value.get("coding", [])]
    told = [str(coding.get("display") or coding.get("code") or "") for coding in value.get("coding", [])]
    return str(next(filter(None, [*known, value.get("text"), *told]), ""))


def _code(value: Any) -> str:
    codings = value.get("coding", []) if isinstance(value, Mapping) else []
    return str(codings[0].get("code", "")) if codings else ""


def _quantity(value: Mapping[str, Any]) -> str:
    number = str(value.get("value", "")).replace(".", ",")
    unit = str(value.get("unit") or value.get("code") or "")
    unit = {"beats/minute": "bpm", "breaths/minute": "irpm", "Cel": "°C"}.get(unit, unit)
    return f"{number} {unit}".strip()


def _value(part: Resource) -> str:
    if isinstance(part.get("valueQuantity"), Mapping):
        return _quantity(part["valueQuantity"])
    if isinstance(part.get("valueCodeableConcept"), Mapping):
        return _concept(part["valueCodeableConcept"])
    value = next((part[name] for name in ("valueString", "valueInteger", "valueBoolean") if name in part), "")
    return {True: "sim", False: "não"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _patient(resource: Resource) -> Iterator[str]:
    name: Mapping[str, Any] = next(iter(resource.get("name", [])), {})
    told = name.get("text") or " ".join([*name.get("given", []), name.get("family", "")])
    gender = _GENDER.get(str(resource.get("gender")), "")
    born = f"nascimento em {_day(str(resource['birthDate']))}" if resource.get("birthDate") else ""
    parts = [part for part in (str(told).strip(), gender, born) if part]
    if parts:
        yield f"Paciente: {', '.join(parts)}."


def _allergy(resource: Resource) -> Iterator[str]:
    reactions = [
        _concept(one) for reaction in resource.get("reaction", []) for one in reaction.get("manifestation", [])
    ]
    told = ["; reação: " + ", ".join(filter(None, reactions))] if any(reactions) else []
    risk = _SEVERITY.get(str(resource.get("criticality")), "")
    told += [f"; {risk}"] if risk else []
    if _concept(resource.get("code")):
        yield f"Alergia a {_concept(resource['code'])}{''.join(told)}."


def _condition(resource: Resource) -> Iterator[str]:
    status = _STATUS.get(_code(resource.get("clinicalStatus")), "")
    if _concept(resource.get("code")):
        yield f"Diagnóstico: {_concept(resource['code'])}{', ' + status if status else ''}{_when(resource, 'desde')}."


def _medication(resource: Resource) -> Iterator[str]:
    drug = _concept(resource.get("medicationCodeableConcept"))
    if not drug:
        return
    dosages = [*resource.get("dosageInstruction", []), *resource.get("dosage", [])]
    dose = "; ".join(str(one["text"]) for one in dosages if one.get("text"))
    stopped = str(resource.get("status")) in _STOPPED
    start = "Medicamento encerrado ou suspenso:" if stopped else "Em uso de"
    yield f"{start} {' '.join(filter(None, (drug, dose)))}{_when(resource, 'desde' if not stopped else 'em')}."


def _observation(resource: Resource) -> Iterator[str]:
    name = _concept(resource.get("code"))
    parts = {_code(part.get("code")): part for part in resource.get("component", [])}
    if all(code in parts for code in _PRESSURE):
        figures = [str(parts[code].get("valueQuantity", {}).get("value", "")) for code in _PRESSURE]
        yield f"Pressão arterial {'/'.join(figures)} mmHg{_when(resource)}."
    elif name and _value(resource):
        yield f"{name} {_value(resource)}{_when(resource)}."
    else:
        for part in parts.values():
            if _value(part):
                yield f"{name}, {_concept(part.get('code'))} {_value(part)}{_when(resource)}."


def _titled(title: str) -> Callable[[Resource], Iterator[str]]:
    def tell(resource: Resource) -> Iterator[str]:
        what = _concept(resource.get("code")) or _concept(resource.get("vaccineCode"))
        if what:
            yield f"{title}: {what}{_when(resource)}."

    return tell


def _report(resource: Resource) -> Iterator[str]:
    if resource.get("conclusion"):
        yield f"{_concept(resource.get('code')) or 'Laudo'}{_when(resource)}: {resource['conclusion']}"


def _family(resource: Resource) -> Iterator[str]:
    who = _concept(resource.get("relationship")) or "Familiar"
    for condition in resource.get("condition", []):
        if _concept(condition.get("code")):
            yield f"História familiar: {who} com {_concept(condition['code'])}."


def _encounter(resource: Resource) -> Iterator[str]:
    reasons = ", ".join(filter(None, map(_concept, resource.get("reasonCode", []))))
    if reasons:
        yield f"Atendimento{_when(resource)}: {reasons}."


def _composition(resource: Resource) -> Iterator[str]:
    """The signed note, paragraph by paragraph, so that a citation points at a sentence."""
    for section in resource.get("section", []):
        text = str(section.get("text", {}).get("div", ""))
        for paragraph in _PARAGRAPH.findall(text):
            yield f"Nota{_when(resource, 'de')}, {section.get('title', '')}: {html.unescape(_TAG.sub(' ', paragraph))}"


_TELLERS: Final[dict[str, Callable[[Resource], Iterator[str]]]] = {
    "Patient": _patient,
    "AllergyIntolerance": _allergy,
    "Condition": _condition,
    "MedicationStatement": _medication,
    "MedicationRequest": _medication,
    "FamilyMemberHistory": _family,
    "Immunization": _titled("Vacina"),
    "Procedure": _titled("Procedimento"),
    "DiagnosticReport": _report,
    "Observation": _observation,
    "Composition": _composition,
    "ServiceRequest": _titled("Solicitado"),
    "Encounter": _encounter,
}
TOLD_TYPES: Final = tuple(_TELLERS)
"""What a conversation can read of a record, most important first."""
