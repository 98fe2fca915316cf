"""Paper over HTTPS: original kept, values proposed by the real reader, a person decides, the record has the Observation."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.care import ai_switches
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import BUSY
from appliance.plugin_api.paper import LabReport, PaperFacts, PaperPage
from appliance.records import repository
from plugins.document_reader.config import ReaderConfig
from plugins.document_reader.errors import NO_RECOGNISER
from plugins.document_reader.provider import Reader
from plugins.document_reader.recognisers import Tesseract
from tests.api.care_harness import PATIENCE_S, Clinic, clinic_at
from tests.plugins.document_reader import papers

PATIENT = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Amostra", "given": ["Maria", "da", "Silva"]}],
    "birthDate": "1968-03-14",
}
REPORT = papers.pdf([papers.LAB_REPORT])


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        made.abilities.reader = Reader([Tesseract("no-such-program")], ReaderConfig())
        made.patient = await new_patient(made, PATIENT)
        yield made


async def new_patient(clinic: Clinic, resource: dict[str, Any]) -> str:
    now = clinic.consults.now()
    return str((await clinic.api.store.write(lambda tx: repository.create(tx, resource, now=now)))["id"])


async def handed_in(
    clinic: Clinic, client: httpx.AsyncClient, document: bytes = REPORT, **options: Any
) -> httpx.Response:
    patient = options.pop("patient", clinic.patient)
    query = {"patient": f"Patient/{patient}", "title": "Hemograma", **options.pop("params", {})}
    return await client.post("/api/documents", params=query, content=document, **options)


async def until_read(client: httpx.AsyncClient, document: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found: dict[str, Any] = (await client.get(f"/api/documents/{document}")).json()
            if found["state"] in (states or ("read",)):
                return found
            await asyncio.sleep(0.05)


async def read(clinic: Clinic, client: httpx.AsyncClient, document: bytes = REPORT, **options: Any) -> str:
    answer = await handed_in(clinic, client, document, **options)
    assert answer.status_code == 201, answer.text
    return str((await until_read(client, answer.json()["id"]))["id"])


async def proposal_named(client: httpx.AsyncClient, document: str, name: str) -> dict[str, Any]:
    found = (await client.get(f"/api/documents/{document}/proposals")).json()["proposals"]
    (one,) = (one for one in found if one["proposed"]["printed_name"] == name)
    return dict(one)


async def observations(clinic: Clinic) -> list[dict[str, Any]]:
    rows = await clinic.api.store.read(
        lambda q: q.all("SELECT id FROM record_head WHERE type = 'Observation' AND deleted = 0")
    )
    return [await clinic.api.store.read(lambda q, i=str(row[0]): repository.read(q, "Observation", i)) for row in rows]


def stored_blobs(clinic: Clinic) -> list[Path]:
    return [path for path in (clinic.api.folder / "blobs").glob("[0-9a-f][0-9a-f]/**/*") if path.is_file()]


async def test_paper_becomes_proposals_and_a_person_makes_them_observations(clinic: Clinic) -> None:
    async with clinic.client() as client:
        document = await read(clinic, client, params={"encounter": ""})
        state = (await client.get(f"/api/documents/{document}")).json()
        assert (state["pages"], state["media_type"], state["problem"]) == (1, "application/pdf", None)
        assert state["sha256"] == hashlib.sha256(REPORT).hexdigest()
        found = (await client.get(f"/api/documents/{document}/proposals")).json()
        assert found["warnings"] == []
        assert (found["patient_name"]["text"], found["collected"]["text"]) == ("Maria da Silva Amostra", "12/11/2026")
        assert {one["state"] for one in found["proposals"]} == {"proposed"}
        assert await observations(clinic) == []

        sodium = await proposal_named(client, document, "Sódio")
        assert (sodium["proposed"]["loinc"], sodium["proposed"]["converted"]) == ("2951-2", "meq/L")
        base = f"/api/documents/{document}/proposals"
        confirmed = await client.post(f"{base}/{sodium['number']}/confirm")
        assert confirmed.status_code == 201, confirmed.text
        assert confirmed.json()["state"] == "confirmed"
        assert confirmed.headers["location"].endswith(confirmed.json()["observation"])
        potassium = await proposal_named(client, document, "Potássio")
        rejected = await client.post(f"{base}/{potassium['number']}/reject")
        assert (rejected.status_code, rejected.json()["state"]) == (200, "rejected")
        for number in (sodium["number"], potassium["number"]):
            again = await client.post(f"{base}/{number}/confirm")
            assert (again.status_code, again.json()["code"]) == (409, "document.decided")

        (made,) = await observations(clinic)
        assert made["status"] == "final"
        assert made["code"]["coding"][0]["code"] == "2951-2"
        assert made["valueQuantity"] == {
            "value": 138, "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L",
        }  # fmt: skip
        assert made["effectiveDateTime"] == "2026-11-12"
        assert made["subject"]["reference"] == f"Patient/{clinic.patient}"
        assert made["performer"][0]["display"] == "physician.1"
        assert made["referenceRange"][0]["low"]["value"] == 135
        source = {part["url"]: part for part in made["extension"][0]["extension"]}
        assert source["page"]["valuePositiveInt"] == 1
        assert 0 < float(source["top"]["valueDecimal"]) < 1
        assert "Sódio 138 mEq/L" in made["note"][0]["text"]
        reference = made["derivedFrom"][0]["reference"].rpartition("/")[2]
        paper = await clinic.api.store.read(lambda q: repository.read(q, "DocumentReference", reference))
        original = await client.get(paper["content"][0]["attachment"]["url"])
        assert (original.content, original.headers["content-type"]) == (REPORT, "application/pdf")
        assert "attachment" in original.headers["content-disposition"]
        (blob,) = stored_blobs(clinic)
        assert b"%PDF" not in blob.read_bytes()


async def test_the_reading_has_words_with_places_page_by_page(clinic: Clinic) -> None:
    document = papers.pdf([papers.LAB_REPORT, ["Segunda página"]])
    async with clinic.client() as client:
        made = await read(clinic, client, document)
        both = (await client.get(f"/api/documents/{made}/reading")).json()
        assert [(page["number"], page["source"]) for page in both["pages"]] == [(1, "text"), (2, "text")]
        second = (await client.get(f"/api/documents/{made}/reading", params={"page": "2"})).json()["pages"]
        assert [word[0] for word in second[0]["words"]] == ["Segunda", "página"]
        assert all(0 <= place <= 1 for word in second[0]["words"] for place in word[1])
        assert second[0]["words"][0][2] == 1.0
        for page in ("0", "x", "-1", "9" * 400):
            refused = await client.get(f"/api/documents/{made}/reading", params={"page": page})
            assert (refused.status_code, refused.json()["field"]) == (422, "page")


async def test_a_retry_makes_nothing_twice_and_the_same_file_is_kept_once(clinic: Clinic) -> None:
    async with clinic.client() as client:
        key = {"Idempotency-Key": "upload-1"}
        first, again = [await handed_in(clinic, client, headers=key) for _ in range(2)]
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["id"] == again.json()["id"]
        same = await handed_in(clinic, client)
        assert (same.status_code, same.json()["id"]) == (200, first.json()["id"])
        assert len(stored_blobs(clinic)) == 1
        document = (await until_read(client, first.json()["id"]))["id"]
        glucose = await proposal_named(client, document, "Glicose em jejum")
        path = f"/api/documents/{document}/proposals/{glucose['number']}/confirm"
        answers = [await client.post(path, headers={"Idempotency-Key": "confirm-1"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert len(await observations(clinic)) == 1
        other = await new_patient(clinic, PATIENT)
        assert (await handed_in(clinic, client, patient=other)).status_code == 201
        listed = (await client.get("/api/documents", params={"patient": clinic.patient})).json()["documents"]
        assert [one["id"] for one in listed] == [document]


async def test_a_person_edits_what_the_reader_left_open(clinic: Clinic) -> None:
    async with clinic.client() as client:
        document = await read(clinic, client, papers.pdf([["Paciente: Maria da Silva Amostra", "Hemoglobina 1O,2 g/dL",
                                                           "Alfa-misteriosa 12,5 ng/mL"]]))  # fmt: skip
        base = f"/api/documents/{document}/proposals"
        blood = await proposal_named(client, document, "Hemoglobina")
        assert [doubt["code"] for doubt in blood["doubts"]] == ["digits_unsure"]
        assert "leia no papel" in blood["doubts"][0]["message"]
        empty = await client.post(f"{base}/{blood['number']}/confirm")
        assert (empty.status_code, empty.json()["code"]) == (422, "document.value_missing")
        given = {"value": "10,20", "effective": "2026-11-10"}
        assert (await client.post(f"{base}/{blood['number']}/confirm", json=given)).status_code == 201
        alpha = await proposal_named(client, document, "Alfa-misteriosa")
        for wrong in ({"loinc": "1834-2"}, {"loinc": "x"}, {"value": "12.5 mg"}, {"effective": "ontem"}, {"what": 1}):
            refused = await client.post(f"{base}/{alpha['number']}/confirm", json=wrong)
            assert refused.status_code == 422, wrong
        assert (await client.post(f"{base}/{alpha['number']}/confirm", json={"loinc": "1834-1"})).status_code == 201
        one, other = sorted(await observations(clinic), key=lambda made: str(made["code"]["text"]))
        assert (one["code"]["coding"][0]["code"], one["valueQuantity"]["code"]) == ("1834-1", "ng/mL")
        assert str(other["valueQuantity"]["value"]) == "10.20"
        assert other["effectiveDateTime"] == "2026-11-10"


async def test_a_paper_of_somebody_else_is_told_and_needs_a_person_s_word(clinic: Clinic) -> None:
    stranger = papers.pdf([["Paciente: João Pereira Souza", "Nascimento: 01/02/1950", "Glicose 92 mg/dL"]])
    async with clinic.client() as client:
        document = await read(clinic, client, stranger)
        warned = (await client.get(f"/api/documents/{document}/proposals")).json()["warnings"]
        assert [one["code"] for one in warned] == ["name_differs", "birth_date_differs"]
        assert (warned[0]["printed"], warned[0]["recorded"]) == ("João Pereira Souza", "Maria da Silva Amostra")
        path = f"/api/documents/{document}/proposals/1/confirm"
        refused = await client.post(path)
        assert (refused.status_code, refused.json()["code"]) == (409, "document.identity_unchecked")
        assert await observations(clinic) == []
        assert (await client.post(path, json={"identity_checked": True})).status_code == 201
        nameless = await read(clinic, client, papers.pdf([["Glicose 93 mg/dL"]]))
        told = (await client.get(f"/api/documents/{nameless}/proposals", headers={"Accept-Language": "en"})).json()
        assert [one["code"] for one in told["warnings"]] == ["name_not_found"]
        assert "not found" in told["warnings"][0]["message"]


async def test_switched_off_the_original_is_kept_and_not_read(clinic: Clinic) -> None:
    def turn(on: bool) -> Any:
        return lambda tx: ai_switches.turn(
            tx, "patient", clinic.patient, "reading", on=on, who="x", now=clinic.consults.now()
        )

    await clinic.api.store.write(turn(on=False))
    async with clinic.client() as client:
        kept = (await handed_in(clinic, client)).json()
        assert (kept["state"], kept["problem"]["code"]) == ("kept", "ai.switched_off")
        assert (await client.get(f"/api/documents/{kept['id']}/original")).content == REPORT
        for path in ("reading", "proposals"):
            unread = await client.get(f"/api/documents/{kept['id']}/{path}")
            assert (unread.status_code, unread.json()["code"]) == (409, "document.not_read")
        still_off = await client.post(f"/api/documents/{kept['id']}/retry")
        assert (still_off.status_code, still_off.json()["code"]) == (403, "ai.switched_off")
        await clinic.api.store.write(turn(on=True))
        assert (await client.post(f"/api/documents/{kept['id']}/retry")).status_code == 202
        await until_read(client, kept["id"])
        again = await client.post(f"/api/documents/{kept['id']}/retry")
        assert (again.status_code, again.json()["code"]) == (409, "document.not_retryable")


class FailingReader:
    """Knows what a document is, and fails to read it; then does not."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)

    def model(self) -> ModelInfo:
        return ModelInfo("failing", "", "document_reader", demonstration=False, ready=True)

    async def inspect(self, document: bytes, call: CallOptions) -> PaperFacts:
        return PaperFacts("application/pdf", 1)

    async def read(self, document: bytes, call: CallOptions) -> AsyncIterator[PaperPage]:
        if self.failures:
            raise self.failures.pop(0)
        yield PaperPage(1, "text", ())

    def lab_report(self, pages: Any) -> LabReport:
        return LabReport()


