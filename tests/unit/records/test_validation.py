from __future__ import annotations

import copy
import gzip
from importlib import resources
from typing import Any

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.records import json_text, tables
from appliance.records.validation import MAX_DEPTH, validate

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
    "subject": {"reference": "Patient/1"},
    "effectiveDateTime": "2026-03-01T10:00:00-03:00",
    "valueQuantity": {"value": 72, "unit": "/min"},
}


def issues_of(resource: Any) -> list[dict[str, str]]:
    with pytest.raises(ProntuarioError) as caught:
        validate(resource)
    issues = caught.value.details["issues"]
    assert isinstance(issues, list)
    return issues


def changed(path: str, value: Any) -> dict[str, Any]:
    resource = copy.deepcopy(OBSERVATION)
    if value is None:
        resource.pop(path)
    else:
        resource[path] = value
    return resource


def test_a_valid_observation_passes() -> None:
    validate(OBSERVATION)


@pytest.mark.parametrize(
    ("path", "value", "expression", "code"),
    [
        ("status", None, "Observation.status", "required"),
        ("status", "done", "Observation.status", "code-invalid"),
        ("code", None, "Observation", "required"),
        ("code", {}, "Observation.code", "structure"),
        ("code", {"coding": []}, "Observation.code.coding", "structure"),
        ("colour", "red", "Observation", "structure"),
        ("subject", {"reference": "Practitioner/1"}, "Observation.subject.reference", "value"),
        (
            "subject",
            {"reference": "https://other/fhir/Practitioner/1/_history/2"},
            "Observation.subject.reference",
            "value",
        ),
        ("effectiveDateTime", "2026-02-30", "Observation.effectiveDateTime", "value"),
        ("effectiveDateTime", "yesterday", "Observation.effectiveDateTime", "value"),
        ("effectiveDateTime", "2026-03-01T10:00", "Observation.effectiveDateTime", "value"),
        ("valueString", "72", "Observation.valueString", "structure"),
        ("component", [{"valueString": "x"}], "Observation.component[0]", "required"),
        ("note", [{"time": "2026-03-01T10:00:00Z"}], "Observation.note[0].text", "required"),
        ("id", "a b", "Observation.id", "value"),
        ("issued", 5, "Observation.issued", "structure"),
        ("note", ["text"], "Observation.note[0]", "structure"),
        ("note", {"text": "x"}, "Observation.note", "structure"),
        ("subject", "Patient/1", "Observation.subject", "structure"),
        ("note", [{"text": "bell\x07"}], "Observation.note[0].text", "value"),
        ("note", [{"text": ""}], "Observation.note[0].text", "value"),
        ("valueQuantity", {"value": float("nan")}, "Observation.valueQuantity.value", "structure"),
    ],
)
def test_a_fault_is_named_by_its_path_and_kind(path: str, value: Any, expression: str, code: str) -> None:
    found = [(one["expression"], one["code"]) for one in issues_of(changed(path, value))]
    assert (expression, code) in found


@pytest.mark.parametrize(
    "text", ["dor torácica", "linha 1\n\tlinha 2\r\n", "espaço\u00a0duro\u2003e 🫀", " ", "x" * 1_000_000]
)
def test_what_a_doctor_may_paste_is_taken(text: str) -> None:
    validate(changed("note", [{"text": text}]))


def test_data_is_never_quoted_and_both_languages_are_there() -> None:
    secret = "Fulano de Tal 123.456.789-09"
    faults = {"status": secret, "issued": secret, "effectiveDateTime": secret, secret: 1, "code": {secret: {}}}
    for one in issues_of({**OBSERVATION, **faults}):
        assert "Fulano" not in str(one)
        assert one["text"]
        assert one["text_pt"]
        assert one["text"] != one["text_pt"]


def test_a_primitive_with_only_an_extension_satisfies_a_required_element() -> None:
    absent = {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}
    resource = changed("status", None)
    resource["_status"] = {"extension": [absent]}
    validate(resource)


@pytest.mark.parametrize(
    ("resource", "expression"),
    [
        ({"resourceType": "MedicationRequest", "status": "active", "intent": "order"}, "MedicationRequest"),
        (
            {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"}},
            "MedicationRequest.medication",
        ),
        ({"resourceType": "Patient", "deceasedBoolean": False, "deceasedDateTime": "2024"}, "Patient.deceasedDateTime"),
        (
            {"resourceType": "Patient", "contact": [{"relationship": [], "name": {"text": "x"}}]},
            "Patient.contact[0].relationship",
        ),
        ({"resourceType": "Patient", "extension": [{"valueString": "no url"}]}, "Patient.extension[0].url"),
        ({"resourceType": "Immunization", "status": "completed"}, "Immunization"),
    ],
)
def test_required_and_choice_elements_of_other_types(resource: dict[str, Any], expression: str) -> None:
    assert expression in [one["expression"] for one in issues_of(resource)]


def test_contained_resources_and_bundle_entries_are_walked() -> None:
    medication = {"resourceType": "Medication", "id": "m", "status": "sleeping"}
    request = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/1"},
        "medicationReference": {"reference": "#m"},
        "contained": [medication],
    }
    assert issues_of(request)[0]["expression"] == "MedicationRequest.contained[0].status"
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": OBSERVATION}, {"resource": request}],
    }
    assert issues_of(bundle)[0]["expression"] == "Bundle.entry[1].resource.contained[0].status"
    stranger = {**request, "contained": [{"resourceType": "Zork"}]}
    assert issues_of(stranger)[0]["code"] == "not-supported"


@pytest.mark.parametrize("body", [None, [], "Patient", 3, {}, {"resourceType": 5}, {"resourceType": None}])
def test_what_is_no_resource_at_all_is_refused(body: Any) -> None:
    assert issues_of(body)[0]["expression"] == "Resource.resourceType"


def test_a_bottomless_resource_is_refused_before_anything_recurses() -> None:
    nested: dict[str, Any] = {"url": "urn:x", "valueString": "x"}
    for _ in range(100_000):
        nested = {"url": "urn:x", "extension": [nested]}
    assert str(MAX_DEPTH) in issues_of({"resourceType": "Patient", "extension": [nested]})[0]["text"]
    while nested.get("extension"):  # taken apart by hand: Python's own deallocation of it recurses
        nested = nested.pop("extension")[0]


def test_a_long_list_of_faults_is_cut() -> None:
    resource = {"resourceType": "Patient", "name": [{"use": "nope"}] * 500}
    assert len(issues_of(resource)) == 50


def test_the_synthea_sample_is_valid_as_a_whole_and_by_entry() -> None:
    packed = resources.files("appliance.daemon.sample").joinpath("synthea_blake.json.gz").read_bytes()
    bundle = json_text.decode(gzip.decompress(packed))
    validate(bundle)
    assert len({entry["resource"]["resourceType"] for entry in bundle["entry"]}) == 13


def test_every_served_type_has_a_schema_and_elements_and_knows_its_required_ones() -> None:
    assert len(tables.served_types()) >= 40
    for kind in tables.served_types():
        required = {name for group in tables.elements().types[kind].required for name in group}
        if not required:
            validate({"resourceType": kind})
        else:
            assert issues_of({"resourceType": kind})


def test_every_child_type_in_the_table_exists() -> None:
    types = tables.elements().types
    for name, entry in types.items():
        for child_name, child in entry.children.items():
            assert child.of is None or child.of in types, f"{name}.{child_name}"
            assert child.codes is None or tables.elements().codes[child.codes]
