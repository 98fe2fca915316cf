"""The pure parts between paper and record: whose paper it is, codes that can't be mistyped, the resources."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib import resources
from typing import Any

import msgspec
import pytest

from appliance.care.documents_forms import is_loinc, observation, paper_reference
from appliance.care.documents_identity import iso_date, same_person, warnings
from appliance.care.documents_model import Document, Edits, Proposal
from appliance.plugin_api.http import Principal
from appliance.plugin_api.paper import Box, LabReport, LabValue, PrintedFact
from appliance.records.validation import validate

NOW = "2026-11-21T12:00:00.000Z"
WHO = Principal("u1", "dra.ana", "physician", "d1", "s1", frozenset(), "prac-1")
DOCUMENT = Document(
    id="doc-1", patient_id="p1", encounter_id="e1", uploaded_by="u1", uploader_name="dra.ana", practitioner_id="prac-1",
    title="Hemograma", media_type="image/jpeg", sha256="ab" * 32, size=12, blob="cd" * 32, key_id="k", pages=1, state="read",
    reason=None, resource_id="ref-1", reader="tesseract", uploaded_at=NOW, changed_at=NOW,
)  # fmt: skip
VALUE = LabValue(
    page=2, box=Box(0.1, 0.2, 0.3, 0.02), row="Hemoglobina 13,20 g/dL 12,0 a 15,5", printed_name="Hemoglobina",
    printed_value="13,20", printed_unit="g/dL", printed_reference="12,0 a 15,5", confidence=0.93, value="13.20", ucum="g/dL",
    loinc="718-7", display="Hemoglobin [Mass/volume] in Blood", low="12.0", high="15.5",
)  # fmt: skip


def fact(text: str) -> PrintedFact:
    return PrintedFact(text, 1, Box(0, 0, 0.1, 0.1), 1.0)


def made(value: LabValue = VALUE, edits: Edits | None = None, report: LabReport | None = None) -> dict[str, Any]:
    proposal = Proposal("doc-1", 1, value, "proposed", None, None, None)
    edits = edits or Edits()
    return observation(
        DOCUMENT, proposal, edits, WHO, value=edits.value or value.value, report=report or LabReport(), now=NOW
    )


# -- whose paper ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("printed", "recorded", "same"),
    [
        ("Maria da Silva Amostra", "Maria da Silva Amostra", True),
        ("MARIA DA SILVA AMOSTRA", "Maria Silva Amostra", True),
        ("Maria Amostra", "Maria da Silva Amostra", True),
        ("José Antônio Müller", "Jose Antonio Muller", True),
        ("Maria S. Amostra", "Maria da Silva Amostra", True),
        ("M. Silva Amostra", "Maria da Silva Amostra", True),
        ("João da Silva Amostra", "Maria da Silva Amostra", False),
        ("Maria da Silva Souza", "Maria da Silva Amostra", False),
        ("Maria", "Maria da Silva Amostra", False),
        ("Silva Amostra", "Maria da Silva Amostra", False),
        ("Amostra Maria Silva", "Maria da Silva Amostra", False),
        ("Maria Maria Amostra", "Maria da Silva Amostra", False),
        ("", "Maria da Silva Amostra", False),
        ("Maria da Silva", "", False),
    ],
)
def test_names_are_compared_word_by_word(printed: str, recorded: str, *, same: bool) -> None:
    assert same_person(printed, recorded) is same
    assert same_person(recorded, printed) is same


def test_any_of_the_patient_s_names_will_do_and_a_partial_birth_date_too() -> None:
    report = LabReport(patient_name=fact("Maria Souza"), birth_date=fact("14/03/1968"))
    patient = {
        "name": [{"text": "Maria da Silva Amostra"}, {"given": ["Maria"], "family": "Souza"}],
        "birthDate": "1968",
    }
    assert warnings(report, patient) == []
    told = warnings(report, {"name": [{"family": "Souza"}], "birthDate": "1986-03-14"})
    assert [one.code for one in told] == ["name_differs", "birth_date_differs"]
    assert [one.code for one in warnings(LabReport(), patient)] == ["name_not_found"]
    assert [one.code for one in warnings(report, {})] == ["name_differs"]


def test_dates() -> None:
    assert iso_date("14/03/1968") == "1968-03-14"
    assert iso_date("14/3/68") == iso_date("") == iso_date("1968-03-14") == ""


# -- codes ---------------------------------------------------------------------------------------------------------------
def table() -> list[dict[str, Any]]:
    text = resources.files("plugins.document_reader.lab").joinpath("analytes.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["analyte"])


@pytest.mark.parametrize("code", [line["loinc"] for line in table()])
def test_every_code_of_the_table_has_its_check_digit(code: str) -> None:
    assert is_loinc(code)
    body, _, check = code.partition("-")
    assert not is_loinc(f"{body}-{(int(check) + 1) % 10}")


def test_a_code_with_two_digits_exchanged_is_no_code() -> None:
    assert is_loinc("2951-2")
    assert not is_loinc("2915-2")
    assert not is_loinc("2951-")
    assert not is_loinc("2951-x")


# -- resources -----------------------------------------------------------------------------------------------------------
def test_what_is_written_is_sound_fhir() -> None:
    report = LabReport(collected=fact("12/11/2026"))
    for resource in (paper_reference(DOCUMENT), made(report=report), made(edits=Edits(ucum="", loinc=""))):
        validate(resource | {"id": "x"})


def test_digits_are_kept_and_the_place_on_the_paper_is_told() -> None:
    resource = made(report=LabReport(collected=fact("12/11/2026")))
    assert resource["valueQuantity"]["value"] == Decimal("13.20")
    assert str(resource["valueQuantity"]["value"]) == "13.20"
    assert resource["performer"] == [{"display": "dra.ana", "reference": "Practitioner/prac-1"}]
    assert resource["derivedFrom"] == [{"reference": "DocumentReference/ref-1"}]
    assert resource["encounter"] == {"reference": "Encounter/e1"}
    assert resource["effectiveDateTime"] == "2026-11-12"
    parts = {part["url"]: part for part in resource["extension"][0]["extension"]}
    assert parts["page"] == {"url": "page", "valuePositiveInt": 2}
    assert (parts["left"]["valueDecimal"], parts["confidence"]["valueDecimal"]) == (0.1, 0.93)
    assert resource["referenceRange"][0]["high"]["value"] == Decimal("15.5")


def test_edits_win_and_another_unit_takes_the_reference_away() -> None:
    edited = made(edits=Edits(value="132,0", ucum="g/L", comparator="<", effective="2026-01-02", name="Hb"))
    assert edited["valueQuantity"] == {
        "value": Decimal("132.0"), "comparator": "<", "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L",
    }  # fmt: skip
    assert edited["effectiveDateTime"] == "2026-01-02"
    assert edited["code"]["text"] == "Hb"
    assert "referenceRange" not in edited
    recoded = made(edits=Edits(loinc="20509-6"))
    assert recoded["code"]["coding"] == [{"system": "http://loinc.org", "code": "20509-6"}]


def test_what_is_not_mapped_stays_text() -> None:
    unmapped = msgspec.structs.replace(
        VALUE, loinc="", display="", ucum="", printed_unit="U Todd", printed_reference="", doubts=("unit_unknown",)
    )
    resource = made(unmapped)
    assert resource["code"] == {"text": "Hemoglobina"}
    assert resource["valueQuantity"] == {"value": Decimal("13.20"), "unit": "U Todd"}
    assert "effectiveDateTime" not in resource
    assert "referenceRange" not in resource
    validate(resource | {"id": "x"})
