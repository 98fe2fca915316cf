from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.api.care_harness import Clinic, clinic_at
from tests.fakes.care_models import ScriptedChat, note_json


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        yield made


async def test_draft_edit_review_sign_verify_export(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = await clinic.drafted(client)
        base = f"/api/notes/{note}"
        draft = await client.get(base)
        assert draft.headers["etag"] == '"1"'
        view = draft.json()
        assert [section["code"] for section in view["sections"]] == ["S", "O", "A", "P"]
        assert all(s["segments"] for section in view["sections"] for s in section["sentences"])
        assert view["ai"]["demonstration_model"] is True
        assert (view["unresolved"], view["omitted"]) == ([], [])
        early = await client.get(base + "/export")
        assert (early.status_code, early.json()["code"]) == (409, "note.unsigned")
        body = {"sections": [{"code": "A", "sentences": [{"text": "Resfriado comum."}]}]}
        blind = await client.put(base, json=body)
        assert (blind.status_code, blind.json()["code"]) == (428, "note.version_required")
        edited = await client.put(base, json=body, headers={"If-Match": '"1"'})
        assert (edited.status_code, edited.headers["etag"]) == (200, '"2"')
        stale = await client.put(base, json=body, headers={"If-Match": '"1"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "note.version_changed")
        assert (await client.post(base + "/sign", json={})).json()["code"] == "note.not_reviewed"
        reviewed = await client.post(base + "/review", json={}, headers={"If-Match": '"2"'})
        assert reviewed.json()["state"] == "reviewed"
        form = (await client.get(base + "/signing-form")).json()
        signed = await client.post(base + "/sign", json={}, headers={"Idempotency-Key": "sign-once"})
        again = await client.post(base + "/sign", json={}, headers={"Idempotency-Key": "sign-once"})
        assert (signed.json()["state"], again.json()) == ("signed", signed.json())
        found = (await client.get(base + "/verification")).json()
        assert (found["valid"], found["form"]) == (True, form["form"])
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found["signature"]["public_key"]))
        key.verify(base64.b64decode(found["signature"]["value"]), base64.b64decode(found["signed_bytes"]))
        exported = await client.get(base + "/export")
        assert exported.headers["content-type"].startswith("application/fhir+json")
        assert exported.json()["entry"][0]["resource"]["status"] == "final"
        frozen = await client.put(base, json=body, headers={"If-Match": '"2"'})
        assert (frozen.status_code, frozen.json()["code"]) == (409, "note.signed")
        versions = (await client.get(base + "/versions")).json()["versions"]
        assert [version["version"] for version in versions] == [1, 2]
        listed = (await client.get("/api/notes", params={"patient": clinic.patient})).json()["notes"]
        assert [(one["id"], one["state"]) for one in listed] == [(note, "signed")]


async def test_unsupported_sentences_are_named_and_must_be_accepted(clinic: Clinic) -> None:
    clinic.abilities.chat = ScriptedChat([note_json(S=[("Refere tosse seca há 30 dias.", [1]), ("Nega febre.", [2])])])
    async with clinic.client() as client:
        note = await clinic.drafted(client)
        view = (await client.get(f"/api/notes/{note}")).json()
        assert view["unresolved"] == ["s1"]
        assert view["omitted"] == [3, 4]
        refused = await client.post(f"/api/notes/{note}/review", json={}, headers={"If-Match": '"1"'})
        assert (refused.status_code, refused.json()["details"]["sentences"]) == (409, ["s1"])
        done = await client.post(f"/api/notes/{note}/review", json={"accept": ["s1"]}, headers={"If-Match": '"1"'})
        assert (done.json()["state"], done.json()["version"]) == ("reviewed", 2)


async def test_an_amendment_over_http(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = await clinic.signed(client)
        bare = await client.post(f"/api/notes/{note}/amend", json={"reason": ""})
        assert (bare.status_code, bare.json()["code"]) == (422, "invalid")
        draft = await client.post(f"/api/notes/{note}/amend", json={"reason": "Faltou a alergia."})
        assert (draft.status_code, draft.json()["amends"]) == (201, note)
        amendment = draft.json()["id"]
        await client.post(f"/api/notes/{amendment}/review", json={}, headers={"If-Match": '"1"'})
        await client.post(f"/api/notes/{amendment}/sign", json={})
        assert (await client.get(f"/api/notes/{note}")).json()["amended_by"] == amendment


async def test_a_nurse_writes_but_neither_signs_nor_exports(clinic: Clinic) -> None:
    nurse = await clinic.api.phone("nurse")
    async with clinic.client() as client, clinic.client(nurse) as other:
        note = await clinic.drafted(client)
        body = {"sections": [{"code": "A", "sentences": [{"text": "Resfriado."}]}]}
        assert (await other.put(f"/api/notes/{note}", json=body, headers={"If-Match": '"1"'})).status_code == 200
        for method, path in (("POST", "sign"), ("GET", "export"), ("GET", "signing-form")):
            answer = await other.request(method, f"/api/notes/{note}/{path}", json={} if method == "POST" else None)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


MALFORMED: list[dict[str, object]] = [
    {},
    {"sections": []},
    {"sections": [{"code": "X", "sentences": []}]},
    {"sections": [{"code": "S", "sentences": [{"text": ""}]}]},
    {"sections": [{"code": "S", "sentences": [{"text": "a", "origin": "ai"}]}]},
    {"sections": [{"code": "S", "sentences": [{"text": "a", "segments": ["1"]}]}]},
]


async def test_a_malformed_edit_is_refused_with_its_field(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = await clinic.drafted(client)
        for body in MALFORMED:
            answer = await client.put(f"/api/notes/{note}", json=body, headers={"If-Match": '"1"'})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert (await client.get(f"/api/notes/{note}")).json()["version"] == 1


async def test_a_note_with_markup_in_it_stays_text(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = await clinic.drafted(client)
        text = '<script>alert("x")</script> & dor\u0007 > 3/10'
        body = {"sections": [{"code": "S", "sentences": [{"text": text}]}]}
        view = (await client.put(f"/api/notes/{note}", json=body, headers={"If-Match": '"1"'})).json()
        assert view["sections"][0]["sentences"][0]["text"] == text
        stored = await clinic.consults.store.read(
            lambda q: q.one("SELECT body FROM record_version WHERE type = 'Composition' ORDER BY version DESC LIMIT 1")
        )
        assert stored is not None
        assert "<script>" not in str(stored[0])
        assert "&lt;script&gt;" in str(stored[0])


async def test_notes_are_listed_only_for_a_named_patient(clinic: Clinic) -> None:
    async with clinic.client() as client:
        answer = await client.get("/api/notes")
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert (await client.get("/api/notes/none")).status_code == 404


async def test_whoever_follows_until_the_signature_hears_each_step(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = await clinic.drafted(client)
        dictation = (await client.get(f"/api/notes/{note}")).json()["dictation_id"]
        states: list[str] = []
        async with client.stream("GET", f"/api/dictations/{dictation}/events", params={"until": "signed"}) as live:
            async for line in live.aiter_lines():
                if not line.startswith("data: "):
                    continue
                states.append(json.loads(line.removeprefix("data: "))["state"])
                if states[-1] == "drafted":
                    await client.post(f"/api/notes/{note}/review", json={}, headers={"If-Match": "1"})
                if states[-1] == "reviewed":
                    await client.post(f"/api/notes/{note}/sign", json={})
        assert states == ["drafted", "reviewed", "signed"]
