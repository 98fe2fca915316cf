"""Live hearing on a real record: final segments are kept as they come, survive breaks, and the job goes on after them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from appliance.care import transcripts
from appliance.care.live import LiveHearing
from appliance.care.model import Segment
from appliance.engines.errors import POISON
from appliance.plugin_api import capabilities
from appliance.plugin_api.capabilities import ModelInfo, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import UNAVAILABLE, ProntuarioError
from tests.fakes import sounds
from tests.fakes.care_models import ScriptedSpeech
from tests.unit.care.conftest import PATIENCE_S, SCRIPT, Ward

SECOND = 32_000
WORDS = ("tosse", "febre", "dor", "asma", "azia", "rinite")


def recording(seconds: int, declared: int = 0) -> bytes:
    """A WAV whose samples tell which second they belong to; its header makes no claim unless told to."""
    numbers = np.repeat(np.arange(1, seconds + 1, dtype="<i2"), SECOND // 2)
    return sounds.lying_wav(declared, numbers.tobytes())


@dataclass
class SecondHearer:
    """Every second of sound is an utterance, named by what its samples say; half a second is a guess."""

    sha256: str = "a" * 64
    ready: bool = True
    heard: list[int] = field(default_factory=list)
    failures: list[ProntuarioError] = field(default_factory=list)
    accent: str = ""

    def model(self) -> ModelInfo:
        return ModelInfo("seconds", self.sha256, "speech_to_text", True, self.ready)

    async def transcribe(
        self, audio: AsyncIterator[bytes], options: TranscriptionOptions, call: CallOptions
    ) -> AsyncIterator[capabilities.Segment]:
        data, told = b"", 0
        async for block in audio:
            data += block
            while len(data) >= (told + 1) * SECOND:
                if told >= options.skip_until:
                    if told == 1 and self.failures:
                        raise self.failures.pop(0)
                    number = int(np.frombuffer(data[told * SECOND :][:2], "<i2")[0])
                    self.heard.append(number)
                    yield capabilities.Segment(told, told + 0.9, WORDS[number - 1] + self.accent, 0.9)
                told += 1
            if options.partials and len(data) - told * SECOND >= SECOND // 2:
                yield capabilities.Segment(told, told + 0.5, WORDS[told][:2], 0.5, final=False)


@dataclass
class Watched:
    """What somebody who follows a dictation was told."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [data for told, data in self.events if told == name]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110  polling is the point: the condition has no event
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def watching(ward: Ward, dictation_id: str) -> AsyncIterator[Watched]:
    """Follow the events and have the dictation heard."""
    watched = Watched()
    with ward.consults.broker.subscribe(dictation_id) as subscription:

        async def collect() -> None:
            async for event in subscription.events():
                watched.events.append((event.name, event.data))

        task = asyncio.create_task(collect())
        try:
            with ward.consults.live.watching(dictation_id):
                yield watched
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def segments(ward: Ward, dictation_id: str) -> list[Segment]:
    return await ward.store.read(lambda q: transcripts.segments(q, dictation_id))


def pieces(data: bytes, size: int = 8_000) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture
async def speech(ward: Ward) -> AsyncIterator[SecondHearer]:
    hearer = SecondHearer()
    ward.abilities.speech = hearer
    yield hearer
    await ward.consults.stop()


