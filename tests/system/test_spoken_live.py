"""A consult streamed while it is spoken: 100 ms frames over the dictation's WebSocket, to the same words and facts."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import soundfile

from tests.conftest import RunningNode
from tests.fakes.phone import ReferencePhone
from tests.fakes.phone_dictation import LiveRecording
from tests.system import spoken
from tests.system.wer import word_error_rate

pytestmark = pytest.mark.timeout(600)
NAME = spoken.NAMES[1]
RATE_HZ = 16_000
FRAME_BYTES = RATE_HZ * 2 // 10
HEADER_BYTES = 44
VISIT_CLASS = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}


@dataclass
class Streamed:
    """What came of the live dictation."""

    live: LiveRecording
    frames: list[bytes]
    transcript: dict[str, Any]
    note: dict[str, Any]


def frames() -> list[bytes]:
    """The sample as a microphone gives it: a WAV header, then 100 ms of samples at a time."""
    samples, rate = soundfile.read(io.BytesIO(spoken.recording(NAME)), dtype="int16")
    assert rate == RATE_HZ
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
    data = wav.getvalue()
    cuts = [0, *range(HEADER_BYTES + FRAME_BYTES, len(data), FRAME_BYTES), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


async def dictate(phone: ReferencePhone) -> Streamed:
    patient = await phone.create({"resourceType": "Patient", "name": [{"family": "Vivo"}]})
    subject = {"reference": f"Patient/{patient['id']}"}
    visit = {"resourceType": "Encounter", "status": "in-progress", "class": VISIT_CLASS, "subject": subject}
    encounter = await phone.create(visit)
    opened = await phone.post("/api/dictations", {"patient": patient["id"], "encounter": encounter["id"]})
    pieces = frames()
    live = LiveRecording(phone, opened["id"], pieces)
    await live.send()
    async for _event, _data in phone.events(opened["id"]):
        pass  # the stream ends with the draft
    state = await phone.get(f"/api/dictations/{opened['id']}")
    transcript = await phone.get(f"/api/dictations/{opened['id']}/transcript")
    return Streamed(live, pieces, transcript, await phone.get(f"/api/notes/{state['note_id']}"))


async def test_a_consult_streamed_in_frames_gives_its_words_facts_and_sources(running_node: RunningNode) -> None:
    phone = ReferencePhone(running_node.client_json("physician", "dra.viva"), seed=7)
    try:
        streamed = await dictate(phone)
    finally:
        await phone.close()
    assert len(streamed.frames) > 200
    assert streamed.live.connections == 1
    assert streamed.live.acknowledged == set(range(len(streamed.frames)))
    said = " ".join(segment["text"] for segment in streamed.transcript["segments"])
    assert word_error_rate(spoken.gold(NAME).text, said) <= spoken.WORST_WER
    assert spoken.note_facts(streamed.note) == spoken.gold_facts(NAME)
    cited = {number for numbers in spoken.note_sentences(streamed.note).values() for number in numbers}
    assert cited == {line.number for line in spoken.gold(NAME).transcript}
    assert streamed.note["ai"]["demonstration_model"] is True
