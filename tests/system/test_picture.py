"""The sample's chest picture through a whole node: upload, real reader, record, refusals, and no invented finding."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from appliance.daemon.demo.consult import Consult
from appliance.daemon.demo.phone import FHIR, Phone, RefusedError
from appliance.daemon.demo.picture import read_sample, take_picture
from tests.conftest import RunningNode

pytestmark = pytest.mark.timeout(600)
USER = "dra.imagem"
MARIA = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Amostra", "given": ["Maria"]}],
    "birthDate": "1968-03-14",
}
JOAO = {"resourceType": "Patient", "name": [{"family": "Pereira", "given": ["João"]}], "birthDate": "1970-01-01"}
AMBULATORY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}


async def test_the_sample_is_kept_for_its_patient_and_nobody_says_what_it_shows(
    running_node: RunningNode, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages: list[str] = []
    phone = Phone(running_node.client_json("physician", USER))
    try:
        consult, stranger = await _two_patients(phone)
        image = await take_picture(phone, consult, stranger, tmp_path, lambda _stage, told: stages.append(told))
        media = await phone.get(image["links"]["media"])
        original = await phone.content(image["links"]["original"])
        others = await phone.get("/api/images", patient=stranger)
        reports = await phone.get(f"{FHIR}/DiagnosticReport", patient=consult.patient)
        found = await phone.get(f"{FHIR}/Observation", patient=consult.patient)
        with pytest.raises(RefusedError) as refused:
            await phone.post("/v1/chat/completions", _about(image["id"]))
    finally:
        await phone.close()
    assert (image["modality"], image["body_part"], image["identity"]) == ("CR", "CHEST", "match")
    assert (image["width"], image["height"], image["frames"], image["cautions"]) == (512, 512, 1, [])
    assert original == read_sample()
    assert media["subject"]["reference"] == f"Patient/{consult.patient}"
    assert media["encounter"]["reference"] == f"Encounter/{consult.encounter}"
    _is_windowed(Image.open(tmp_path / f"image-{image['id']}.png"))
    assert "409 image.wrong_patient" in stages[-2]
    assert others["images"] == []
    assert "findings are not available: 503 image.not_configured" in stages[-1]
    assert "Ative um pacote de modelos" in stages[-1]
    assert not reports.get("entry")
    assert not found.get("entry")
    assert (refused.value.status, refused.value.problem["error"]["code"]) == (422, "chat.no_eyes")
    assert "names this patient" in capsys.readouterr().out


def _about(image: str) -> dict[str, Any]:
    """A conversation about the sample, which no model here can lead."""
    url = f"data:application/dicom;base64,{base64.b64encode(read_sample()).decode()}"
    parts = [
        {"type": "text", "text": f"O que se vê na imagem {image}?"},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return {"messages": [{"role": "user", "content": parts}]}


async def _two_patients(phone: Phone) -> tuple[Consult, str]:
    maria, joao = [(await phone.create(one))["id"] for one in (MARIA, JOAO)]
    visit: Mapping[str, Any] = {"resourceType": "Encounter", "status": "in-progress", "class": AMBULATORY}
    encounter = await phone.create({**visit, "subject": {"reference": f"Patient/{maria}"}})
    return Consult(maria, encounter["id"]), joao


def _is_windowed(shown: Image.Image) -> None:
    """The file's own window is on it: ten stored bits became eight, lungs dark, spine bright."""
    stored = pydicom.dcmread(io.BytesIO(read_sample()))
    low = float(stored.WindowCenter) - float(stored.WindowWidth) / 2
    expected = (stored.pixel_array - low) / float(stored.WindowWidth) * 255
    for place in ((150, 260), (256, 150), (300, 480)):
        grey = shown.convert("L").getpixel(place)
        assert isinstance(grey, int)
        assert abs(grey - expected[place[1], place[0]]) <= 2
