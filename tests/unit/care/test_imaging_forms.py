"""FHIR resources of pictures: drafts until a person decides, with all that is needed to know where they come from."""

from __future__ import annotations

import msgspec
import pytest

from appliance.care.imaging_forms import OBSERVED, claim_of, decided, media, observations, report
from appliance.care.imaging_model import Analysis, Asked, Image, Result
from appliance.plugin_api.http import Principal
from appliance.plugin_api.images import Finding, ImageFacts, LabelSet, PatientClaim
from appliance.records import validation

NOW = "2026-03-04T10:00:00Z"
IMAGE = Image(
    id="i1", patient_id="p1", encounter_id="e1", uploaded_by="u1", uploader_name="ana", practitioner_id=None, title="Raio\x00 X",
    facts=ImageFacts("application/dicom", 512, 400, 3, "CR", taken="2026-03-01"), sha256="ab" * 32, size=9, blob="cd" * 32,
    key_id="k", media_id="m1", uploaded_at=NOW,
)  # fmt: skip
FINDINGS = tuple(Finding(f"l{n}", f"achado {n}", f"finding {n}", 1 - n / 10, n % 2 == 0, n) for n in range(8))
RESULT = Result(
    label_set=LabelSet("radiology", "Tórax", "Chest", "ef" * 32, 8, calibrated=True), findings=FINDINGS, frames=(0, 1, 2),
    cautions=(), description="", model_id="siglip", model_sha256="12" * 32, demonstration=False, degraded=False,
)  # fmt: skip
DOCTOR = Principal("u2", "dra. lia", "physician", "d", "s", frozenset(), "pr1")


def analysis(**changes: object) -> Analysis:
    made = Analysis(
        id="a1", image_id="i1", state="done", reason=None, asked=Asked(), asked_by="u1", result=RESULT, heat_blob=None, heat_size=None,
        heat_key_id=None, report_id="r1", decision=None, decided_by=None, decided_at=None, asked_at=NOW, changed_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def test_every_resource_is_valid_fhir() -> None:
    resources = [media(IMAGE), report(IMAGE, RESULT, ["o1", "o2"], NOW), *observations(IMAGE, RESULT, NOW)]
    accepted = [decided(one, analysis(decision="accepted"), DOCTOR) for one in resources[1:]]
    for resource in resources + accepted:
        validation.validate(resource)


def test_only_the_highest_findings_become_observations() -> None:
    made = observations(IMAGE, RESULT, NOW)
    assert [one["code"]["text"] for one in made] == [one.pt for one in FINDINGS[:OBSERVED]]
    assert [float(one["valueQuantity"]["value"]) for one in made] == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6])
    assert "não calibrada" in made[1]["method"]["text"]
    assert {one["status"] for one in made} == {"preliminary"}


def test_the_report_says_what_it_is_and_is_not() -> None:
    made = report(IMAGE, RESULT, ["o1"], NOW)
    assert made["status"] == "preliminary"
    assert made["effectiveDateTime"] == "2026-03-01"
    assert "Não é um diagnóstico" in made["conclusion"]
    told = {one["url"].rpartition(":")[2]: one["valueString"] for one in made["extension"]}
    assert (told["ai-model"], told["ai-model-sha256"], told["ai-label-set"]) == ("siglip", "12" * 32, "radiology")


def test_a_title_keeps_no_control_characters() -> None:
    assert media(IMAGE)["content"]["title"] == "Raio X"


@pytest.mark.parametrize(
    ("decision", "status", "named"), [("accepted", "final", True), ("rejected", "cancelled", False)]
)
def test_a_decision_has_a_name_only_where_somebody_answers_for_it(decision: str, status: str, named: bool) -> None:
    made = decided(report(IMAGE, RESULT, [], NOW), analysis(decision=decision), DOCTOR)
    assert made["status"] == status
    assert (made.get("resultsInterpreter") == [{"display": "dra. lia", "reference": "Practitioner/pr1"}]) is named


def test_what_the_record_knows_of_the_patient() -> None:
    patient = {
        "identifier": [{"value": "1"}, {"system": "x"}],
        "name": [{"text": "Ana Prado"}, {"given": ["Ana", "L."], "family": "Souza"}, {}],
        "birthDate": "1980-05-02",
    }
    assert claim_of(patient) == PatientClaim(("1",), ("Ana Prado", "Ana L. Souza"), "1980-05-02")
    assert claim_of({}) == PatientClaim()
