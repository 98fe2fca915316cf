from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.chat.statements import LONGEST, TOLD_TYPES, date_of, statements


def concept(text: str, code: str = "") -> dict[str, Any]:
    return {"text": text} | ({"coding": [{"code": code}]} if code else {})


TOLD: list[tuple[dict[str, Any], list[str]]] = [
    (
        {
            "resourceType": "Patient",
            "name": [{"given": ["Maria"], "family": "Silva"}],
            "gender": "female",
            "birthDate": "1960-03-12",
        },
        ["Paciente: Maria Silva, feminino, nascimento em 12/03/1960."],
    ),
    (
        {
            "resourceType": "AllergyIntolerance",
            "code": concept("dipirona"),
            "criticality": "high",
            "reaction": [{"manifestation": [concept("urticária")]}],
        },
        ["Alergia a dipirona; reação: urticária; risco alto."],
    ),
    (
        {
            "resourceType": "Condition",
            "code": concept("hipertensão arterial"),
            "clinicalStatus": {"coding": [{"code": "active"}]},
            "onsetDateTime": "2015",
        },
        ["Diagnóstico: hipertensão arterial, ativo desde 2015."],
    ),
    (
        {
            "resourceType": "MedicationRequest",
            "status": "active",
            "medicationCodeableConcept": concept("losartana"),
            "dosageInstruction": [{"text": "50 mg 12/12h"}],
            "authoredOn": "2024-05-02",
        },
        ["Em uso de losartana 50 mg 12/12h desde 02/05/2024."],
    ),
    (
        {
            "resourceType": "MedicationStatement",
            "status": "stopped",
            "medicationCodeableConcept": concept("enalapril"),
        },
        ["Medicamento encerrado ou suspenso: enalapril."],
    ),
    (
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"code": "8867-4", "display": "Heart rate"}]},
            "valueQuantity": {"value": 76.5, "unit": "beats/minute"},
            "effectiveDateTime": "2024-05-02T10:00:00Z",
        },
        ["Frequência cardíaca 76,5 bpm em 02/05/2024."],
    ),
    (
        {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"code": "85354-9"}]},
            "component": [
                {"code": {"coding": [{"code": "8480-6"}]}, "valueQuantity": {"value": 150}},
                {"code": {"coding": [{"code": "8462-4"}]}, "valueQuantity": {"value": 90}},
            ],
        },
        ["Pressão arterial 150/90 mmHg."],
    ),
    (
        {
            "resourceType": "Composition",
            "status": "final",
            "date": "2024-05-02",
            "section": [
                {"title": "Plano", "text": {"div": "<div><p>Retorno em 7 dias.</p><p>Dieta &lt;leve&gt;.</p></div>"}}
            ],
        },
        ["Nota de 02/05/2024, Plano: Retorno em 7 dias.", "Nota de 02/05/2024, Plano: Dieta <leve>."],
    ),
    (
        {
            "resourceType": "FamilyMemberHistory",
            "status": "completed",
            "relationship": concept("pai"),
            "condition": [{"code": concept("infarto")}],
        },
        ["História familiar: pai com infarto."],
    ),
    (
        {"resourceType": "Immunization", "status": "completed", "vaccineCode": concept("influenza")},
        ["Vacina: influenza."],
    ),
]


@pytest.mark.parametrize(("resource", "lines"), TOLD)
def test_a_resource_says_what_it_says(resource: dict[str, Any], lines: list[str]) -> None:
    assert statements(resource) == lines


@pytest.mark.parametrize(
    "change",
    [
        {"status": "entered-in-error"},
        {"status": "preliminary"},
        {"verificationStatus": {"coding": [{"code": "refuted"}]}},
        {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}},
        {"resourceType": "Provenance"},
    ],
)
@pytest.mark.parametrize("resource", [resource for resource, _ in TOLD])
def test_what_does_not_count_says_nothing(resource: dict[str, Any], change: dict[str, Any]) -> None:
    assert statements(resource | change) == []


@pytest.mark.parametrize("kind", TOLD_TYPES)
@settings(deadline=None, max_examples=50)
@given(text=st.text(max_size=600))
def test_any_text_is_one_short_line_that_numbers_no_source(kind: str, text: str) -> None:
    resource = {
        "resourceType": kind,
        "code": {"text": text},
        "medicationCodeableConcept": {"text": text},
        "vaccineCode": {"text": text},
        "valueString": text,
        "conclusion": text,
        "name": [{"text": text}],
        "reasonCode": [{"text": text}],
        "section": [{"title": text, "text": {"div": f"<p>{text}</p>"}}],
        "condition": [{"code": {"text": text}}],
    }
    for line in statements(resource):
        assert len(line) <= LONGEST
        assert not set(line) & set("[]\n\r\t\x00")


def test_a_long_report_is_told_to_its_end_and_parted_between_sentences() -> None:
    sentences = [f"Segmento {number} sem sinais de trombose." for number in range(40)]
    sentences.append("Nódulo de 8 mm no lobo superior direito.")
    report: dict[str, Any] = {"resourceType": "DiagnosticReport", "status": "final", "code": concept("TC de tórax")}
    told = statements(report | {"conclusion": " ".join(sentences)})
    assert len(told) > 1
    assert " ".join(told) == f"TC de tórax: {' '.join(sentences)}"
    assert all(line.endswith(".") and len(line) <= LONGEST for line in told)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(["code", "component", "name", "section", "valueQuantity"]), st.just({})))
def test_empty_elements_say_nothing_and_break_nothing(parts: dict[str, Any]) -> None:
    for kind in TOLD_TYPES:
        made = {"resourceType": kind} | {name: {} if name in {"code", "valueQuantity"} else [] for name in parts}
        assert statements(made) == []


def test_the_clinical_date_comes_before_the_day_of_writing() -> None:
    assert date_of({"effectiveDateTime": "2024-05-02T10:00:00Z", "date": "2025"}) == "2024-05-02"
    assert date_of({"period": {"start": "2023-01-02T00:00:00Z"}}) == "2023-01-02"
    assert date_of({}) == ""