async def test_a_reading_that_fails_says_why_and_can_be_asked_for_again(clinic: Clinic) -> None:
    clinic.abilities.reader = FailingReader(NO_RECOGNISER(), BUSY(what="x", waiting=1, retry_after=0.01))
    async with clinic.client() as client:
        made = (await handed_in(clinic, client)).json()["id"]
        failed = await until_read(client, made, "failed")
        assert failed["problem"]["code"] == "document.no_recogniser"
        assert (await client.post(f"/api/documents/{made}/retry")).status_code == 202
        read_at_last = await until_read(client, made)  # busy once: tried again by the queue
        assert read_at_last["problem"] is None
        assert (await client.get(f"/api/documents/{made}/proposals")).json()["proposals"] == []


async def test_a_restart_takes_up_what_was_to_be_read(clinic: Clinic) -> None:
    await clinic.consults._jobs.stop()
    async with clinic.client() as client:
        made = (await handed_in(clinic, client)).json()
        assert made["state"] == "reading"
        await clinic.api.store.write(lambda tx: tx.execute("DELETE FROM store_job"))
        await clinic.consults._jobs.start()
        await clinic.consults.start()
        await until_read(client, made["id"])


@pytest.mark.parametrize(
    ("document", "status", "code"),
    [
        (b"", 422, "document.empty"),
        (b"PK\x03\x04" + bytes(500), 415, "document.unsupported"),
        (REPORT[:300], 422, "document.damaged"),
        (bytes(33 << 20), 413, "body.too_large"),
    ],
)
async def test_what_can_not_be_read_is_refused_and_nothing_is_kept(
    clinic: Clinic, document: bytes, status: int, code: str
) -> None:
    async with clinic.client() as client:
        answer = await handed_in(clinic, client, document)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json()["next_step"]
        assert (await client.get("/api/documents", params={"patient": clinic.patient})).json()["documents"] == []
        assert stored_blobs(clinic) == []


