"""Pictures over HTTPS: kept encrypted, looked at, drafted into the record, and final only in a person's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.care import ai_switches
from appliance.care.imaging import FRAMES_AT_ONCE
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import BUSY
from appliance.plugin_api.images import ImageFacts, PatientClaim
from appliance.records import repository
from plugins.medical_images.errors import WRONG_PATIENT
from tests.api.care_harness import PATIENCE_S, Clinic, clinic_at
from tests.fakes.pictures import FINDINGS, PNG, FixedAnalyser, FixedPictures

PICTURE = b"a chest picture" * 40_000
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "urn:oid:2.16.76.1.3.1", "value": "12345678909"}],
    "name": [{"family": "Amostra", "given": ["Maria"]}],
    "birthDate": "1968-03-14",
}


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        made.abilities.pictures, made.abilities.analyser = FixedPictures(), FixedAnalyser()
        now = made.consults.now()
        created = await made.api.store.write(lambda tx: repository.create(tx, PATIENT, now=now))
        made.patient = str(created["id"])
        yield made


async def handed_in(clinic: Clinic, client: httpx.AsyncClient, data: bytes = PICTURE, **headers: str) -> httpx.Response:
    query = {"patient": f"Patient/{clinic.patient}", "title": "Raio X"}
    return await client.post("/api/images", params=query, content=data, headers=headers)


async def analysed(clinic: Clinic, client: httpx.AsyncClient, *states: str, **asked: Any) -> dict[str, Any]:
    image = (await handed_in(clinic, client)).json()
    answer = await client.post(f"/api/images/{image['id']}/analyses", json=asked)
    assert answer.status_code == 202, answer.text
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: dict[str, Any] = (await client.get(answer.headers["Location"])).json()
            if found["state"] in (states or ("done",)):
                return found | {"path": answer.headers["Location"]}
            await asyncio.sleep(0.05)


async def resource(clinic: Clinic, path: str) -> dict[str, Any]:
    """What the record holds behind a link such as ``/fhir/R4/Media/1``."""
    kind, resource_id = path.split("/")[-2:]
    return await clinic.api.store.read(lambda q: repository.read(q, kind, resource_id))


async def test_a_picture_is_kept_as_it_was_sent_and_never_in_the_clear(clinic: Clinic, tmp_path: Path) -> None:
    async with clinic.client() as client:
        answer = await handed_in(clinic, client)
        assert answer.status_code == 201, answer.text
        image = answer.json()
        assert (image["width"], image["frames"], image["modality"], image["title"]) == (512, 2, "CR", "Raio X")
        assert (await client.get(image["links"]["original"])).content == PICTURE
        media = await resource(clinic, image["links"]["media"])
        assert media["subject"]["reference"] == f"Patient/{clinic.patient}"
        assert media["content"]["url"] == image["links"]["original"]
        listed = (await client.get("/api/images", params={"patient": clinic.patient})).json()["images"]
        assert [one["id"] for one in listed] == [image["id"]]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored
    assert not any(b"a chest picture" in data for data in stored)
    pictures = clinic.abilities.pictures
    assert isinstance(pictures, FixedPictures)
    assert pictures.seen == [PICTURE]
    assert pictures.claims == [PatientClaim(("12345678909",), ("Maria Amostra",), "1968-03-14")]


async def test_the_same_file_and_the_same_request_are_kept_once(clinic: Clinic, tmp_path: Path) -> None:
    async with clinic.client() as client:
        first = await handed_in(clinic, client, **{"Idempotency-Key": "k1"})
        again = await handed_in(clinic, client, **{"Idempotency-Key": "k1"})
        later = await handed_in(clinic, client)
    assert (first.status_code, again.status_code, later.status_code) == (201, 201, 200)
    assert first.json()["id"] == again.json()["id"] == later.json()["id"]
    assert len([path for path in (tmp_path / "blobs").glob("[0-9a-f]*/*/*") if path.is_file()]) == 1


async def test_somebody_elses_picture_leaves_nothing(clinic: Clinic, tmp_path: Path) -> None:
    clinic.abilities.pictures = FixedPictures(failure=WRONG_PATIENT(field="image", what="PatientID"))
    async with clinic.client() as client:
        answer = await handed_in(clinic, client)
        assert (answer.status_code, answer.json()["code"]) == (409, "image.wrong_patient")
        assert (await client.get("/api/images", params={"patient": clinic.patient})).json()["images"] == []
    assert not [path for path in (tmp_path / "blobs").glob("[0-9a-f]*/*/*") if path.is_file()]
    assert not list((tmp_path / "spool").glob("*"))


async def test_bad_requests_are_named(clinic: Clinic) -> None:
    async with clinic.client() as client:
        assert (await handed_in(clinic, client, b"")).json()["code"] == "image.empty"
        nobody = await client.post("/api/images", params={"patient": "Patient/none"}, content=b"x")
        assert nobody.status_code == 404
        assert (await client.post("/api/images", content=b"x")).json()["code"] == "invalid"
        other = await client.post(
            "/api/images",
            params={"patient": clinic.patient, "encounter": f"Encounter/{clinic.encounter}"},
            content=b"x",
        )
        assert (other.status_code, other.json()["field"]) == (422, "encounter")
        image = (await handed_in(clinic, client)).json()
        for path in ("frames/-1", "frames/x", "frames/0?side=0", "frames/0?side=99999"):
            assert (await client.get(f"/api/images/{image['id']}/{path}")).status_code == 422
        assert (await client.get("/api/images/none")).status_code == 404
        assert (await client.get(f"/api/images/{image['id']}/analyses/none")).status_code == 404


async def test_a_frame_is_shown(clinic: Clinic) -> None:
    async with clinic.client() as client:
        image = (await handed_in(clinic, client)).json()
        answer = await client.get(f"/api/images/{image['id']}/frames/1", params={"side": "64"})
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == b"\x89PNG 1 64 " + PICTURE


@dataclass
class Crowded(FixedPictures):
    """Takes its time over a frame, and counts how many are open at once."""

    inside: int = 0
    most: int = 0

    async def png(self, image: Path, frame: int, longest_side: int, call: CallOptions) -> bytes:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0.1)
        self.inside -= 1
        return await super().png(image, frame, longest_side, call)


async def test_a_ward_that_looks_at_once_does_not_fill_the_disk_with_originals(clinic: Clinic) -> None:
    pictures = Crowded()
    clinic.abilities.pictures = pictures
    async with clinic.client() as client:
        image = (await handed_in(clinic, client)).json()
        path = f"/api/images/{image['id']}/frames/1"
        answers = await asyncio.gather(*(client.get(path) for _ in range(2 * FRAMES_AT_ONCE)))
    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= pictures.most <= FRAMES_AT_ONCE


async def test_what_a_model_says_is_a_draft_with_its_provenance(clinic: Clinic) -> None:
    async with clinic.client() as client:
        found = await analysed(clinic, client, label_set="radiology")
        report = await resource(clinic, found["links"]["report"])
        observed = [await resource(clinic, f"/fhir/R4/{one['reference']}") for one in report["result"]]
        heat = await client.get(found["links"]["heat_map"])
    assert [(one["label"], one["text"]) for one in found["findings"]] == [
        ("effusion", "derrame pleural"),
        ("mass", "massa"),
    ]
    assert (found["model"], found["model_sha256"], found["decision"]) == ("tiny-siglip", "cd" * 32, None)
    assert found["notice"].startswith("Não é um diagnóstico")
    assert [one["code"] for one in found["cautions"]] == ["burned_in_likely"]
    assert report["status"] == "preliminary"
    assert {one["status"] for one in observed} == {"preliminary"}
    assert [one["code"]["text"] for one in observed] == [one.pt for one in FINDINGS]
    told = {one["url"].rpartition(":")[2]: one["valueString"] for one in report["extension"]}
    assert told["ai-model-sha256"] == "cd" * 32
    assert told["ai-label-set-sha256"] == "ab" * 32
    for sentence in ("Não é um diagnóstico", "Not a diagnosis", "Uso pretendido", "Intended use"):
        assert sentence in report["conclusion"]
    assert (heat.content, heat.headers["content-type"]) == (PNG, "image/png")
    analyser = clinic.abilities.analyser
    assert isinstance(analyser, FixedAnalyser)
    ((options, call, data),) = analyser.asked
    assert (options.label_set, options.claim is not None, call.patient, data) == (
        "radiology",
        True,
        clinic.patient,
        PICTURE,
    )


async def test_a_clinician_accepts_it_once_and_answers_for_it(clinic: Clinic) -> None:
    async with clinic.client() as client:
        found = await analysed(clinic, client)
        path = f"{found['path']}/decision"
        accepted = await client.post(path, json={"decision": "accepted"})
        assert accepted.status_code == 200, accepted.text
        assert accepted.json()["decision"] == "accepted"
        assert (await client.post(path, json={"decision": "rejected"})).json()["code"] == "image.decided"
        report = await resource(clinic, found["links"]["report"])
        observed = [await resource(clinic, f"/fhir/R4/{one['reference']}") for one in report["result"]]
    assert report["status"] == "final"
    assert report["resultsInterpreter"][0]["display"]
    assert {one["status"] for one in observed} == {"final"}
    assert all(one["performer"] for one in observed)


async def test_what_is_rejected_is_cancelled(clinic: Clinic) -> None:
    async with clinic.client() as client:
        found = await analysed(clinic, client)
        assert (await client.post(f"{found['path']}/decision", json={"decision": "rejected"})).status_code == 200
        report = await resource(clinic, found["links"]["report"])
    assert report["status"] == "cancelled"
    assert "resultsInterpreter" not in report


async def test_a_nurse_asks_and_does_not_decide(clinic: Clinic) -> None:
    nurse = await clinic.api.phone("nurse")
    async with clinic.client(nurse) as client:
        found = await analysed(clinic, client)
        assert (await client.post(f"{found['path']}/decision", json={"decision": "accepted"})).status_code == 403


async def test_without_a_model_the_picture_is_kept_and_the_answer_is_clear(clinic: Clinic) -> None:
    clinic.abilities.analyser = None
    async with clinic.client() as client:
        image = (await handed_in(clinic, client)).json()
        answer = await client.post(f"/api/images/{image['id']}/analyses", json={})
        assert (answer.status_code, answer.json()["code"]) == (503, "image.not_configured")
        assert (await client.get("/api/image-label-sets")).json()["code"] == "image.not_configured"
        assert (await client.get(image["links"]["original"])).content == PICTURE
        assert (await client.get(f"/api/images/{image['id']}")).json()["analyses"] == []


async def test_label_sets_are_listed(clinic: Clinic) -> None:
    async with clinic.client() as client:
        (one,) = (await client.get("/api/image-label-sets", headers={"Accept-Language": "en"})).json()["label_sets"]
    assert (one["name"], one["title"], one["calibrated"]) == ("radiology", "Chest", True)


async def test_switched_off_means_off_and_the_record_goes_on(clinic: Clinic) -> None:
    now = clinic.consults.now()
    await clinic.api.store.write(
        lambda tx: ai_switches.turn(tx, "patient", clinic.patient, "images", on=False, who="u", now=now)
    )
    async with clinic.client() as client:
        image = await handed_in(clinic, client)
        assert image.status_code == 201
        answer = await client.post(f"/api/images/{image.json()['id']}/analyses", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "ai.switched_off")


async def test_a_busy_model_is_asked_again(clinic: Clinic) -> None:
    clinic.abilities.analyser = FixedAnalyser(failures=[BUSY(what="image_model", waiting=9, retry_after=0.01)])
    async with clinic.client() as client:
        assert (await analysed(clinic, client))["findings"]


async def test_what_fails_for_good_says_why(clinic: Clinic) -> None:
    clinic.abilities.analyser = FixedAnalyser(failures=[WRONG_PATIENT(what="PatientID")])
    async with clinic.client() as client:
        found = await analysed(clinic, client, "failed")
    assert found["problem"]["code"] == "image.wrong_patient"
    assert found["findings"] == []


async def test_cautions_are_told_in_the_callers_language(clinic: Clinic) -> None:
    facts = ImageFacts("image/jpeg", 10, 10, identity="absent", cautions=("identity_absent",))
    clinic.abilities.pictures = FixedPictures(facts)
    async with clinic.client() as client:
        answer = await handed_in(clinic, client, **{"Accept-Language": "en"})
    assert answer.json()["cautions"] == [
        {"code": "identity_absent", "message": "The file does not say whose it is: check the patient."}
    ]
