"""The vocabulary hint: only of this patient's record, only for whoever may read it, only for models that take one, never in logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.care.vocabulary import MOST_CHARACTERS, MOST_OF_A_KIND, vocabulary
from appliance.plugin_api import capabilities
from appliance.plugin_api.capabilities import ModelInfo, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions
from appliance.records import repository
from appliance.security import users
from tests.fakes import sounds
from tests.unit.care.conftest import PATIENCE_S, Ward

HINT = "Em uso: losartana 50 mg, metformina. Alergias: dipirona. Paciente: Silva."


@dataclass
class PromptedSpeech:
    """Remembers what it was asked for."""

    takes: bool = True
    asked: list[TranscriptionOptions] = field(default_factory=list)

    def model(self) -> ModelInfo:
        return ModelInfo("prompted", "a" * 64, "speech_to_text", demonstration=True, ready=True, vocabulary=self.takes)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncIterator[capabilities.Segment]:
        self.asked.append(options)
        async for _ in audio:
            pass
        yield capabilities.Segment(0.0, 0.9, "Nega febre.", 0.9)


async def keep(ward: Ward, resource: dict[str, Any]) -> None:
    await ward.store.write(lambda tx: repository.create(tx, resource, now=ward.consults.now()))


def drug(patient: str, name: str, status: str = "active", kind: str = "MedicationStatement") -> dict[str, Any]:
    resource = {"resourceType": kind, "status": status, "subject": {"reference": f"Patient/{patient}"}}
    request = {"intent": "order"} if kind == "MedicationRequest" else {}
    return resource | request | {"medicationCodeableConcept": {"text": name}}


def allergy(patient: str, name: str, verified: str = "confirmed") -> dict[str, Any]:
    return {
        "resourceType": "AllergyIntolerance",
        "patient": {"reference": f"Patient/{patient}"},
        "verificationStatus": {"coding": [{"code": verified}]},
        "code": {"coding": [{"display": name}]},
    }


async def with_record(ward: Ward) -> None:
    await keep(ward, drug(ward.patient, "metformina", kind="MedicationRequest"))
    await keep(ward, drug(ward.patient, "losartana 50 mg"))
    await keep(ward, allergy(ward.patient, "dipirona"))


async def hint(ward: Ward, author: str | None = None, patient: str | None = None) -> str:
    return await ward.store.read(lambda q: vocabulary(q, patient or ward.patient, author or ward.doctor.user_id))


async def test_names_drugs_and_allergies_are_told(still_ward: Ward) -> None:
    assert await hint(still_ward) == "Paciente: Silva."
    await with_record(still_ward)
    assert await hint(still_ward) == HINT


@pytest.mark.parametrize("status", ["stopped", "entered-in-error", "on-hold", "completed"])
async def test_what_is_no_longer_taken_is_not_told(still_ward: Ward, status: str) -> None:
    await keep(still_ward, drug(still_ward.patient, "varfarina", status))
    await keep(still_ward, drug(still_ward.patient, "heparina", status, "MedicationRequest"))
    await keep(still_ward, allergy(still_ward.patient, "látex", "refuted"))
    assert await hint(still_ward) == "Paciente: Silva."


async def test_another_patients_record_is_never_told(still_ward: Ward) -> None:
    await with_record(still_ward)
    other = {"resourceType": "Patient", "name": [{"given": ["Canário"], "family": "Alheio"}]}
    made = await still_ward.store.write(lambda tx: repository.create(tx, other, now=still_ward.consults.now()))
    await keep(still_ward, drug(made["id"], "canarina"))
    await keep(still_ward, allergy(made["id"], "canarol"))
    assert await hint(still_ward) == HINT
    assert (
        await hint(still_ward, patient=made["id"]) == "Em uso: canarina. Alergias: canarol. Paciente: Canário Alheio."
    )


@pytest.mark.parametrize(("role", "told"), [("nurse", HINT), ("auditor", ""), ("it", ""), ("admin", "")])
async def test_only_what_the_author_may_read_is_told(still_ward: Ward, role: str, told: str) -> None:
    await with_record(still_ward)
    now = still_ward.consults.now()
    user = await still_ward.store.write(
        lambda tx: users.create_user(tx, still_ward.vault, username="bea", role=role, display_name="Bea", now=now)
    )
    assert await hint(still_ward, author=user.id) == told


async def test_someone_who_left_or_never_was_is_told_nothing(still_ward: Ward) -> None:
    await with_record(still_ward)
    now = still_ward.consults.now()
    assert await hint(still_ward, author="nobody") == ""
    await still_ward.store.write(lambda tx: users.disable_user(tx, still_ward.doctor.user_id, now))
    assert await hint(still_ward) == ""


async def test_a_patient_who_is_not_in_the_record_has_no_hint(still_ward: Ward) -> None:
    assert await hint(still_ward, patient="missing") == ""


async def test_the_hint_is_bounded_and_holds_whole_terms_only(still_ward: Ward) -> None:
    names = [f"substância muito comprida número {number}" for number in range(40)]
    for name in names:
        await keep(still_ward, drug(still_ward.patient, name))
    for number in range(40):
        await keep(still_ward, allergy(still_ward.patient, f"alérgeno {number}"))
    told = await hint(still_ward)
    assert len(told) <= MOST_CHARACTERS
    drugs, allergies, patient = told.split(". ")
    assert patient == "Paciente: Silva."
    assert len(allergies.split(", ")) == MOST_OF_A_KIND
    assert set(drugs.removeprefix("Em uso: ").split(", ")) < set(names)


async def test_odd_text_becomes_one_line_of_words(still_ward: Ward) -> None:
    await keep(still_ward, drug(still_ward.patient, "lo\u202esar\ntana\u200b  <|endoftext|> " + "x" * 500))
    await keep(still_ward, drug(still_ward.patient, " . "))
    assert await hint(still_ward) == "Em uso: lo sar tana <|endoftext|>. Paciente: Silva."


@pytest.mark.parametrize(("takes", "told"), [(True, HINT), (False, "")])
async def test_the_transcription_of_a_recording_gets_it_if_the_model_takes_it(
    ward: Ward, capsys: pytest.CaptureFixture[str], *, takes: bool, told: str
) -> None:
    ward.abilities.speech = speech = PromptedSpeech(takes)
    await with_record(ward)
    await ward.drafted()
    assert [options.prompt for options in speech.asked] == [told]
    shown = capsys.readouterr()
    assert "losartana" not in shown.out + shown.err


async def test_a_live_dictation_gets_it_too(ward: Ward) -> None:
    ward.abilities.speech = speech = PromptedSpeech()
    await with_record(ward)
    dictation = await ward.open()
    await ward.send(dictation.id, 0, sounds.wav(1.0))
    with ward.consults.live.watching(dictation.id):
        async with asyncio.timeout(PATIENCE_S):
            while not speech.asked:  # noqa: ASYNC110  polling is the point: the condition has no event
                await asyncio.sleep(0.01)
    await ward.consults.stop()
    assert (speech.asked[0].prompt, speech.asked[0].partials) == (HINT, True)
