"""The core's half: order, bounded work in flight, cancelling, and nothing lost when something fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from appliance.engines.errors import BUSY, FAILED, POISON, REJECTED
from appliance.plugin_api.capabilities import Segment, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions, Lane
from appliance.plugin_api.errors import UNAVAILABLE, ProntuarioError
from appliance.plugin_api.testing import InProcessEngine, check_speech_to_text
from plugins.whisper_stt.engine import WhisperEngine
from plugins.whisper_stt.messages import TimedWord, Transcript, Utterance
from plugins.whisper_stt.provider import UNHEARD, WhisperSpeechToText
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins import sounds

SENTENCES = len(sounds.consult_text())
CONSULT = sounds.pcm(sounds.consult())


def provider(engine: Any, *, in_flight: int = 4) -> WhisperSpeechToText:
    return WhisperSpeechToText(
        engine, folder=Path("tiny"), demonstration=True, max_utterance_s=4.8, pause_s=0.35, in_flight=in_flight
    )


def transcript(text: str, *words: TimedWord) -> list[bytes]:
    return [msgspec.msgpack.encode(Transcript(text, 0.5, words))]


async def numbered(number: int, _payload: bytes) -> list[bytes]:
    return transcript(f"frase {number}")


async def all_segments(
    speech: WhisperSpeechToText, audio: AsyncIterator[bytes], options: TranscriptionOptions | None = None
) -> list[Segment]:
    stream = speech.transcribe(audio, options or TranscriptionOptions(), CallOptions())
    return [segment async for segment in stream]


async def gather_into(got: list[Segment], speech: WhisperSpeechToText, audio: AsyncIterator[bytes]) -> None:
    """Keeps what came before a failure."""
    async for segment in speech.transcribe(audio, TranscriptionOptions(), CallOptions()):
        got.append(segment)  # noqa: PERF401  a comprehension would lose it


def long_sentences(sound: bytes = CONSULT) -> AsyncIterator[bytes]:
    return sounds.blocks(sound)


async def test_it_keeps_the_contract_of_speech_models(tiny_config: dict[str, Any]) -> None:
    speech = provider(InProcessEngine(WhisperEngine(), tiny_config))
    segments = await check_speech_to_text(speech, sounds.pcm(sounds.seconds(0, 9)))
    assert len(segments) >= 2


async def test_segments_come_in_order_although_answers_do_not() -> None:
    async def later_is_faster(number: int, _payload: bytes) -> list[bytes]:
        await asyncio.sleep(0.05 if number % 2 == 0 else 0)
        return transcript(f"frase {number}")

    segments = await all_segments(provider(ScriptedEngine(later_is_faster)), long_sentences())
    assert [segment.text for segment in segments] == [f"frase {number}" for number in range(len(segments))]
    assert len(segments) >= SENTENCES
    starts = [segment.start for segment in segments]
    assert starts == sorted(starts)


async def test_several_utterances_are_in_flight_but_never_more_than_allowed() -> None:
    release = asyncio.Event()

    async def held(number: int, _payload: bytes) -> list[bytes]:
        await release.wait()
        return transcript(f"frase {number}")

    engine = ScriptedEngine(held)
    task = asyncio.create_task(all_segments(provider(engine, in_flight=3), long_sentences()))
    async with asyncio.timeout(30):
        while engine.running < 3:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0.01)
    release.set()
    await task
    assert engine.most_running == 3


async def test_a_full_pipeline_makes_the_reader_of_the_audio_wait() -> None:
    release = asyncio.Event()
    read = 0

    async def held(number: int, _payload: bytes) -> list[bytes]:
        await release.wait()
        return transcript(f"frase {number}")

    async def audio() -> AsyncIterator[bytes]:
        nonlocal read
        async for block in sounds.blocks(CONSULT):
            read += len(block)
            yield block

    engine = ScriptedEngine(held)
    task = asyncio.create_task(all_segments(provider(engine, in_flight=2), audio()))
    async with asyncio.timeout(30):
        while engine.running < 2:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0.01)
    for _ in range(200):
        await asyncio.sleep(0)
    assert read < len(CONSULT) / 2
    release.set()
    assert len(await task) >= SENTENCES
    assert read == len(CONSULT)


async def test_a_live_stream_gives_segments_before_it_ends() -> None:
    more: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def microphone() -> AsyncIterator[bytes]:
        while (block := await more.get()) is not None:
            yield block

    stream = provider(ScriptedEngine(numbered)).transcribe(microphone(), TranscriptionOptions(), CallOptions())
    await more.put(sounds.pcm(sounds.seconds(8.9, 11.7)))
    async with asyncio.timeout(30):
        first = await anext(stream)
    assert first.text == "frase 0"
    await more.put(None)
    assert [segment.text async for segment in stream] == []


async def test_closing_the_stream_cancels_what_is_in_flight() -> None:
    async def first_only(number: int, _payload: bytes) -> list[bytes]:
        if number:
            await asyncio.Event().wait()
        return transcript("frase 0")

    engine = ScriptedEngine(first_only)
    stream = provider(engine).transcribe(long_sentences(), TranscriptionOptions(), CallOptions())
    assert (await anext(stream)).text == "frase 0"
    waiting = asyncio.create_task(anext(stream))
    async with asyncio.timeout(30):
        while engine.running < 2:  # noqa: ASYNC110  the condition has no event
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await stream.aclose()
    assert engine.running == 0
    assert len(engine.cancelled) >= 2


async def test_an_engine_that_fails_ends_the_stream_after_what_came_before() -> None:
    async def third_fails(number: int, _payload: bytes) -> list[bytes]:
        if number == 2:
            raise BUSY(engine="whisper", waiting=9)
        return transcript(f"frase {number}")

    engine = ScriptedEngine(third_fails)
    got: list[Segment] = []
    with pytest.raises(ProntuarioError) as caught:
        await gather_into(got, provider(engine), long_sentences())
    assert caught.value.kind is BUSY
    assert [segment.text for segment in got] == ["frase 0", "frase 1"]
    assert engine.running == 0


async def test_an_utterance_that_brings_the_engine_down_is_a_hole_and_not_the_end() -> None:
    async def second_kills(number: int, _payload: bytes) -> list[bytes]:
        if number == 1:
            raise POISON(engine="whisper")
        return transcript(f"frase {number}")

    segments = await all_segments(provider(ScriptedEngine(second_kills)), long_sentences())
    assert [segment.text for segment in segments[:3]] == ["frase 0", UNHEARD, "frase 2"]
    assert len(segments) >= SENTENCES
    hole = segments[1]
    assert segments[0].end <= hole.start < hole.end <= segments[2].start
    assert (hole.confidence, hole.final) == (0.0, True)


async def test_an_utterance_that_the_engine_can_not_do_is_tried_once_more_and_is_then_a_hole() -> None:
    """Its probabilities are no numbers, say: the engine lives, and the rest of the recording is heard."""

    async def second_fails(number: int, _payload: bytes) -> list[bytes]:
        if number in fails:
            raise FAILED(engine="whisper")
        return transcript(f"frase {number}")

    fails = {1, 2}
    segments = await all_segments(provider(ScriptedEngine(second_fails), in_flight=1), long_sentences())
    assert [segment.text for segment in segments[:3]] == ["frase 0", UNHEARD, "frase 3"]
    fails = {1}
    segments = await all_segments(provider(ScriptedEngine(second_fails), in_flight=1), long_sentences())
    assert UNHEARD not in [segment.text for segment in segments]


async def test_audio_that_fails_midway_gives_what_was_heard_and_then_the_error() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield sounds.pcm(sounds.seconds(0, 7.5))  # in the middle of the second sentence
        raise UNAVAILABLE(what="audio")

    got: list[Segment] = []
    with pytest.raises(ProntuarioError) as caught:
        await gather_into(got, provider(ScriptedEngine(numbered)), broken())
    assert caught.value.kind is UNAVAILABLE
    assert got[-1].end == pytest.approx(7.5, abs=0.05)


async def test_any_other_exception_of_the_audio_passes_through() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield bytes(100)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await all_segments(provider(ScriptedEngine(numbered)), broken())


async def test_an_utterance_without_text_is_no_segment() -> None:
    async def every_other(number: int, _payload: bytes) -> list[bytes]:
        return transcript("" if number % 2 else "sim")

    segments = await all_segments(provider(ScriptedEngine(every_other)), long_sentences())
    assert {segment.text for segment in segments} == {"sim"}
    assert len(segments) <= SENTENCES


async def test_word_times_count_from_the_beginning_of_the_stream() -> None:
    async def one_word(_number: int, _payload: bytes) -> list[bytes]:
        return transcript("febre", TimedWord("febre", 0.25, 0.5, 0.9))

    options = TranscriptionOptions(word_times=True)
    segments = await all_segments(provider(ScriptedEngine(one_word)), long_sentences(), options)
    for segment in segments:
        (word,) = segment.words
        assert word.start == pytest.approx(segment.start + 0.25, abs=0.002)
        assert segment.start <= word.start <= word.end <= segment.end


async def test_options_and_call_reach_the_engine() -> None:
    engine = ScriptedEngine(numbered)
    call = CallOptions(lane=Lane.URGENT, deadline_s=7.0, user="u1", patient="p1")
    options = TranscriptionOptions(language="en", prompt="losartana", temperature=0.2, word_times=True)
    async for _ in provider(engine).transcribe(sounds.blocks(sounds.pcm(sounds.seconds(0, 5.8))), options, call):
        pass
    sent = msgspec.msgpack.decode(engine.payloads[0], type=Utterance)
    assert (sent.language, sent.prompt, sent.temperature, sent.word_times) == ("en", "losartana", 0.2, True)
    assert engine.calls == [call] * len(engine.calls)


async def test_an_unknown_language_is_the_callers_mistake() -> None:
    async def refuses(_number: int, _payload: bytes) -> list[bytes]:
        raise REJECTED(engine="whisper", reason="speech.language")

    with pytest.raises(ProntuarioError) as caught:
        await all_segments(provider(ScriptedEngine(refuses)), long_sentences(), TranscriptionOptions(language="xx"))
    assert (caught.value.kind.code, caught.value.kind.status) == ("speech.language", 422)
    assert caught.value.field == "language"


@pytest.mark.parametrize("name", sorted(sounds.NOT_SPEECH))
async def test_what_is_not_speech_never_reaches_the_engine(name: str) -> None:
    engine = ScriptedEngine(numbered)
    assert await all_segments(provider(engine), sounds.blocks(sounds.pcm(sounds.NOT_SPEECH[name]))) == []
    assert engine.payloads == []


async def test_the_model_is_described_before_and_after_it_is_ready() -> None:
    starting, ready = ScriptedEngine(numbered, ready=False), ScriptedEngine(numbered)
    before, after = provider(starting).model(), provider(ready).model()
    assert (before.ready, before.sha256, before.demonstration) == (False, "", True)
    assert (after.ready, after.id, after.sha256) == (True, "scripted", "0" * 64)
