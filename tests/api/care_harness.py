"""The clinical routes behind the real API: TLS, audit, idempotency; only the models are scripted."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from appliance.api import care
from appliance.care.service import Consults
from appliance.config.model import Dictation as Limits
from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository
from appliance.security.vault import Vault
from appliance.store.blobs import BlobStore
from appliance.store.database import Database
from appliance.store.jobs import JobQueue
from appliance.telemetry.clock import SystemClock
from tests.api.harness import ApiUnderTest, Phone, api_under_test
from tests.fakes import sounds
from tests.fakes.care_models import ScriptedAbilities, ScriptedChat, ScriptedSpeech
from tests.unit.care.conftest import NOTE, SCRIPT

T = TypeVar("T")
PATIENCE_S = 60.0


class LateStore:
    """Stands for the database that the API's harness opens after the routes are made."""

    real: Database

    async def write(self, change: Callable[[Transaction], T]) -> T:
        return await self.real.write(change)

    async def read(self, query: Callable[[Query], T]) -> T:
        return await self.real.read(query)


@dataclass
class Clinic:
    api: ApiUnderTest
    consults: Consults
    abilities: ScriptedAbilities
    doctor: Phone
    patient: str
    encounter: str

    def client(self, phone: Phone | None = None) -> httpx.AsyncClient:
        return self.api.client(phone or self.doctor)

    async def opened(self, client: httpx.AsyncClient) -> str:
        body = {"patient": f"Patient/{self.patient}", "encounter": f"Encounter/{self.encounter}"}
        answer = await client.post("/api/dictations", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def drafted(self, client: httpx.AsyncClient) -> str:
        """The id of the draft note of a new dictation."""
        dictation = await self.opened(client)
        await put_chunk(client, dictation, 0, sounds.wav(0.5))
        answer = await client.post(f"/api/dictations/{dictation}/complete", json={"total_chunks": 1})
        assert answer.status_code == 202, answer.text
        return str((await until(client, dictation, "drafted"))["note_id"])

    async def signed(self, client: httpx.AsyncClient) -> str:
        note = await self.drafted(client)
        reviewed = await client.post(f"/api/notes/{note}/review", json={}, headers={"If-Match": '"1"'})
        assert reviewed.status_code == 200, reviewed.text
        answer = await client.post(f"/api/notes/{note}/sign", json={})
        assert answer.status_code == 200, answer.text
        return note


async def put_chunk(
    client: httpx.AsyncClient, dictation: str, sequence: int, data: bytes, **headers: str
) -> httpx.Response:
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    told = headers or {"Content-Digest": f"sha-256=:{digest}:"}
    return await client.put(f"/api/dictations/{dictation}/chunks/{sequence}", content=data, headers=told)


async def until(client: httpx.AsyncClient, dictation: str, *states: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await client.get(f"/api/dictations/{dictation}")
            found: dict[str, Any] = answer.json()
            if found["state"] in states:
                return found
            await asyncio.sleep(0.05)


@asynccontextmanager
async def clinic_at(folder: Path, *, limits: Limits | None = None, **options: Any) -> AsyncIterator[Clinic]:
    """A served clinic with one physician, one patient and one encounter."""
    store, clock = LateStore(), SystemClock()
    jobs = JobQueue(store, clock)
    abilities = ScriptedAbilities(ScriptedSpeech(SCRIPT), ScriptedChat([NOTE]))
    consults = Consults(
        store=store,
        blobs=BlobStore(folder / "blobs"),
        vault=Vault(bytes(32)),
        abilities=abilities,
        jobs=jobs,
        clock=clock,
        limits=limits or Limits(),
        spool=folder / "spool",
    )
    async with api_under_test(folder, care.routes(consults), **options) as api:
        store.real = api.store
        await jobs.start()
        await consults.start()
        try:
            patient = await api.store.write(lambda tx: _patient(tx, consults.now()))
            encounter = await api.store.write(lambda tx: _encounter(tx, patient, consults.now()))
            yield Clinic(api, consults, abilities, await api.phone("physician"), patient, encounter)
        finally:
            await consults.stop()
            await jobs.stop()


def _patient(tx: Transaction, now: str) -> str:
    return str(repository.create(tx, {"resourceType": "Patient", "name": [{"family": "Silva"}]}, now=now)["id"])


def _encounter(tx: Transaction, patient: str, now: str) -> str:
    resource = {
        "resourceType": "Encounter",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient}"},
    }
    return str(repository.create(tx, resource, now=now)["id"])