async def test_final_and_partial_segments_come_while_the_recording_is_open(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    data = pieces(recording(2) + bytes(SECOND // 2 + 8_000))
    async with watching(ward, dictation.id) as watched:
        for sequence, piece in enumerate(data):
            await ward.send(dictation.id, sequence, piece)
        await watched.until(lambda: len(watched.named("segment")) == 2 and bool(watched.named("partial")))
        assert [told["text"] for told in watched.named("segment")] == ["tosse", "febre"]
        assert all(told["final"] for told in watched.named("segment"))
        assert [told["final"] for told in watched.named("partial")] == [False] * len(watched.named("partial"))
        assert (await ward.dictation(dictation.id)).state == "open"
        assert [segment.text for segment in await segments(ward, dictation.id)] == ["tosse", "febre"]
        assert (await ward.dictation(dictation.id)).heard_by == speech.sha256


async def test_the_transcription_goes_on_after_what_was_final(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    whole = recording(4)
    split = 44 + 2 * SECOND + 100
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, whole[:split])
        await watched.until(lambda: len(watched.named("segment")) == 2)
    await ward.consults.live.stop()
    before = await segments(ward, dictation.id)
    speech.accent = "?"  # a model that would hear differently the second time
    await ward.send(dictation.id, 1, whole[split:])
    await ward.complete(dictation.id, 2)
    await ward.until(dictation.id, "drafted", "failed")
    after = await segments(ward, dictation.id)
    assert after[:2] == before
    assert [segment.text for segment in after] == ["tosse", "febre", "dor?", "asma?"]
    assert [segment.number for segment in after] == [1, 2, 3, 4]
    assert speech.heard == [1, 2, 3, 4]


async def test_a_transcript_names_its_model_although_that_is_just_starting_again(
    ward: Ward, speech: SecondHearer
) -> None:
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(2))
        await watched.until(lambda: len(watched.named("segment")) == 2)
    await ward.consults.live.stop()
    heard_by, speech.sha256, speech.ready = speech.sha256, "", False
    await ward.complete(dictation.id, 1)
    done = await ward.until(dictation.id, "drafted", "failed")
    transcript = await ward.store.read(lambda q: transcripts.get(q, done))
    assert [segment.text for segment in transcript.segments] == ["tosse", "febre"]
    assert transcript.ai.sha256 == heard_by


async def test_completing_ends_the_live_hearing_and_leaves_one_transcript(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(3))
        await watched.until(lambda: bool(watched.named("segment")))
        await ward.complete(dictation.id, 1)
        await ward.until(dictation.id, "drafted", "failed")
        await watched.until(lambda: ward.consults.live.followed == 0)
    assert [segment.text for segment in await segments(ward, dictation.id)] == ["tosse", "febre", "dor"]
    numbers = [told["number"] for told in watched.named("segment")]
    assert numbers == [1, 2, 3]


async def test_a_gap_is_waited_for(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    parts = pieces(recording(3), SECOND)
    async with watching(ward, dictation.id) as watched:
        for sequence in (0, 2, 3):
            await ward.send(dictation.id, sequence, parts[sequence])
        await asyncio.sleep(0.6)
        assert watched.named("segment") == []
        await ward.send(dictation.id, 1, parts[1])
        await watched.until(lambda: len(watched.named("segment")) == 3)
    assert [told["text"] for told in watched.named("segment")] == ["tosse", "febre", "dor"]


async def test_who_comes_back_finds_the_same_hearing(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    parts = pieces(recording(3), SECOND + 44)
    for sequence, part in enumerate(parts):
        async with watching(ward, dictation.id) as watched:
            await ward.send(dictation.id, sequence, part)
            count = sequence + 1
            await watched.until(lambda count=count: len(speech.heard) == count)  # type: ignore[misc]
            assert ward.consults.live.followed == 1
    assert speech.heard == [1, 2, 3]


async def test_a_new_life_goes_on_after_the_last_final_segment(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    parts = pieces(recording(4), 2 * SECOND + 44)
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, parts[0])
        await watched.until(lambda: len(watched.named("segment")) == 2)
    await ward.consults.live.stop()
    assert ward.consults.live.followed == 0
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 1, parts[1])
        await watched.until(lambda: len(watched.named("segment")) == 2)
    assert [told["number"] for told in watched.named("segment")] == [3, 4]
    assert speech.heard == [1, 2, 3, 4]


async def test_nobody_watching_ends_it(ward: Ward, speech: SecondHearer) -> None:
    consults = ward.consults
    hasty = LiveHearing(
        store=ward.store, intake=consults.intake, abilities=ward.abilities, clock=consults._clock,
        broker=consults.broker, linger_s=0.05,
    )  # fmt: skip
    dictation = await ward.open()
    with hasty.watching(dictation.id):
        assert hasty.followed == 1
    await Watched().until(lambda: hasty.followed == 0)


async def test_a_model_that_fails_is_asked_again_and_says_so(
    ward: Ward, speech: SecondHearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.care.live.RETRY_S", 0.05)
    speech.failures = [UNAVAILABLE(what="speech")]
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(3))
        await watched.until(lambda: len(watched.named("segment")) == 3)
    assert watched.named("live") == [{"available": False, "code": "unavailable", "retry_after": 0.05}]
    assert [segment.text for segment in await segments(ward, dictation.id)] == ["tosse", "febre", "dor"]
    assert speech.heard == [1, 2, 3]


async def test_what_the_recording_itself_meets_is_not_tried_again(ward: Ward, speech: SecondHearer) -> None:
    speech.failures = [POISON(engine="whisper")]
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(3))
        await watched.until(lambda: bool(watched.named("live")))
        await watched.until(lambda: ward.consults.live.followed == 0)
    assert watched.named("live") == [{"available": False, "code": "engine.poison", "retry_after": None}]
    assert speech.heard == [1]


async def test_a_model_that_is_not_ready_is_waited_for(
    ward: Ward, speech: SecondHearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.care.live.RETRY_S", 0.05)
    speech.ready = False
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(1))
        await watched.until(lambda: bool(watched.named("live")))
        speech.ready = True
        await watched.until(lambda: bool(watched.named("segment")))


async def test_a_recording_that_needs_a_decoder_is_transcribed_at_the_end(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, sounds.wav(1.0, 48_000))
        await watched.until(lambda: bool(watched.named("live")))
        assert watched.named("live")[0]["code"] == "dictation.live_unsupported"
        await watched.until(lambda: ward.consults.live.followed == 0)
    ward.abilities.speech = ScriptedSpeech(SCRIPT)
    await ward.complete(dictation.id, 1)
    await ward.until(dictation.id, "drafted")
    assert [segment.text for segment in await segments(ward, dictation.id)] == list(SCRIPT)


async def test_another_model_hears_everything_anew(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.open()
    async with watching(ward, dictation.id) as watched:
        await ward.send(dictation.id, 0, recording(2))
        await watched.until(lambda: len(watched.named("segment")) == 2)
    await ward.consults.live.stop()
    ward.abilities.speech = SecondHearer(sha256="c" * 64, accent="!")
    await ward.complete(dictation.id, 1)
    await ward.until(dictation.id, "drafted", "failed")
    assert [segment.text for segment in await segments(ward, dictation.id)] == ["tosse!", "febre!"]
    assert (await ward.dictation(dictation.id)).heard_by == "c" * 64


async def test_a_finished_dictation_is_not_heard_again(ward: Ward, speech: SecondHearer) -> None:
    dictation = await ward.dictated(recording(1))
    await ward.until(dictation.id, "drafted", "failed")
    heard = list(speech.heard)
    async with watching(ward, dictation.id) as watched:
        await watched.until(lambda: ward.consults.live.followed == 0)
    assert speech.heard == heard
