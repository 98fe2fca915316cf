"""One node's clinical side on real parts: database, blobs, vault, jobs; only the models are scripted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.care import dictations, notes
from appliance.care.intake import Upload
from appliance.care.model import Chunk, Dictation, Note
from appliance.care.service import Consults
from appliance.config.model import Dictation as Limits
from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.http import Principal
from appliance.records import repository
from appliance.security import signing, users
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.database import Database
from appliance.store.jobs import JobQueue
from appliance.telemetry.clock import SystemClock, instant
from tests.fakes import sounds
from tests.fakes.care_models import ScriptedAbilities, ScriptedChat, ScriptedSpeech, note_json

SCRIPT = (
    "Refere tosse seca há 3 dias.",
    "Nega febre.",
    "Pressão arterial 120 por 80.",
    "Dipirona 500 mg de 6 em 6 horas.",
)
NOTE = note_json(
    S=[("Refere tosse seca há 3 dias.", [1]), ("Nega febre.", [2])],
    O=[("PA 120/80 mmHg.", [3])],
    P=[("Dipirona 500 mg 6/6h.", [4])],
)
PATIENCE_S = 60.0


def physician(user_id: str, name: str = "ana") -> Principal:
    return Principal(
        user_id=user_id,
        username=name,
        role="physician",
        device_id="phone-1",
        session_id="session-1",
        permissions=frozenset({"dictation.write", "note.sign"}),
    )


@dataclass
class Ward:
    """A patient in an encounter, and everything that serves them."""

    store: Database
    blobs: BlobStore
    vault: Vault
    jobs: JobQueue
    consults: Consults
    abilities: ScriptedAbilities
    folder: Path
    patient: str
    encounter: str
    doctor: Principal

    async def open(self) -> Dictation:
        return await self.store.write(
            lambda tx: self.consults.open(
                tx, self.doctor, patient_id=self.patient, encounter_id=self.encounter, language="pt"
            )
        )

    async def send(self, dictation_id: str, sequence: int, data: bytes, *, user: str | None = None) -> Chunk:
        digest = hashlib.sha256(data).hexdigest()
        upload = Upload(dictation_id, user or self.doctor.user_id, sequence, digest, data)
        return await self.consults.intake.keep(upload, self.store.write)

    async def complete(self, dictation_id: str, total: int) -> Dictation:
        return await self.store.write(lambda tx: self.consults.complete(tx, dictation_id, self.doctor.user_id, total))

    async def dictated(self, recording: bytes | None = None) -> Dictation:
        """A completed dictation."""
        dictation = await self.open()
        await self.send(dictation.id, 0, recording or sounds.wav(1.0))
        return await self.complete(dictation.id, 1)

    async def until(self, dictation_id: str, *states: str) -> Dictation:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.dictation(dictation_id)
                if found.state in states:
                    return found
                await asyncio.sleep(0.02)

    async def dictation(self, dictation_id: str) -> Dictation:
        return await self.store.read(lambda q: dictations.get(q, dictation_id))

    async def drafted(self, recording: bytes | None = None) -> Note:
        """The draft note of a new dictation."""
        dictation = await self.dictated(recording)
        done = await self.until(dictation.id, "drafted", "failed", "no_speech")
        assert done.state == "drafted"
        assert done.note_id is not None
        return await self.note(done.note_id)

    async def note(self, note_id: str) -> Note:
        return await self.store.read(lambda q: notes.get(q, note_id))

    async def review(self, note: Note, *accept: str, who: str | None = None) -> Note:
        return await self.store.write(
            lambda tx: notes.review(
                tx,
                note.id,
                seen=str(note.version),
                accept=accept,
                reviewer=who or self.doctor.user_id,
                now=self.consults.now(),
            )
        )

    async def sign(self, note: Note, given: signing.Signature | None = None) -> Note:
        return await self.store.write(lambda tx: self.consults.sign(tx, note.id, self.doctor, given))

    async def signed(self) -> Note:
        note = await self.drafted()
        return await self.sign(await self.review(note))

    async def resource(self, resource_type: str, resource_id: str) -> dict[str, Any]:
        return await self.store.read(lambda q: repository.read(q, resource_type, resource_id))


@asynccontextmanager
async def ward_at(folder: Path, *, limits: Limits | None = None, running: bool = True) -> AsyncIterator[Ward]:
    """A ward below ``folder``; opening it again later finds what was there."""
    store = await Database.open(folder / "record.sqlite", StoreConfig(litestream=False))
    clock = SystemClock()
    blobs, vault, jobs = BlobStore(folder / "blobs"), Vault(bytes(32)), JobQueue(store, clock)
    abilities = ScriptedAbilities(ScriptedSpeech(SCRIPT), ScriptedChat([NOTE]))
    consults = Consults(
        store=store,
        blobs=blobs,
        vault=vault,
        abilities=abilities,
        jobs=jobs,
        clock=clock,
        limits=limits or Limits(),
        spool=folder / "spool",
    )
    try:
        doctor, patient, encounter = await store.write(lambda tx: _admit(tx, vault, instant(clock.now())))
        ward = Ward(store, blobs, vault, jobs, consults, abilities, folder, patient, encounter, doctor)
        if running:
            await jobs.start()
            await consults.start()
        yield ward
    finally:
        if running:
            await jobs.stop()
        await store.close()


def _admit(tx: Any, vault: Vault, now: str) -> tuple[Principal, str, str]:
    known = users.find_by_name(tx, "ana")
    user = known or users.create_user(tx, vault, username="ana", role="physician", display_name="Ana", now=now)
    doctor = physician(user.id)
    patient = repository.create(tx, {"resourceType": "Patient", "name": [{"family": "Silva"}]}, now=now)
    encounter = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient['id']}"},
    }
    return doctor, patient["id"], repository.create(tx, encounter, now=now)["id"]


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    async with ward_at(tmp_path) as made:
        yield made


@pytest.fixture
async def still_ward(tmp_path: Path) -> AsyncIterator[Ward]:
    """A ward whose jobs do not run."""
    async with ward_at(tmp_path, running=False) as made:
        yield made


Condition = Callable[[], bool]
