"""The demonstration model, in a real engine child, on real sound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
import soundfile

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.capabilities import Segment, SpeechToText, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions, EngineStatus
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.testing import check_speech_to_text
from plugins.whisper_stt.config import WhisperConfig
from plugins.whisper_stt.gate import Cut
from plugins.whisper_stt.messages import TRANSCRIBE
from plugins.whisper_stt.plugin import plugin
from tests.plugins import sounds
from tests.plugins.children import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
SAMPLE = files("appliance.daemon") / "sample"
Speech = tuple[EngineSupervisor, SpeechToText]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def speech(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Speech]:
    async with running(plugin, WhisperConfig(), tmp_path_factory.mktemp("speech")) as pair:
        yield pair


async def heard(model: SpeechToText, sound: sounds.Sound, **options: Any) -> list[Segment]:
    wishes = TranscriptionOptions(**options)
    stream = model.transcribe(sounds.blocks(sounds.pcm(sound)), wishes, CallOptions(deadline_s=100))
    return [segment async for segment in stream]


def text(segments: list[Segment]) -> str:
    return " ".join(segment.text for segment in segments)


@pytest.mark.parametrize("name", ["consult", "consult_2"])
async def test_the_sample_consults_are_understood(speech: Speech, name: str) -> None:
    samples, _rate = soundfile.read(SAMPLE / f"{name}.flac", dtype="float32")
    lines = (SAMPLE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    segments = await check_speech_to_text(speech[1], sounds.pcm(samples))
    assert sounds.word_error_rate(" ".join(lines), text(segments)) <= 0.05
    assert len(segments) == len(lines)


async def test_words_are_timed_where_they_were_said(speech: Speech) -> None:
    segments = await heard(speech[1], sounds.consult(), word_times=True)
    for segment in segments:
        assert " ".join(word.text for word in segment.words) == segment.text
        times = [time for word in segment.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert segment.start <= times[0] <= times[-1] <= segment.end + 0.01
    last_words = [segment.words[-1] for segment in segments]
    ends = [abs(word.end - segment.end) for word, segment in zip(last_words, segments, strict=True)]
    assert sorted(ends)[len(ends) // 2] < 0.6


@pytest.mark.parametrize("name", sorted(sounds.NOT_SPEECH | sounds.MUSIC))
async def test_nothing_is_invented(speech: Speech, name: str) -> None:
    assert await heard(speech[1], (sounds.NOT_SPEECH | sounds.MUSIC)[name]) == []


async def test_the_model_itself_stays_silent_on_what_the_gate_would_drop(speech: Speech) -> None:
    """A second line of defence: the engine is asked directly, without the gate."""
    engine, model = speech
    provider: Any = model
    for name in ("silence", "white noise", "a siren", "hum", "slow beeps"):
        cut = Cut(sounds.pcm(sounds.NOT_SPEECH[name]), 0.0, 4.0)
        answer = await provider._one(cut, TranscriptionOptions(), CallOptions())
        assert answer.text == "", name
    assert engine.status is EngineStatus.READY


async def test_clinicians_at_once_each_get_their_own_words(speech: Speech) -> None:
    parts = [(0.0, 5.6), (9.0, 11.4), (20.2, 22.0), (35.1, 37.7)]
    alone = [text(await heard(speech[1], sounds.seconds(*part))) for part in parts]
    together = await asyncio.gather(*(heard(speech[1], sounds.seconds(*part)) for part in parts * 3))
    assert [text(segments) for segments in together] == alone * 3
    assert len(set(alone)) == len(parts)


async def test_a_noisy_room_is_understood(speech: Speech) -> None:
    sound = sounds.consult()
    noise = sounds.white(len(sound) / sounds.RATE, float(sound.std()) * 0.1)[: len(sound)]
    segments = await heard(speech[1], (sound + noise).astype("float32"))
    assert sounds.word_error_rate(" ".join(sounds.consult_text()), text(segments)) <= 0.15


async def test_hostile_payloads_leave_the_engine_healthy(speech: Speech) -> None:
    engine, model = speech
    for payload in (b"", b"\xc1", bytes(1000), b"\xff" * 2_000_000):
        with pytest.raises(ProntuarioError) as caught:
            async for _ in engine.submit(TRANSCRIBE, payload, CallOptions()):
                pass
        assert caught.value.kind.status == 422
    assert engine.restarts == 0
    assert text(await heard(model, sounds.seconds(0, 5.6))).startswith("Paciente")


async def test_an_unknown_language_is_answered_with_its_field(speech: Speech) -> None:
    with pytest.raises(ProntuarioError) as caught:
        await heard(speech[1], sounds.seconds(0, 5.6), language="klingon")
    assert (caught.value.kind.code, caught.value.field) == ("speech.language", "language")


async def test_leaving_early_frees_the_engine(speech: Speech) -> None:
    engine, model = speech
    stream: Any = model.transcribe(sounds.blocks(sounds.pcm(sounds.consult())), TranscriptionOptions(), CallOptions())
    await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(30):
        while engine.running or engine.waiting:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0.02)
    assert engine.restarts == 0


async def test_it_says_that_it_is_a_demonstration(speech: Speech) -> None:
    engine, model = speech
    described = model.model()
    assert described.demonstration
    assert described.ready
    assert len(described.sha256) == 64
    assert engine.loaded is not None
    assert engine.loaded.demonstration
    assert engine.loaded.footprint_bytes <= engine.spec.footprint_bytes * 1.5
