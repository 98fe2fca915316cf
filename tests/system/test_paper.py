"""A photographed report through the whole node: HTTPS upload, real reader in its own process, proposals, confirmation, FHIR search."""

from __future__ import annotations

import io
import shutil
from typing import Any

import pytest
from PIL import Image

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.paper import read_sample, take_paper, until_read
from appliance.daemon.demo.phone import FHIR, Phone, RefusedError
from tests.conftest import RunningNode
from tests.system import spoken
from tools.lab_scan import HEAD, ROWS

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
]
USER = "dra.papel"
MARIA = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Amostra", "given": ["Maria"]}],
    "birthDate": "1968-03-14",
}


async def consult_of(phone: Phone, patient: dict[str, Any]) -> Consult:
    made = (await phone.create(patient))["id"]
    encounter = await phone.create(
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": f"Patient/{made}"},
        }
    )
    return Consult(made, encounter["id"])


def test_the_sample_report_is_read_proposed_and_confirmed(
    running_node: RunningNode, capsys: pytest.CaptureFixture[str]
) -> None:
    stages: list[str] = []

    async def take(phone: Phone) -> tuple[Consult, dict[str, Any] | None]:
        consult = await consult_of(phone, MARIA)
        return consult, await take_paper(phone, consult, lambda _stage, sentence: stages.append(sentence))

    consult, confirmed = spoken.by_phone(running_node, USER, take)
    assert confirmed is not None, stages
    printed = capsys.readouterr().out
    assert all(row[0] in printed for row in ROWS[1:])
    assert "Maria Amostra" in printed
    assert "confirmed" in stages[-1]
    with running_node.http("physician") as http:
        found = http.get(f"{FHIR}/Observation", params={"patient": consult.patient}).json()["entry"]
        (observation,) = (entry["resource"] for entry in found)
        document = observation["derivedFrom"][0]["reference"]
        paper = http.get(f"{FHIR}/{document}").json()
        original = http.get(paper["content"][0]["attachment"]["url"])
    assert observation["id"] == confirmed["id"]
    (row,) = (row for row in ROWS if row[0] == observation["code"]["text"])
    assert str(observation["valueQuantity"]["value"]) == row[1].replace(",", ".")
    assert observation["effectiveDateTime"] == "2026-11-18"
    assert observation["encounter"]["reference"] == f"Encounter/{consult.encounter}"
    assert original.content == read_sample()


def test_every_number_of_the_sample_is_right_or_marked(running_node: RunningNode) -> None:
    """Also when the paper lies on its side, and for a patient of another name: the paper then warns."""
    sideways = io.BytesIO()
    Image.open(io.BytesIO(read_sample())).rotate(90, expand=True).save(sideways, "PNG")
    stranger = {**MARIA, "name": [{"family": "Pereira", "given": ["João"]}]}

    async def take(phone: Phone) -> tuple[dict[str, Any], dict[str, Any]]:
        consult = await consult_of(phone, stranger)
        document = await phone.hand_in("/api/documents", sideways.getvalue(), patient=consult.patient)
        assert (await until_read(phone, document["id"]))["state"] == "read"
        base = f"/api/documents/{document['id']}"
        proposals = await phone.get(f"{base}/proposals")
        plain = next(one for one in proposals["proposals"] if not one["doubts"])
        with pytest.raises(RefusedError) as refused:
            await phone.post(f"{base}/proposals/{plain['number']}/confirm", {})
        assert refused.value.problem["code"] == "document.identity_unchecked"
        return proposals, await phone.get(f"{base}/reading")

    found, reading = spoken.by_phone(running_node, USER, take)
    assert [one["code"] for one in found["warnings"]] == ["name_differs"]
    (page,) = reading["pages"]
    assert page["turned"] in (90, 270)
    words = " ".join(word[0] for word in page["words"])
    assert HEAD[1].removeprefix("Paciente: ") in words
    printed = {row[0]: row[1] for row in ROWS[1:]}
    seen = {one["proposed"]["printed_name"]: one for one in found["proposals"]}
    assert len(seen.keys() & printed.keys()) >= 10
    for name in seen.keys() & printed.keys():
        value = seen[name]["proposed"]["value"]
        assert value == printed[name].replace(".", "").replace(",", ".") or seen[name]["doubts"], seen[name]


def test_no_word_of_the_paper_is_in_any_log(running_node: RunningNode) -> None:
    paths = [*running_node.home.glob("logs/*"), running_node.home.parent / "home.stderr"]
    text = "\n".join(path.read_text(errors="replace") for path in paths if path.is_file())
    assert "Amostra" not in text
    assert "Hemoglobina glicada" not in text
