"""Live sound: guesses at what is being said, final words that stay, and going on after what is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from appliance.engines.errors import BUSY
from appliance.plugin_api.capabilities import Segment, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions, Lane
from plugins.whisper_stt.gate import Cut, VoiceGate
from plugins.whisper_stt.listening import GUESS_EVERY_S, Listening, cuts_of
from tests.fakes.scripted_engine import ScriptedEngine
from tests.plugins import sounds
from tests.plugins.whisper_stt.test_provider import numbered, provider, transcript

CONSULT = sounds.pcm(sounds.consult())
FRAME_BYTES = sounds.RATE * 2 // 10


def gate() -> VoiceGate:
    return VoiceGate(max_utterance_s=4.8, pause_s=0.35)


async def cuts(
    data: bytes = CONSULT, *, size: int = FRAME_BYTES, skip_until: float = 0.0, partials: bool = False
) -> list[Cut]:
    audio = sounds.blocks(data, size)
    return [cut async for cut in cuts_of(audio, gate(), skip_until=skip_until, partials=partials)]


async def given(*wanted: Cut) -> AsyncIterator[Cut]:
    for cut in wanted:
        yield cut


# -- the gate --------------------------------------------------------------------------------------------------------------
def test_asking_what_is_pending_changes_nothing() -> None:
    asked, silent = gate(), gate()
    told, plain = [], []
    for start in range(0, len(CONSULT), FRAME_BYTES):
        block = CONSULT[start : start + FRAME_BYTES]
        told += list(asked.feed(block))
        asked.pending()
        plain += list(silent.feed(block))
    assert told == plain
    assert len(told) >= len(sounds.consult_text()) - 1
    assert asked.heard_s == pytest.approx(len(CONSULT) / 2 / sounds.RATE, abs=0.02)


def test_what_is_pending_grows_into_the_utterance() -> None:
    listening = gate()
    guesses: list[Cut] = []
    for start in range(0, len(CONSULT), FRAME_BYTES):
        ended = list(listening.feed(CONSULT[start : start + FRAME_BYTES]))
        if ended:
            break
        if (guess := listening.pending()) is not None:
            guesses.append(guess)
    assert len(guesses) > 3
    assert not any(guess.final for guess in guesses)
    assert ended[0].final
    for guess in guesses:  # a forced cut may lie before the end of the last guess
        common = min(len(guess.pcm), len(ended[0].pcm))
        assert (guess.start, guess.pcm[:common]) == (ended[0].start, ended[0].pcm[:common])
    assert [len(guess.pcm) for guess in guesses] == sorted(len(guess.pcm) for guess in guesses)


def test_nothing_is_pending_in_what_is_not_speech() -> None:
    for name in ("silence", "white noise", "a tone", "hum in noise"):
        listening = gate()
        assert list(listening.feed(sounds.pcm(sounds.NOT_SPEECH[name]))) == []
        assert listening.pending() is None, name


# -- cutting ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [317, FRAME_BYTES, 70_001, len(CONSULT)])
async def test_utterances_do_not_depend_on_how_the_sound_is_cut(size: int) -> None:
    assert await cuts(size=size) == await cuts(size=6_400)


async def test_going_on_after_any_utterance_gives_the_same_rest() -> None:
    everything = await cuts()
    for place, cut in enumerate(everything):
        assert await cuts(skip_until=round(cut.end, 3)) == everything[place + 1 :]


async def test_guesses_come_between_and_leave_the_final_cuts_as_they_are() -> None:
    mixed = await cuts(partials=True)
    final = [cut for cut in mixed if cut.final]
    guesses = [cut for cut in mixed if not cut.final]
    assert final == await cuts()
    assert len(sounds.consult_text()) / 2 < len(guesses) <= len(CONSULT) / 2 / sounds.RATE / GUESS_EVERY_S


async def test_no_guess_begins_before_what_is_known() -> None:
    half = (await cuts())[4].end
    mixed = await cuts(partials=True, skip_until=half)
    assert min(cut.start for cut in mixed) >= half - 0.011


# -- hearing ---------------------------------------------------------------------------------------------------------------
def cut(start: float, *, final: bool = True) -> Cut:
    return Cut(b"\0\0", start, start + 1.0, final)


def as_segment(heard: Cut) -> Segment:
    return Segment(heard.start, heard.end, f"em {heard.start:g}", 0.9, final=heard.final)


async def test_a_guess_whose_utterance_ended_is_dropped() -> None:
    cancelled: list[float] = []

    async def hear(heard: Cut) -> Segment | None:
        if not heard.final:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(heard.start)
                raise
        await asyncio.sleep(0)
        return as_segment(heard)

    async def slowly() -> AsyncIterator[Cut]:
        for one in (cut(0, final=False), cut(0), cut(2, final=False), cut(2)):
            for _ in range(5):
                await asyncio.sleep(0)
            yield one

    listening = Listening(slowly(), hear, in_flight=2)  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        got = [segment async for segment in listening.segments()]
        await listening.close()
    assert [(segment.start, segment.final) for segment in got] == [(0, True), (2, True)]
    assert cancelled == [0, 2]


async def test_only_one_guess_is_heard_at_a_time() -> None:
    release = asyncio.Event()
    asked: list[Cut] = []

    async def hear(heard: Cut) -> Segment | None:
        asked.append(heard)
        await release.wait()
        return as_segment(heard)

    async def three() -> AsyncIterator[Cut]:
        for _ in range(3):
            yield cut(0, final=False)
        for _ in range(5):
            await asyncio.sleep(0)
        release.set()
        await asyncio.Event().wait()

    listening = Listening(three(), hear, in_flight=2)  # type: ignore[arg-type]
    stream = listening.segments()
    async with asyncio.timeout(30):
        assert not (await anext(stream)).final
        await listening.close()
    assert len(asked) == 1


async def test_a_guess_never_overtakes_the_order_of_final_segments() -> None:
    async def hear(heard: Cut) -> Segment | None:
        await asyncio.sleep(0.02 if heard.start < 1 else 0)
        return as_segment(heard)

    everything = given(cut(0, final=False), cut(0), cut(2, final=False), cut(2), cut(4), cut(6))
    listening = Listening(everything, hear, in_flight=3)  # type: ignore[arg-type]
    got = [segment async for segment in listening.segments()]
    assert [segment.start for segment in got if segment.final] == [0, 2, 4, 6]


# -- the ability -----------------------------------------------------------------------------------------------------------
async def heard(engine: ScriptedEngine, **wishes: object) -> list[Segment]:
    async def microphone() -> AsyncIterator[bytes]:
        async for block in sounds.blocks(CONSULT, FRAME_BYTES):
            yield block
            for _ in range(8):  # the model is faster than speech
                await asyncio.sleep(0)

    options = TranscriptionOptions(**wishes)  # type: ignore[arg-type]
    call = CallOptions(Lane.INTERACTIVE, 90.0, user="u1", patient="p1")
    return [segment async for segment in provider(engine).transcribe(microphone(), options, call)]


async def test_guesses_are_given_only_when_asked_for_and_go_behind_everybody() -> None:
    plain, live = ScriptedEngine(numbered), ScriptedEngine(numbered)
    without = await heard(plain)
    together = await heard(live, partials=True, word_times=True)
    assert all(segment.final for segment in without)
    assert [(s.start, s.end) for s in together if s.final] == [(s.start, s.end) for s in without]
    assert not all(segment.final for segment in together)
    lanes = {call.lane for call in live.calls}
    assert lanes == {Lane.INTERACTIVE, Lane.BACKGROUND}
    modest = next(call for call in live.calls if call.lane is Lane.BACKGROUND)
    assert (modest.user, modest.patient, modest.idempotent) == ("u1", "p1", False)
    assert modest.deadline_s < 90.0
    assert {call.lane for call in plain.calls} == {Lane.INTERACTIVE}


async def test_a_guess_that_fails_hurts_nobody() -> None:
    engine = ScriptedEngine(numbered)

    async def refuse_guesses(number: int, _payload: bytes) -> list[bytes]:
        if engine.calls[number].lane is Lane.BACKGROUND:
            raise BUSY(engine="whisper", waiting=9)
        return transcript(f"frase {number}")

    engine._answer = refuse_guesses
    together = await heard(engine, partials=True)
    assert all(segment.final for segment in together)
    assert len(together) >= len(sounds.consult_text())
    assert any(call.lane is Lane.BACKGROUND for call in engine.calls)


class CrowdedEngine(ScriptedEngine):
    """Others wait for it."""

    @property
    def waiting(self) -> int:
        return 3


async def test_no_guess_is_asked_of_an_engine_that_others_wait_for() -> None:
    engine = CrowdedEngine(numbered)
    together = await heard(engine, partials=True)
    assert together
    assert {call.lane for call in engine.calls} == {Lane.INTERACTIVE}


async def test_what_is_known_is_not_heard_again() -> None:
    first = ScriptedEngine(numbered)
    everything = await heard(first)
    second = ScriptedEngine(numbered)
    rest = await heard(second, skip_until=everything[3].end)
    assert [replace_text(segment) for segment in rest] == [replace_text(segment) for segment in everything[4:]]
    assert len(second.payloads) == len(first.payloads) - 4


def replace_text(segment: Segment) -> tuple[float, float]:
    return segment.start, segment.end


def test_a_cut_is_final_unless_it_says_otherwise() -> None:
    assert cut(0).final
    assert not replace(cut(0), final=False).final
