"""The voice gate: utterances out of a stream, in bounded memory, and no speech lost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.whisper_stt.gate import RATE_HZ, Cut, VoiceGate
from plugins.whisper_stt.speechlike import FRAME
from tests.plugins import sounds

WINDOW_S = 9.8


def cuts_of(sound: sounds.Sound, *, block: int = 6_400, window_s: float = WINDOW_S, pause_s: float = 0.35) -> list[Cut]:
    gate = VoiceGate(max_utterance_s=window_s, pause_s=pause_s)
    data = sounds.pcm(sound)
    cuts: list[Cut] = []
    for start in range(0, len(data), block):
        cuts += gate.feed(data[start : start + block])
    return cuts + list(gate.finish())


def covered(cuts: list[Cut], start: float, end: float) -> bool:
    return any(cut.start <= start and end <= cut.end for cut in cuts)


def test_the_sample_consult_gives_one_utterance_a_sentence() -> None:
    cuts = cuts_of(sounds.consult())
    assert len(cuts) == len(sounds.consult_text())


def test_times_and_samples_are_those_of_the_stream() -> None:
    data = sounds.pcm(sounds.consult())
    for cut in cuts_of(sounds.consult()):
        first = round(cut.start * RATE_HZ) * 2
        assert cut.pcm == data[first : first + len(cut.pcm)]
        assert cut.end - cut.start == pytest.approx(len(cut.pcm) / 2 / RATE_HZ)


def test_utterances_come_in_order_and_do_not_overlap() -> None:
    cuts = cuts_of(sounds.consult())
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(cuts))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=30))
def test_the_size_of_blocks_changes_nothing(sizes: list[int]) -> None:
    data = sounds.pcm(sounds.seconds(0, 9))
    gate = VoiceGate(max_utterance_s=WINDOW_S)
    cuts: list[Cut] = []
    at = 0
    for index in range(len(data)):
        size = sizes[index % len(sizes)]
        cuts += gate.feed(data[at : at + size])
        at += size
        if at >= len(data):
            break
    cuts += gate.finish()
    assert cuts == cuts_of(sounds.seconds(0, 9))


@pytest.mark.parametrize("name", sorted(sounds.NOT_SPEECH))
def test_what_is_not_speech_gives_nothing(name: str) -> None:
    assert cuts_of(sounds.NOT_SPEECH[name]) == []


@pytest.mark.parametrize("name", ["white noise", "a tone", "hum", "a siren", "slow beeps"])
def test_speech_after_a_noise_is_kept_alone(name: str) -> None:
    noise = sounds.NOT_SPEECH[name]
    speech = sounds.seconds(0.3, 9.0)
    cuts = cuts_of(sounds.joined([noise, sounds.silence(1), speech]))
    begin = len(noise) / sounds.RATE + 1
    assert len(cuts) == 2
    assert all(cut.start >= begin for cut in cuts)


@pytest.mark.parametrize("level", [0.02, 0.05, 0.3, 1.0])
def test_a_soft_voice_is_heard_in_full(level: float) -> None:
    quiet_room = sounds.white(len(sounds.consult()) / sounds.RATE, 0.0001)[: len(sounds.consult())]
    cuts = cuts_of((sounds.consult() * level + quiet_room).astype(np.float32))
    for sentence in cuts_of(sounds.consult()):
        assert covered(cuts, sentence.start + 0.3, sentence.end - 0.3)


def test_speech_in_a_loud_room_is_heard_in_full() -> None:
    speech = sounds.consult()
    room = sounds.white(len(speech) / sounds.RATE, float(speech.std()) * 0.18)[: len(speech)]
    cuts = cuts_of((speech + room).astype(np.float32))
    for sentence in cuts_of(speech):
        middle = (sentence.start + sentence.end) / 2
        assert covered(cuts, middle - 0.3, middle + 0.3)


def test_speech_that_begins_at_once_is_not_clipped() -> None:
    cuts = cuts_of(sounds.seconds(0.55, 5.3))
    assert cuts[0].start == 0.0


def test_speech_that_ends_with_the_stream_is_not_lost() -> None:
    cuts = cuts_of(sounds.seconds(0, 4.0))
    assert len(cuts) == 1
    assert cuts[0].end == pytest.approx(4.0)


def test_a_stream_of_half_a_frame_and_an_odd_byte_is_nothing() -> None:
    gate = VoiceGate(max_utterance_s=WINDOW_S)
    assert list(gate.feed(b"\x01" * (FRAME + 1))) == []
    assert list(gate.finish()) == []


def test_an_empty_stream_is_nothing() -> None:
    assert list(VoiceGate(max_utterance_s=WINDOW_S).finish()) == []


def without_pauses(length_s: float) -> sounds.Sound:
    """Speech that never pauses: the sample's sentences without what lies between."""
    parts = [sounds.seconds(cut.start + 0.15, cut.end - 0.15) for cut in cuts_of(sounds.consult())]
    speech = sounds.joined(parts)
    return np.tile(speech, int(np.ceil(length_s * sounds.RATE / len(speech))))[: int(length_s * sounds.RATE)]


def test_speech_without_pauses_is_cut_to_the_window_and_nothing_is_lost() -> None:
    speech = without_pauses(45)
    cuts = cuts_of(speech)
    assert len(cuts) >= 45 / WINDOW_S
    assert all(cut.end - cut.start <= WINDOW_S + 1e-6 for cut in cuts)
    missing = 45 - sum(cut.end - cut.start for cut in cuts)
    assert missing < 45 * 0.05


def test_a_forced_cut_falls_on_the_quietest_place() -> None:
    speech = without_pauses(WINDOW_S + 4)
    quiet_at = 7.0
    hole = slice(int((quiet_at - 0.1) * sounds.RATE), int((quiet_at + 0.1) * sounds.RATE))
    speech[hole] *= 0.001
    first = cuts_of(speech)[0]
    assert first.end == pytest.approx(quiet_at, abs=0.2)


def test_memory_is_bounded_however_long_the_stream() -> None:
    gate = VoiceGate(max_utterance_s=WINDOW_S)
    block = sounds.pcm(without_pauses(3))
    most = 0
    for _ in range(40):
        for _cut in gate.feed(block):
            pass
        most = max(most, len(gate._frames), len(gate._levels), len(gate._active))
    assert most <= WINDOW_S * RATE_HZ / FRAME + 1
    assert len(gate._background) <= 750


def test_a_longer_pause_joins_sentences() -> None:
    together = cuts_of(sounds.seconds(0, 9), pause_s=1.5)
    apart = cuts_of(sounds.seconds(0, 9), pause_s=0.35)
    assert len(together) < len(apart)
