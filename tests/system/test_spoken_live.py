"""A consult streamed while it is spoken: 100 ms frames over the dictation's WebSocket, whole and cut every 5 s."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import RunningNode
from tests.fakes.phone import ReferencePhone
from tests.plugins import sounds
from tests.system import spoken
from tests.system.live_line import (
    FRAMES_A_SECOND,
    CutRecording,
    Told,
    frames,
    open_dictation,
    sample_wav,
    until_ended,
    wav,
)
from tests.system.wer import word_error_rate

pytestmark = pytest.mark.timeout(600)
NAME = spoken.NAMES[1]
CUT_EVERY = 5 * FRAMES_A_SECOND
INTO_A_SENTENCE_S = 2.2
NOBODY_SPEAKS = {
    "silence": sounds.white(4, 0.0003),
    "tone": sounds.tone(4),
    "white noise": sounds.white(4),
    "music": sounds.music(4),
}


def told(transcript: dict[str, Any]) -> list[Told]:
    """Its segments; a batch of other neighbours changes a confidence in the seventh digit."""
    return [Told(one["number"], one["start"], one["end"], one["text"]) for one in transcript["segments"]]


@dataclass
class Streamed:
    """What came of a live dictation."""

    line: CutRecording
    transcript: dict[str, Any]
    note: dict[str, Any]


async def dictate(phone: ReferencePhone, *, every: int) -> Streamed:
    gold = spoken.gold(NAME)
    long = [line for line in gold.transcript if line.end - line.start > INTO_A_SENTENCE_S + 0.5]
    middles = frozenset(int((line.start + INTO_A_SENTENCE_S) * FRAMES_A_SECOND) for line in long)
    dictation = await open_dictation(phone)
    pieces = frames(sample_wav(NAME))
    finals = len(gold.transcript) - 1  # the last ends with the recording
    line = CutRecording(phone, dictation, pieces, every=every, listen_at=middles, finals=finals)
    await line.send()
    state = await until_ended(phone, dictation)
    transcript = await phone.get(f"/api/dictations/{dictation}/transcript")
    return Streamed(line, transcript, await phone.get(f"/api/notes/{state['note_id']}"))


@pytest.fixture(scope="session")
def whole_and_cut(running_node: RunningNode) -> tuple[Streamed, Streamed]:
    """The same consult spoken twice at the same time: over one connection, and over one that breaks every 5 s."""

    async def run(user: str, every: int) -> Streamed:
        phone = ReferencePhone(clients[user], seed=7)
        try:
            return await dictate(phone, every=every)
        finally:
            await phone.close()

    async def both() -> tuple[Streamed, Streamed]:
        await spoken.until_it_hears(running_node)
        whole, cut = await asyncio.gather(run("dra.viva", 0), run("dr.cortado", CUT_EVERY))
        return whole, cut

    clients = {user: running_node.client_json("physician", user) for user in ("dra.viva", "dr.cortado")}
    return asyncio.run(both())


def test_a_consult_streamed_in_frames_gives_its_words_facts_and_sources(
    whole_and_cut: tuple[Streamed, Streamed],
) -> None:
    whole, _ = whole_and_cut
    count = len(frames(sample_wav(NAME)))
    assert count > 200
    assert whole.line.connections == 1
    assert whole.line.acknowledged == set(range(count))
    said = " ".join(segment["text"] for segment in whole.transcript["segments"])
    assert word_error_rate(spoken.gold(NAME).text, said) <= spoken.WORST_WER
    assert spoken.note_facts(whole.note) == spoken.gold_facts(NAME)
    cited = {number for numbers in spoken.note_sentences(whole.note).values() for number in numbers}
    assert cited == {line.number for line in spoken.gold(NAME).transcript}
    assert whole.note["ai"]["demonstration_model"] is True


def test_cut_every_5_s_the_transcript_is_the_same(whole_and_cut: tuple[Streamed, Streamed]) -> None:
    whole, cut = whole_and_cut
    count = len(frames(sample_wav(NAME)))
    assert cut.line.connections == 1 + (count - 1) // CUT_EVERY
    assert cut.line.lost == set()
    assert told(cut.transcript) == told(whole.transcript)
    assert cut.transcript["sha256"] == whole.transcript["sha256"]
    assert cut.transcript["audio_s"] == whole.transcript["audio_s"]


@pytest.mark.parametrize("which", ["whole", "cut"])
def test_final_words_come_while_speaking_and_never_change(whole_and_cut: tuple[Streamed, Streamed], which: str) -> None:
    streamed = whole_and_cut[which == "cut"]
    written = told(streamed.transcript)
    assert len(streamed.line.live) >= len(written) - 1
    assert streamed.line.live == written[: len(streamed.line.live)]
    assert all(len(texts) == 1 for texts in streamed.line.finals().values())


@pytest.mark.parametrize("which", ["whole", "cut"])
def test_guesses_come_in_between_and_say_that_they_are_guesses(
    whole_and_cut: tuple[Streamed, Streamed], which: str
) -> None:
    streamed = whole_and_cut[which == "cut"]
    assert streamed.line.guesses()
    for guess in streamed.line.guesses():
        assert guess["final"] is False
        assert guess["text"]
        assert 0 <= guess["start"] < guess["end"] <= streamed.transcript["audio_s"]


@pytest.fixture(scope="session")
def unspoken(running_node: RunningNode) -> dict[str, tuple[CutRecording, dict[str, Any]]]:
    """Sounds in which nobody speaks, each streamed live as a dictation."""

    async def one(phone: ReferencePhone, sound: sounds.Sound) -> tuple[CutRecording, dict[str, Any]]:
        dictation = await open_dictation(phone)
        line = CutRecording(phone, dictation, frames(wav(sound)))
        await line.send()
        return line, await until_ended(phone, dictation)

    async def all_of_them() -> dict[str, tuple[CutRecording, dict[str, Any]]]:
        phone = ReferencePhone(client, seed=8)
        try:
            ended = await asyncio.gather(*(one(phone, sound) for sound in NOBODY_SPEAKS.values()))
        finally:
            await phone.close()
        return dict(zip(NOBODY_SPEAKS, ended, strict=True))

    client = running_node.client_json("physician", "dra.muda")
    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", sorted(NOBODY_SPEAKS))
def test_a_live_dictation_in_which_nobody_speaks_has_no_text(
    unspoken: dict[str, tuple[CutRecording, dict[str, Any]]], name: str
) -> None:
    line, ended = unspoken[name]
    assert (ended["state"], ended["no_speech"], ended["segments"], ended["note_id"]) == ("no_speech", True, 0, None)
    assert ended["problem"]["code"] == "transcript.no_speech"
    assert line.finals() == {}
    assert line.guesses() == []


@pytest.mark.parametrize("name", sorted(NOBODY_SPEAKS))
@pytest.mark.parametrize("form", ["json", "verbose_json", "text"])
def test_over_http_it_has_no_text_either(running_node: RunningNode, name: str, form: str) -> None:
    with running_node.http("physician") as http:
        files = {"file": ("a.wav", wav(NOBODY_SPEAKS[name]), "audio/wav")}
        reply = http.post("/v1/audio/transcriptions", files=files, data={"response_format": form})
    assert reply.status_code == 200
    if form == "text":
        assert (reply.text.strip(), reply.headers["x-no-speech"]) == ("", "true")
    else:
        assert (reply.json()["text"], reply.json()["no_speech"]) == ("", True)
        assert reply.json().get("segments", []) == []


def test_speech_over_http_is_not_called_silence(running_node: RunningNode) -> None:
    with running_node.http("physician") as http:
        files = {"file": ("a.flac", spoken.recording(NAME), "audio/flac")}
        reply = http.post("/v1/audio/transcriptions", files=files).json()
    assert reply["no_speech"] is False
    assert word_error_rate(spoken.gold(NAME).text, reply["text"]) <= spoken.WORST_WER
