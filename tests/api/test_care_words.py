"""The hospital's words over HTTP: who may, versions, and the hint of the next dictation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.plugin_api.capabilities import ModelInfo
from tests.api.care_harness import Clinic, clinic_at, put_chunk, until
from tests.fakes import sounds
from tests.unit.care.test_vocabulary import PromptedSpeech

AT = "/api/hospital/vocabulary"


class WordySpeech(PromptedSpeech):
    """A model that brought a word of its own."""

    def model(self) -> ModelInfo:
        return ModelInfo(
            "wordy",
            "a" * 64,
            "speech_to_text",
            demonstration=False,
            ready=True,
            vocabulary=True,
            terms=("nebulização",),
        )


@pytest.fixture
async def clinic(tmp_path: Path) -> AsyncIterator[Clinic]:
    async with clinic_at(tmp_path) as made:
        yield made


async def test_words_that_it_keeps_are_in_the_hint_of_the_next_dictation(clinic: Clinic) -> None:
    clinic.abilities.speech = speech = WordySpeech()
    it = await clinic.api.phone("it")
    async with clinic.client(it) as client, clinic.client() as doctor:
        empty = (await client.get(AT)).json()
        assert (empty["words"], empty["version"], empty["of_model"], empty["used"]) == ([], 0, ["nebulização"], True)
        kept = await client.put(AT, json={"words": ["Xarelto", "UTI neonatal"]}, headers={"If-Match": '"0"'})
        assert (kept.status_code, kept.headers["etag"]) == (200, '"1"')
        assert (await client.get(AT)).json()["words"] == ["Xarelto", "UTI neonatal"]
        body = {"patient": clinic.patient, "encounter": clinic.encounter}
        dictation = (await doctor.post("/api/dictations", json=body)).json()["id"]
        await put_chunk(doctor, dictation, 0, sounds.wav(0.5))
        await doctor.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
        await until(doctor, dictation, "drafted")
    (asked,) = speech.asked
    assert asked.prompt.startswith("Termos: Xarelto, UTI neonatal, nebulização. Paciente: ")


async def test_who_may_read_and_who_may_change_and_what_is_refused(clinic: Clinic) -> None:
    it, auditor = await clinic.api.phone("it"), await clinic.api.phone("auditor")
    body = {"words": ["Xarelto"]}
    async with clinic.client(it) as client, clinic.client(auditor) as reader, clinic.client() as doctor:
        assert (await reader.get(AT)).status_code == 200
        for who, status in ((reader, 403), (doctor, 403)):
            assert (await who.put(AT, json=body, headers={"If-Match": '"0"'})).status_code == status
        for headers in ({}, {"If-Match": '"1"'}, {"If-Match": "x"}):
            stale = await client.put(AT, json=body, headers=headers)
            assert (stale.status_code, stale.json()["code"]) == (412, "vocabulary.version_changed")
        for words, status in ((["a" * 61], 422), (["a" * 1001], 422), (["a"] * 1001, 422), ("a", 422)):
            bad = await client.put(AT, json={"words": words}, headers={"If-Match": '"0"'})
            assert bad.status_code == status, bad.text
        assert (await client.get(AT)).json()["version"] == 0
