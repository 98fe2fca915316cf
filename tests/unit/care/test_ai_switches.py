from __future__ import annotations

import pytest

from appliance.care import ai_switches
from appliance.care.ai_switches import FUNCTIONS, Function, Scope
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes.care_models import is_refusal
from tests.unit.care.conftest import SCRIPT, Ward

NOW = "2026-01-02T03:04:05.000Z"


async def turn(ward: Ward, scope: Scope, subject: str, function: Function, *, on: bool) -> None:
    await ward.store.write(lambda tx: ai_switches.turn(tx, scope, subject, function, on=on, who="admin", now=NOW))


async def is_on(ward: Ward, function: Function, user_id: str, patient_id: str = "") -> bool:
    try:
        await ward.store.read(lambda q: ai_switches.require(q, function, user_id=user_id, patient_id=patient_id))
    except ProntuarioError as error:
        return not is_refusal(error, "ai.switched_off")
    return True


@pytest.mark.parametrize("function", FUNCTIONS)
async def test_each_scope_switches_off_its_own_and_nothing_else(still_ward: Ward, function: Function) -> None:
    scopes: list[tuple[Scope, str]] = [("person", "ana"), ("patient", "p1"), ("hospital", "")]
    for scope, subject in scopes:
        await turn(still_ward, scope, subject, function, on=False)
        await turn(still_ward, scope, subject, function, on=False)  # twice is once
        assert await is_on(still_ward, function, "rui", "p2") is (scope != "hospital")
        assert await is_on(still_ward, function, "ana", "p2") is (scope == "patient")
        assert await is_on(still_ward, function, "rui", "p1") is (scope == "person")
        others = [one for one in FUNCTIONS if one != function]
        assert all([await is_on(still_ward, one, "ana", "p1") for one in others])
        await turn(still_ward, scope, subject, function, on=True)
        assert await is_on(still_ward, function, "ana", "p1")


async def test_a_person_is_not_a_patient_of_the_same_id(still_ward: Ward) -> None:
    await turn(still_ward, "patient", "x", "chat", on=False)
    assert await is_on(still_ward, "chat", "x")
    assert not await is_on(still_ward, "chat", "ana", "x")


async def test_without_drafts_the_speech_itself_is_the_note_and_no_model_is_asked(ward: Ward) -> None:
    await turn(ward, "person", ward.doctor.user_id, "draft", on=False)
    note = await ward.drafted()
    assert [sentence.text for sentence in note.content.sentences()] == list(SCRIPT)
    assert {sentence.origin for sentence in note.content.sentences()} == {"transcript"}
    assert note.content.ai is not None
    assert (note.content.ai.fallback, note.content.ai.fallback_reason) == (True, "ai.switched_off")
    assert ward.abilities.chat is not None
    assert ward.abilities.chat.asked == []  # type: ignore[attr-defined]


async def test_without_transcription_the_audio_is_kept_and_hears_again_once_it_is_on(ward: Ward) -> None:
    await turn(ward, "patient", ward.patient, "transcription", on=False)
    dictation = await ward.dictated()
    done = await ward.until(dictation.id, "failed", "drafted")
    assert (done.state, done.reason) == ("failed", "ai.switched_off")
    assert ward.abilities.speech is not None
    assert ward.abilities.speech.heard_bytes == []  # type: ignore[attr-defined]
    await turn(ward, "patient", ward.patient, "transcription", on=True)
    await ward.store.write(lambda tx: ward.consults.retry(tx, dictation.id))
    assert (await ward.until(dictation.id, "drafted")).note_id is not None