async def test_whose_it_is_must_be_said_and_true(clinic: Clinic) -> None:
    async with clinic.client() as client:
        nobody = await client.post("/api/documents", content=REPORT)
        assert (nobody.status_code, nobody.json()["field"]) == (422, "patient")
        assert (await handed_in(clinic, client, patient="none")).status_code == 404
        other = await handed_in(clinic, client, params={"encounter": f"Encounter/{clinic.encounter}"})
        assert (other.status_code, other.json()["field"]) == (422, "encounter")
        assert (await client.get("/api/documents/none")).status_code == 404
        document = await read(clinic, client)
        for number, status in (("999", 404), ("0", 422), ("um", 422)):
            assert (await client.post(f"/api/documents/{document}/proposals/{number}/confirm")).status_code == status
        clinic.abilities.reader = None
        assert (await handed_in(clinic, client, papers.pdf([["oi"]]))).status_code == 503


async def test_only_clinical_roles_and_every_access_is_audited(clinic: Clinic) -> None:
    async with clinic.client() as client:
        document = await read(clinic, client)
        await client.get(f"/api/documents/{document}/original")
    async with clinic.client(await clinic.api.phone("auditor")) as auditor:
        assert (await handed_in(clinic, auditor)).status_code == 403
        for path in ("", "/original", "/reading", "/proposals"):
            assert (await auditor.get(f"/api/documents/{document}{path}")).status_code == 403
    events = await clinic.api.store.read(
        lambda q: [str(row[0]) for row in q.all("SELECT CAST(body AS TEXT) FROM audit_event")]
    )
    about = [event for event in events if f"Patient/{clinic.patient}" in event]
    assert any("/original" in event for event in about)
    assert any('"POST' in event or "POST" in event for event in about)
