from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from appliance.care import dictations, errors, notes, transcripts
from appliance.care.model import Note
from appliance.plugin_api.errors import BUSY, UNAVAILABLE, ProntuarioError
from appliance.store.job_records import list_jobs
from tests.fakes import sounds
from tests.fakes.care_models import ScriptedChat, ScriptedSpeech, note_json
from tests.unit.care.conftest import NOTE, SCRIPT, Ward, ward_at


async def test_a_recording_becomes_a_draft_that_names_its_segments_and_its_makers(ward: Ward) -> None:
    note = await ward.drafted()
    assert note.state == "draft"
    assert [(s.text, s.segments) for s in note.content.sentences()][2] == ("PA 120/80 mmHg.", (3,))
    assert all(s.verdict is not None and s.verdict.supported for s in note.content.sentences())
    ai = note.content.ai
    assert ai is not None
    assert (ai.model, ai.sha256, ai.demonstration_model, ai.fallback) == ("scripted-chat", "b" * 64, True, False)
    assert ai.prompt_version
    assert ai.guard_version
    dictation = await ward.dictation(note.dictation_id)
    assert dictation.audio_s == pytest.approx(1.0, abs=0.01)
    assert dictation.media_type == "audio/wav"
    composition = await ward.resource("Composition", note.composition_id)
    assert composition["status"] == "preliminary"
    assert "120/80" in composition["section"][1]["text"]["div"]
    document = await ward.resource("DocumentReference", dictation.document_id or "")
    assert document["content"][0]["attachment"]["url"] == f"/api/dictations/{dictation.id}/audio"


async def test_the_transcript_has_times_confidence_and_its_model(ward: Ward) -> None:
    note = await ward.drafted()
    dictation = await ward.dictation(note.dictation_id)
    transcript = await ward.store.read(lambda q: transcripts.get(q, dictation))
    assert [segment.text for segment in transcript.segments] == list(SCRIPT)
    assert (transcript.segments[1].start, transcript.segments[1].end) == (2.0, 3.5)
    assert transcript.ai.model == "scripted-speech"
    assert transcript.sha256 == note.content.transcript_sha256 == transcripts.fingerprint(transcript.segments)


async def test_the_recogniser_hears_the_chunks_as_one_file(ward: Ward) -> None:
    recording = sounds.wav(2.0)
    dictation = await ward.open()
    cuts = [recording[:10], recording[10:11], recording[11:40_000], recording[40_000:]]
    for sequence in (2, 0, 3, 1):
        await ward.send(dictation.id, sequence, cuts[sequence])
    await ward.complete(dictation.id, 4)
    await ward.until(dictation.id, "drafted")
    assert isinstance(ward.abilities.speech, ScriptedSpeech)
    assert ward.abilities.speech.heard_bytes == [64_000]
    assert b"".join([piece async for piece in ward.consults.intake.audio(dictation.id)]) == recording
    assert list((ward.folder / "spool").iterdir()) == []


async def test_silence_ends_clearly_and_keeps_the_audio(ward: Ward) -> None:
    ward.abilities.speech = ScriptedSpeech(())
    dictation = await ward.dictated()
    silent = await ward.until(dictation.id, "no_speech")
    assert silent.reason == errors.NO_SPEECH.code
    with pytest.raises(ProntuarioError, match=r"transcript\.no_speech"):
        await ward.store.read(lambda q: transcripts.get(q, silent))
    assert len(b"".join([piece async for piece in ward.consults.intake.audio(dictation.id)])) == silent.audio_bytes
    ward.abilities.speech = ScriptedSpeech(SCRIPT)
    await ward.store.write(lambda tx: ward.consults.retry(tx, dictation.id))
    assert (await ward.until(dictation.id, "drafted")).reason is None


async def test_audio_that_cannot_be_read_fails_with_its_reason_at_once(ward: Ward) -> None:
    dictation = await ward.dictated(b"fLaC" + bytes(100))
    failed = await ward.until(dictation.id, "failed")
    assert failed.reason == "audio.damaged"
    with pytest.raises(ProntuarioError, match=r"audio\.damaged"):
        await ward.store.read(lambda q: transcripts.get(q, failed))
    assert failed.audio_bytes == 104


