from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path

import httpx
import pytest

from tests.api.care_harness import Clinic, clinic_at, put_chunk, until
from tests.fakes import sounds

MINE = 'title = "Curta"\n[[heading]]\ntitle = "Tudo"\ntakes = ["S", "O", "A", "P"]\n'


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        yield made


async def drafted(clinic: Clinic, client: httpx.AsyncClient, template: str) -> httpx.Response:
    """The note of a dictation that asked for ``template``."""
    body = {"patient": clinic.patient, "encounter": clinic.encounter, "template": template}
    opened = await client.post("/api/dictations", json=body)
    assert opened.status_code == 201, opened.text
    dictation = str(opened.json()["id"])
    await put_chunk(client, dictation, 0, sounds.wav(0.5))
    await client.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
    done = await until(client, dictation, "drafted")
    return await client.get(f"/api/notes/{done['note_id']}")


async def test_a_clinician_edits_a_template_file_and_the_next_draft_stands_under_its_headings(clinic: Clinic) -> None:
    async with clinic.client() as client:
        listed = (await client.get("/api/note-templates")).json()
        assert {one["name"]: one["version"] for one in listed["templates"]} == {
            "alta": 0, "anamnese": 0, "evolucao": 0, "soap": 0,
        }  # fmt: skip
        assert listed["default"] == "soap"
        file = await client.get("/api/note-templates/evolucao/file")
        assert file.headers["content-type"].startswith("application/toml")
        assert 'filename="evolucao.toml"' in file.headers["content-disposition"]
        assert tomllib.loads(file.text)["title"] == "Evolução"
        text = file.text.replace("Conduta", "Plano do dia")
        at = "/api/note-templates/evolucao"
        blind = await client.put(at, json={"text": text})
        assert (blind.status_code, blind.json()["code"]) == (428, "template.version_required")
        kept = await client.put(at, json={"text": text}, headers={"If-Match": file.headers["etag"]})
        assert (kept.status_code, kept.headers["etag"]) == (200, '"1"')
        assert kept.json()["text"] == text  # comments and all
        stale = await client.put(at, json={"text": text}, headers={"If-Match": '"0"'})
        assert (stale.status_code, stale.json()["code"]) == (412, "template.version_changed")
        bad = await client.put(at, json={"text": "title = "}, headers={"If-Match": '"1"'})
        assert (bad.status_code, bad.json()["code"]) == (422, "template.invalid")
        note = (await drafted(clinic, client, "evolucao")).json()
        assert (note["template"]["name"], note["template"]["version"]) == ("evolucao", 1)
        titles = {heading["title"]: heading["sentences"] for heading in note["arranged"]}
        assert titles["Plano do dia"] == ["s4"]
        assert sorted(chain.from_iterable(titles.values())) == ["s1", "s2", "s3", "s4"]


async def test_another_template_is_a_new_version_of_the_note(clinic: Clinic) -> None:
    async with clinic.client() as client:
        note = (await drafted(clinic, client, "")).json()
        assert note["template"]["name"] == "soap"
        at = f"/api/notes/{note['id']}/template"
        assert (await client.put(at, json={"template": "alta"})).json()["code"] == "note.version_required"
        unknown = await client.put(at, json={"template": "nada"}, headers={"If-Match": '"1"'})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "template.unknown")
        changed = (await client.put(at, json={"template": "alta"}, headers={"If-Match": '"1"'})).json()
        assert (changed["version"], changed["template"]["title"], changed["sections"]) == (2, "Alta", note["sections"])


async def test_everybody_has_templates_of_their_own(clinic: Clinic) -> None:
    nurse = await clinic.api.phone("nurse")
    async with clinic.client() as client, clinic.client(nurse) as other:
        made = await client.put("/api/note-templates/curta", json={"text": MINE}, headers={"If-Match": "0"})
        assert (made.status_code, made.json()["builtin"]) == (200, False)
        assert (await other.get("/api/note-templates/curta")).json()["code"] == "template.unknown"
        refused = await other.post(
            "/api/dictations",
            json={"patient": clinic.patient, "encounter": clinic.encounter, "template": "curta"},
        )
        assert (refused.status_code, refused.json()["code"]) == (404, "template.unknown")
        gone = await client.delete("/api/note-templates/curta", headers={"If-Match": '"1"'})
        assert gone.status_code == 204
        versions = (await client.get("/api/note-templates/curta/versions")).json()["versions"]
        assert [(one["version"], one["text"]) for one in versions] == [(1, MINE), (2, None)]


