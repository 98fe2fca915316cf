"""One consult as a phone takes it: patient, encounter, chunks, transcript, draft, review, signature.

Works through a restart of core at any moment: calls are repeated with their key, missing chunks are asked for and sent
again, and progress is read anew.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import msgspec

from appliance.care.note_schema import DraftFact
from appliance.daemon.demo.phone import Phone, RefusedError, chunks

Report = Callable[[str, str], None]
"""(stage, sentence): called as the consult goes on."""
ENDED: Final = frozenset({"drafted", "no_speech", "failed"})
RECONNECT_PAUSE_S: Final = 0.3


@dataclass
class Consult:
    """What came of it; ids of the record's resources."""

    patient: str
    encounter: str
    dictation: str = ""
    transcript: dict[str, Any] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)
    verification: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The transcript in one line."""
        return " ".join(segment["text"].strip() for segment in self.transcript["segments"])

    @property
    def facts(self) -> list[DraftFact]:
        """The note's facts, as values."""
        return msgspec.convert(self.note["facts"], list[DraftFact])


class ConsultFailedError(Exception):
    """The dictation ended in a state from which there is no note."""


async def take_consult(
    phone: Phone, audio: bytes, report: Report, *, pace: Callable[[], Awaitable[None]] | None = None
) -> Consult:
    """Dictate ``audio`` for a new patient and sign the note.

    ``pace`` is awaited before each step and chunk; the chaos run slows and counts with it.
    """
    consult = await _arrive(phone)
    report("patient", f"Patient/{consult.patient}, Encounter/{consult.encounter}")
    await _dictate(phone, consult, audio, report, pace)
    await _follow(phone, consult.dictation, report)
    consult.transcript = await phone.get(f"/api/dictations/{consult.dictation}/transcript")
    report("transcript", f"{len(consult.transcript['segments'])} segments")
    state = await phone.get(f"/api/dictations/{consult.dictation}")
    consult.note = await phone.get(f"/api/notes/{state['note_id']}")
    report("draft", f"Note {state['note_id']}")
    await _sign(phone, consult, pace)
    report("signed", f"Note {state['note_id']}, version {consult.note['version']}")
    return consult


async def _arrive(phone: Phone) -> Consult:
    patient = await phone.create(
        {
            "resourceType": "Patient",
            "active": True,
            "name": [{"use": "official", "family": "Amostra", "given": ["Maria"]}],
            "gender": "female",
            "birthDate": "1968-03-14",
        }
    )
    encounter = await phone.create(
        {
            "resourceType": "Encounter",
            "status": "in-progress",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": f"Patient/{patient['id']}"},
        }
    )
    return Consult(patient["id"], encounter["id"])


async def _dictate(
    phone: Phone, consult: Consult, audio: bytes, report: Report, pace: Callable[[], Awaitable[None]] | None
) -> None:
    opened = await phone.post("/api/dictations", {"patient": consult.patient, "encounter": consult.encounter})
    consult.dictation = opened["id"]
    pieces = chunks(audio)
    for sequence, piece in enumerate(pieces):
        if pace:
            await pace()
        await phone.send_chunk(consult.dictation, sequence, piece)
        report("chunk", f"{sequence + 1}/{len(pieces)}")
    whole = {"total_chunks": len(pieces), "sha256": hashlib.sha256(audio).hexdigest()}
    for _ in range(len(pieces)):
        try:
            await phone.post(f"/api/dictations/{consult.dictation}/complete", whole)
        except RefusedError as error:
            if error.problem.get("code") != "dictation.gap":
                raise
            for sequence in error.problem.get("missing", []):
                await phone.send_chunk(consult.dictation, sequence, pieces[sequence])
        else:
            break
    report("complete", f"{len(audio)} bytes in {len(pieces)} chunks")


async def _follow(phone: Phone, dictation: str, report: Report) -> None:
    """Wait for the draft; the stream tells progress, the state decides."""
    while (state := await phone.get(f"/api/dictations/{dictation}"))["state"] not in ENDED:
        try:
            async for event, data in phone.events(dictation):
                report("progress", _told(event, data))
        except httpx.HTTPError:
            await asyncio.sleep(RECONNECT_PAUSE_S)
    if state["state"] != "drafted":
        problem = state.get("problem") or {}
        raise ConsultFailedError(
            f"dictation {dictation} is {state['state']}: {problem.get('detail')} {problem.get('next_step')}"
        )


async def _sign(phone: Phone, consult: Consult, pace: Callable[[], Awaitable[None]] | None) -> None:
    path = f"/api/notes/{consult.note['id']}"
    if pace:
        await pace()
    # What the guard could not find in the speech stays marked; here a person lets it stand, by name.
    seen = {"If-Match": f'"{consult.note["version"]}"'}
    await phone.post(f"{path}/review", {"accept": consult.note["unresolved"]}, seen)
    if pace:
        await pace()
    consult.note = await phone.post(f"{path}/sign", {})
    consult.verification = await phone.get(f"{path}/verification")


def _told(event: str, data: Mapping[str, Any]) -> str:
    if event == "segment":
        return f"heard segment {data.get('number')}"
    return f"{event} {data.get('state', '')}".strip()