async def test_a_cut_recording_is_transcribed_as_far_as_it_goes_and_says_so(ward: Ward) -> None:
    dictation = await ward.dictated(sounds.wav(2.0)[:40_000])
    done = await ward.until(dictation.id, "drafted")
    assert done.truncated
    assert done.audio_s == pytest.approx(1.25, abs=0.01)


async def test_a_failure_in_the_middle_is_repeated_without_doubling_a_segment(ward: Ward) -> None:
    speech = ScriptedSpeech(SCRIPT, failures=[UNAVAILABLE(what="speech"), RuntimeError("bug")])
    ward.abilities.speech = speech
    note = await ward.drafted()
    dictation = await ward.dictation(note.dictation_id)
    found = await ward.store.read(lambda q: transcripts.segments(q, dictation.id))
    assert [segment.number for segment in found] == [1, 2, 3, 4]
    assert dictation.attempt == 3


async def test_without_any_recogniser_it_waits_and_gives_up_only_in_the_end(still_ward: Ward) -> None:
    from appliance.care.transcription import MAX_ATTEMPTS, Transcription
    from appliance.store.claims import Job
    from appliance.store.jobs import PermanentFailure
    from appliance.telemetry.clock import SystemClock

    ward = still_ward
    ward.abilities.speech = None
    dictation = await ward.dictated()
    handler = Transcription(
        ward.store, ward.consults.intake, ward.abilities, SystemClock(), ward.consults.broker, ward.folder / "spool"
    )
    payload = {"dictation_id": dictation.id}
    with pytest.raises(ProntuarioError, match=r"capability\.unavailable"):
        await handler.run(Job(id="1", kind="care.transcribe", payload=payload, attempt=1))
    assert (await ward.dictation(dictation.id)).state == "transcribing"
    with pytest.raises(PermanentFailure):
        await handler.run(Job(id="1", kind="care.transcribe", payload=payload, attempt=MAX_ATTEMPTS))
    failed = await ward.dictation(dictation.id)
    assert (failed.state, failed.reason) == ("failed", "capability.unavailable")


async def test_a_stale_attempt_writes_nothing(still_ward: Ward) -> None:
    ward = still_ward
    dictation = await ward.dictated()
    first = await ward.store.write(lambda tx: transcripts.begin(tx, dictation.id, "2026-01-01T00:00:00.000Z"))
    second = await ward.store.write(lambda tx: transcripts.begin(tx, dictation.id, "2026-01-01T00:00:00.000Z"))
    assert first is not None
    assert second is not None
    segment = transcripts.Segment(1, 0.0, 1.0, "Refere tosse.", 0.9)
    with pytest.raises(ProntuarioError, match=r"transcript\.superseded"):
        await ward.store.write(lambda tx: transcripts.add(tx, first, [segment], "2026-01-01T00:00:00.000Z"))
    await ward.store.write(lambda tx: transcripts.add(tx, second, [segment], "2026-01-01T00:00:00.000Z"))
    assert await ward.store.read(lambda q: transcripts.count(q, dictation.id)) == 1


def verbatim_in(note: Note) -> list[str]:
    return [s.text for s in note.content.sentences() if s.origin == "transcript"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["this is not JSON"], "draft.malformed"),
        (['{"sections": [], "facts": []}'], "draft.malformed"),
        ([note_json(S=[("Refere tosse.", [99])])], "draft.malformed"),
        ([BUSY(what="chat", waiting=1)], "busy"),
    ],
)
async def test_whatever_the_model_does_the_speech_stands_in_the_note(
    ward: Ward, answers: list[str | BaseException], reason: str
) -> None:
    ward.abilities.chat = ScriptedChat(list(answers))
    note = await ward.drafted()
    assert verbatim_in(note) == list(SCRIPT)
    assert note.content.ai is not None
    assert (note.content.ai.fallback, note.content.ai.fallback_reason) == (True, reason)
    reviewed = await ward.review(note)
    assert reviewed.state == "reviewed"


