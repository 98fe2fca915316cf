"""A clinician who dictates over a line that breaks: the reference phone, the sample's sound in 100 ms frames, cuts on purpose."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection

from tests.fakes.phone import ReferencePhone
from tests.fakes.phone_dictation import LiveRecording
from tests.system import spoken

RATE_HZ: Final = 16_000
FRAME_BYTES: Final = RATE_HZ * 2 // 10
FRAMES_A_SECOND: Final = 10
HEADER_BYTES: Final = 44
GUESS_PATIENCE_S: Final = 6.0
FINAL_PATIENCE_S: Final = 90.0
VISIT_CLASS: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}


def wav(samples: NDArray[np.float32]) -> bytes:
    """16 kHz mono 16-bit, the form that is heard live."""
    out = io.BytesIO()
    soundfile.write(out, samples, RATE_HZ, format="WAV", subtype="PCM_16")
    return out.getvalue()


def sample_wav(name: str) -> bytes:
    """A sample consult in that form."""
    samples, rate = soundfile.read(io.BytesIO(spoken.recording(name)), dtype="int16")
    assert rate == RATE_HZ
    return wav(samples)


def frames(data: bytes) -> list[bytes]:
    """A WAV as a microphone gives it: its header with the first, then 100 ms of samples at a time."""
    cuts = [0, *range(HEADER_BYTES + FRAME_BYTES, len(data), FRAME_BYTES), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


async def open_dictation(phone: ReferencePhone) -> str:
    """A new dictation of a new patient; its id."""
    patient = await phone.create({"resourceType": "Patient", "name": [{"family": "Vivo"}]})
    subject = {"reference": f"Patient/{patient['id']}"}
    visit = {"resourceType": "Encounter", "status": "in-progress", "class": VISIT_CLASS, "subject": subject}
    encounter = await phone.create(visit)
    opened = await phone.post("/api/dictations", {"patient": patient["id"], "encounter": encounter["id"]})
    return str(opened["id"])


async def until_ended(phone: ReferencePhone, dictation: str) -> dict[str, Any]:
    """Follow a completed dictation to its end; its state then."""
    async for _event, _data in phone.events(dictation):
        pass  # the stream ends with the draft, or with the reason why there is none
    found: dict[str, Any] = await phone.get(f"/api/dictations/{dictation}")
    return found


@dataclass(frozen=True)
class Told:
    """A final segment as it was told, on whichever connection."""

    number: int
    start: float
    end: float
    text: str


class CutRecording(LiveRecording):
    """Breaks the connection after every ``every`` frames, in the middle of a chunk; waits for live text before it ends.

    ``listen_at`` are frames in the middle of sentences: there it stops speaking until it was told a guess, once.
    """

    def __init__(
        self,
        phone: ReferencePhone,
        dictation: str,
        pieces: Sequence[bytes],
        *,
        every: int = 0,
        listen_at: frozenset[int] = frozenset(),
        finals: int = 0,
    ) -> None:
        super().__init__(phone, dictation, pieces)
        self._every = every
        self._listen_at = listen_at
        self._finals = finals
        self._broken: set[int] = set()
        self.window = 5
        self.live: list[Told] = []
        """Final segments that came while the recording was open."""

    def finals(self) -> dict[int, set[Told]]:
        """Everything that was told as final, by number: more than one text for a number would be a broken promise."""
        found: dict[int, set[Told]] = {}
        for event in self.told:
            if event["event"] == "segment":
                told = Told(event["number"], event["start"], event["end"], event["text"])
                found.setdefault(told.number, set()).add(told)
        return found

    def guesses(self) -> list[dict[str, Any]]:
        return [event for event in self.told if event["event"] == "partial"]

    async def _send_one(self, line: ClientConnection, sequence: int) -> None:
        if self._every and sequence and sequence % self._every == 0 and sequence not in self._broken:
            self._broken.add(sequence)
            piece = self._pieces[sequence]
            digest = hashlib.sha256(piece).hexdigest()
            await line.send(json.dumps({"sequence": sequence, "sha256": digest, "size": len(piece)}))
            if len(self._broken) % 2:  # every other time the chunk itself goes out too, and its answer is lost
                await line.send(piece)
            line.transport.abort()
            raise ConnectionResetError
        await super()._send_one(line, sequence)
        if sequence in self._listen_at and not self.guesses():
            while self._unanswered:
                await self._acknowledged(line)
            await self._wait(line, lambda: bool(self.guesses()), GUESS_PATIENCE_S)

    async def _complete(self, line: ClientConnection) -> bool:
        await self._wait(line, lambda: len(self.finals()) >= self._finals, FINAL_PATIENCE_S)
        self.live = sorted((told for texts in self.finals().values() for told in texts), key=lambda told: told.number)
        return await super()._complete(line)

    async def _wait(self, line: ClientConnection, condition: Any, patience_s: float) -> None:
        try:
            async with asyncio.timeout(patience_s):
                while not condition():
                    await self.hear(line)
        except TimeoutError:
            pass  # the test says what is missing