async def test_a_retry_with_the_same_key_keeps_one_version(clinic: Clinic) -> None:
    async with clinic.client() as client:
        headers = {"If-Match": "0", "Idempotency-Key": "once"}
        first = await client.put("/api/note-templates/curta", json={"text": MINE}, headers=headers)
        again = await client.put("/api/note-templates/curta", json={"text": MINE}, headers=headers)
        assert (first.status_code, again.json()) == (200, first.json())
        assert (await client.get("/api/note-templates/curta")).json()["version"] == 1


async def test_who_may_not_read_notes_sees_no_template(clinic: Clinic) -> None:
    auditor = await clinic.api.phone("auditor")
    async with clinic.client(auditor) as client:
        for path in ("", "/soap", "/soap/file", "/soap/versions"):
            answer = await client.get(f"/api/note-templates{path}")
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        kept = await client.put("/api/note-templates/soap", json={"text": MINE}, headers={"If-Match": "0"})
        assert kept.status_code == 403


async def test_the_hospitals_templates_are_kept_by_whoever_runs_the_node_and_reach_the_clinicians(
    clinic: Clinic,
) -> None:
    at = "/api/hospital/note-templates"
    it = await clinic.api.phone("it")
    auditor = await clinic.api.phone("auditor")
    async with clinic.client() as doctor, clinic.client(it) as client, clinic.client(auditor) as reader:
        listed = (await client.get(at)).json()["templates"]
        assert {one["name"]: one["source"] for one in listed} == dict.fromkeys(
            ("alta", "anamnese", "evolucao", "soap"), "product"
        )
        kept = await client.put(f"{at}/soap", json={"text": MINE}, headers={"If-Match": '"0"'})
        assert (kept.status_code, kept.json()["source"], kept.headers["etag"]) == (200, "hospital", '"1"')
        seen = (await doctor.get("/api/note-templates/soap")).json()
        assert (seen["source"], seen["title"], seen["version"]) == ("hospital", "Curta", 0)
        assert (await reader.get(f"{at}/soap")).json()["text"] == MINE
        for other in (doctor, reader):
            refused = await other.put(f"{at}/soap", json={"text": MINE}, headers={"If-Match": '"1"'})
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        history = (await client.get(f"{at}/soap/versions")).json()["versions"]
        assert [one["version"] for one in history] == [0, 1]
        assert tomllib.loads(history[0]["text"])["title"] == "SOAP"
        assert (await client.delete(f"{at}/soap", headers={"If-Match": '"1"'})).status_code == 204
        assert (await doctor.get("/api/note-templates/soap")).json()["source"] == "product"


async def test_a_text_can_be_checked_and_the_line_at_fault_is_told_without_keeping_anything(clinic: Clinic) -> None:
    it = await clinic.api.phone("it")
    async with clinic.client(it) as client:
        fine = await client.post("/api/note-templates/check", json={"text": MINE})
        assert (fine.status_code, fine.json()["title"], len(fine.json()["headings"])) == (200, "Curta", 1)
        wrong = MINE.replace('"P"', '"Q"')
        for language, sentence in (
            ("pt-BR", "linha 4, 1º título, takes: “Q”"),
            ("en", "line 4, heading 1, takes: “Q”"),
        ):
            headers = {"Accept-Language": language, "If-Match": '"0"'}
            checked = await client.post("/api/note-templates/check", json={"text": wrong}, headers=headers)
            kept = await client.put("/api/hospital/note-templates/soap", json={"text": wrong}, headers=headers)
            for refused in (checked, kept):
                assert (refused.status_code, refused.json()["code"]) == (422, "template.invalid")
                assert sentence in refused.json()["detail"]
                assert refused.json()["details"]["line"] == 4
        assert (await client.get("/api/hospital/note-templates/soap")).json()["version"] == 0