async def test_with_language_models_off_the_record_still_works(ward: Ward) -> None:
    ward.abilities.chat = None
    note = await ward.drafted()
    assert verbatim_in(note) == list(SCRIPT)
    assert note.content.ai is not None
    assert note.content.ai.model == ""
    signed = await ward.sign(await ward.review(note))
    assert signed.state == "signed"


async def test_a_malformed_answer_is_asked_for_again(ward: Ward) -> None:
    chat = ScriptedChat(["{", NOTE])
    ward.abilities.chat = chat
    note = await ward.drafted()
    assert len(chat.asked) == 2
    assert note.content.ai is not None
    assert not note.content.ai.fallback


async def test_an_answer_cut_at_its_limit_is_split_and_never_trusted(ward: Ward) -> None:
    ward.abilities.chat = ScriptedChat([NOTE], finish_reason="length")
    note = await ward.drafted()
    assert verbatim_in(note) == list(SCRIPT)
    assert note.content.ai is not None
    assert note.content.ai.fallback_reason == "draft.cut"


async def test_a_demonstration_or_second_choice_model_is_labelled(ward: Ward) -> None:
    ward.abilities.degraded = True
    note = await ward.drafted()
    assert note.content.ai is not None
    assert note.content.ai.degraded


async def test_progress_is_told_step_by_step(ward: Ward) -> None:
    dictation = await ward.open()
    seen: list[str] = []
    with ward.consults.broker.subscribe(dictation.id) as subscription:
        await ward.send(dictation.id, 0, sounds.wav(0.5))
        await ward.complete(dictation.id, 1)
        async for event in subscription.events():
            seen.append(str(event.data.get("state", event.name)))
            if seen[-1] == "drafted":
                break
    assert seen == ["chunk", "complete", "transcribing", *["segment"] * 4, "drafting", "drafted"]


async def test_a_dictation_whose_job_was_lost_goes_on_after_a_start(tmp_path: Path) -> None:
    async with ward_at(tmp_path, running=False) as before:
        dictation = await before.dictated()
        await before.store.write(lambda tx: tx.execute("DELETE FROM store_job"))
    async with ward_at(tmp_path) as after:
        done = await after.until(dictation.id, "drafted")
        assert done.note_id is not None
        dead = await after.store.read(lambda q: list_jobs(q, "dead"))
        assert dead == []


async def test_many_dictations_at_once_keep_to_themselves(ward: Ward) -> None:
    opened = await asyncio.gather(*(ward.dictated(sounds.wav(0.2)) for _ in range(12)))
    done = await asyncio.gather(*(ward.until(dictation.id, "drafted") for dictation in opened))
    assert len({dictation.note_id for dictation in done}) == 12
    found = await ward.store.read(lambda q: notes.find(q, patient_id=ward.patient))
    assert {note.dictation_id for note in found} == {dictation.id for dictation in opened}


async def test_only_what_waits_can_be_retried(ward: Ward) -> None:
    dictation = await ward.open()
    with pytest.raises(ProntuarioError, match=r"dictation\.not_retryable"):
        await ward.store.write(lambda tx: ward.consults.retry(tx, dictation.id))


async def test_a_dictation_needs_a_patient_and_their_own_encounter(still_ward: Ward) -> None:
    ward = still_ward
    consults, doctor = ward.consults, ward.doctor
    for patient, encounter, code in (
        ("nobody", ward.encounter, "fhir.not_found"),
        (ward.patient, "none", "fhir.not_found"),
    ):
        with pytest.raises(ProntuarioError, match=code.replace(".", r"\.")):
            await ward.store.write(
                lambda tx, p=patient, e=encounter: consults.open(
                    tx, doctor, patient_id=p, encounter_id=e, language="pt"
                )  # type: ignore[misc]
            )
    from appliance.records import repository

    other = await ward.store.write(lambda tx: repository.create(tx, {"resourceType": "Patient"}, now=consults.now()))
    with pytest.raises(ProntuarioError, match="another patient"):
        await ward.store.write(
            lambda tx: consults.open(tx, doctor, patient_id=other["id"], encounter_id=ward.encounter, language="pt")
        )
    assert await ward.store.read(dictations.find) == []
