"""One consult by the reference phone, recorded live, and the audit of it: all that was acknowledged is there, once.

The consult is the sample one in 100 ms frames over the dictation's WebSocket. Chaos runs and system tests let nodes die
meanwhile; ``audit`` then reads everything back and says in words what is missing or there twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import soundfile

from appliance.daemon.demo.phone import FHIR, RefusedError
from tests.fakes.phone import Heard, ReferencePhone
from tests.fakes.phone_dictation import LiveRecording

RATE_HZ: Final = 16_000
FRAME_BYTES: Final = RATE_HZ * 2 // 10
HEADER_BYTES: Final = 44
MARKS: Final = "urn:prontuario:consult"
VISIT_CLASS: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
ENDED: Final = frozenset({"drafted", "no_speech", "failed"})
PAGE: Final = "200"
Step = Callable[[str], Awaitable[None]]
"""Awaited with the stage's name (``patient``, ``recording``, ``drafting``, ``signing``) before each step and each frame."""


def frames(recording: bytes) -> list[bytes]:
    """A 16 kHz sound file as a microphone gives it: a WAV header, then 100 ms of samples at a time."""
    samples, rate = soundfile.read(io.BytesIO(recording), dtype="int16")
    if rate != RATE_HZ:
        raise ValueError(rate)
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate, format="WAV", subtype="PCM_16")
    data = wav.getvalue()
    cuts = [0, *range(HEADER_BYTES + FRAME_BYTES, len(data), FRAME_BYTES), len(data)]
    return [data[start:end] for start, end in pairwise(cuts)]


@dataclass
class LiveConsult:
    """What the service acknowledged of one consult. ``mark`` identifies its patient: nobody else's may have it."""

    mark: str
    pieces: Sequence[bytes]
    patient: str = ""
    encounter: str = ""
    dictation: str = ""
    note: dict[str, Any] = field(default_factory=dict)
    live: LiveRecording | None = None
    heard: list[Heard] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        """Writes that were answered with success, frames of the recording among them."""
        calls = sum(one.method != "GET" and one.status < 400 for one in self.heard)
        return calls + (len(self.live.acknowledged) if self.live is not None else 0)

    async def take(self, phone: ReferencePhone, step: Step) -> None:
        """Patient, encounter, recording, draft, review, signature. ``phone`` must tell its answers to ``heard``.

        Raises:
            RefusedError, SilentError: the service refused, or was away for longer than the phone's patience.
        """
        await step("patient")
        mark = {"system": MARKS, "value": self.mark}
        family = {"family": f"Consulta {self.mark}"}
        self.patient = (await phone.create({"resourceType": "Patient", "identifier": [mark], "name": [family]}))["id"]
        await step("patient")
        subject = {"reference": f"Patient/{self.patient}"}
        visit = {"resourceType": "Encounter", "status": "in-progress", "class": VISIT_CLASS, "subject": subject}
        self.encounter = (await phone.create(visit))["id"]
        await step("recording")
        opened = await phone.post("/api/dictations", {"patient": self.patient, "encounter": self.encounter})
        self.dictation = opened["id"]
        self.live = LiveRecording(phone, self.dictation, self.pieces)
        await self.live.send(pace=lambda: step("recording"), patience_s=180.0)
        await step("drafting")
        await self._sign(phone, await self._draft(phone), step)

    async def _draft(self, phone: ReferencePhone) -> str:
        path = f"/api/dictations/{self.dictation}"
        while (state := await phone.get(path))["state"] not in ENDED:
            async for _event, _data in phone.events(self.dictation):
                pass  # the stream ends with the draft, over any number of connections
            await asyncio.sleep(0.1)
        if state["state"] != "drafted":
            raise RefusedError(0, state.get("problem") or {"code": state["state"]})
        return str(state["note_id"])

    async def _sign(self, phone: ReferencePhone, note_id: str, step: Step) -> None:
        path = f"/api/notes/{note_id}"
        await step("signing")
        draft = await phone.get(path)
        seen = {"If-Match": f'"{draft["version"]}"'}
        await phone.post(f"{path}/review", {"accept": draft["unresolved"]}, seen)
        await step("signing")
        self.note = await phone.post(f"{path}/sign", {})


async def audit(phone: ReferencePhone, taken: LiveConsult) -> list[str]:
    """What is missing of a consult that was taken, or is there more than once, in words; empty: all is well."""
    about = f"Patient/{taken.patient}"
    expected = {
        "patients": ({taken.patient}, await _found(phone, "Patient", identifier=f"{MARKS}|{taken.mark}")),
        "encounters": ({taken.encounter}, await _found(phone, "Encounter", patient=taken.patient)),
        "dictations": ({taken.dictation}, _ids(await phone.get("/api/dictations", patient=about), "dictations")),
        "notes": ({taken.note["id"]}, _ids(await phone.get("/api/notes", patient=about), "notes")),
        "documents": ({taken.note["composition"]}, await _found(phone, "Composition", patient=taken.patient)),
    }
    wrong = [
        f"{name}: acknowledged {sorted(acknowledged)}, there are {there}"
        for name, (acknowledged, there) in expected.items()
        if sorted(acknowledged) != sorted(there)
    ]
    return wrong + await _audit_sound(phone, taken) + await _audit_note(phone, taken)


async def _audit_sound(phone: ReferencePhone, taken: LiveConsult) -> list[str]:
    assert taken.live is not None, "the consult was not taken"
    wrong = [f"acknowledged frames were asked for again: {sorted(taken.live.lost)}"] if taken.live.lost else []
    if unacknowledged := set(range(len(taken.pieces))) - taken.live.acknowledged:
        # A frame whose acknowledgement was lost on its way is there all the same: the phone learns it by asking.
        missing = await phone.get(f"/api/dictations/{taken.dictation}/missing", total=str(len(taken.pieces)))
        wrong += [f"frame {number} is missing" for number in unacknowledged & set(missing["missing"])]
    kept, sent = await phone.raw(f"/api/dictations/{taken.dictation}/audio"), b"".join(taken.pieces)
    if hashlib.sha256(kept).digest() != hashlib.sha256(sent).digest():
        wrong.append(f"the recording has {len(kept)} bytes, sent were {len(sent)}")
    return wrong


async def _audit_note(phone: ReferencePhone, taken: LiveConsult) -> list[str]:
    path = f"/api/notes/{taken.note['id']}"
    note, verification = await phone.get(path), await phone.get(f"{path}/verification")
    wrong = (
        [] if note["state"] == "signed" and verification["valid"] else [f"the note is {note['state']}: {verification}"]
    )
    if note["version"] != taken.note["version"]:
        wrong.append(f"the note was signed in version {taken.note['version']} and is in {note['version']}")
    return wrong


async def _found(phone: ReferencePhone, kind: str, **query: str) -> list[str]:
    bundle = await phone.get(f"{FHIR}/{kind}", _count=PAGE, **query)
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["resource"]["resourceType"] == kind]


def _ids(listed: dict[str, Any], name: str) -> list[str]:
    return [one["id"] for one in listed[name]]
