"""Reads and writes of the record as a phone makes them during a day, and the ledger of what was acknowledged.

The mix is of a phone's requests (see ``READS`` and ``WRITES``); each is made at a moment drawn beforehand, whether or not the one
before it has been answered.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.daemon.demo.phone import FHIR
from bench.soak_phone import SoakPhone

MARKS: Final = "urn:prontuario:soak"
VISIT: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
CODES: Final = {"8867-4": "Heart rate", "9279-1": "Respiratory rate", "8310-5": "Body temperature", "2708-6": "Oxygen"}
FAMILIES: Final = ("Silva", "Souza", "Costa", "Santos", "Oliveira", "Pereira", "Lima", "Carvalho", "Ribeiro", "Almeida")
READS: Final = {
    "read a patient": 40,
    "read a measurement": 12,
    "search measurements": 30,
    "search a name": 6,
    "list notes": 5,
    "read a note": 5,
    "everything of a patient": 2,
}
"""Of a hundred reads."""
WRITES: Final = {"write a measurement": 75, "write a visit": 15, "change a patient": 10}
"""Of a hundred writes."""
_numbers = itertools.count(1)


@dataclass
class Recording:
    """A dictation that was acknowledged in full."""

    dictation: str
    sha256: str
    note: str
    version: int


@dataclass
class Ledger:
    """What the node acknowledged. A resource is known by the number that its ``identifier`` carries."""

    resources: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """By (type, patient): id → mark."""
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    """By patient: version → mark."""
    recordings: list[Recording] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    """(image, SHA-256 of the file)."""

    def kept(self, stored: dict[str, Any], patient: str) -> None:
        """A resource was acknowledged."""
        self.resources.setdefault((stored["resourceType"], patient), {})[stored["id"]] = mark_of(stored)

    @property
    def writes(self) -> int:
        """Acknowledged in all; a recording and its note count as one each."""
        rows = [*self.resources.values(), *self.versions.values()]
        return sum(map(len, rows)) + 2 * len(self.recordings) + len(self.pictures)


def mark_of(resource: dict[str, Any]) -> str:
    """The number that a resource was given here."""
    return next((one["value"] for one in resource.get("identifier", ()) if one.get("system") == MARKS), "")


def identifier() -> list[dict[str, str]]:
    """One that no other resource has."""
    return [{"system": MARKS, "value": str(next(_numbers))}]


@dataclass
class Person:
    """A clinician, their phone and the patient before them."""

    phone: SoakPhone
    ledger: Ledger
    rng: random.Random
    patient: str = ""
    shown: dict[str, Any] = field(default_factory=dict)
    """The patient as this phone last saw it."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def arrive(self) -> None:
        """The patient of the day, whose first measurements are known."""
        name = {"family": self.rng.choice(FAMILIES), "given": ["Ana"], "text": f"Paciente de {self.phone.user}"}
        person = {
            "resourceType": "Patient",
            "active": True,
            "name": [name],
            "gender": "female",
            "birthDate": "1971-05-17",
        }
        self.shown = await self.phone.create({**person, "identifier": identifier()})
        self.patient = self.shown["id"]
        self._noted(self.shown)
        for _ in range(3):
            await self.measure()

    async def measure(self) -> None:
        """Write an Observation."""
        code = self.rng.choice(list(CODES))
        stored = await self.phone.create({
            "resourceType": "Observation",
            "status": "final",
            "identifier": identifier(),
            "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": CODES[code]}]},
            "subject": {"reference": f"Patient/{self.patient}"},
            "effectiveDateTime": "2026-11-20T10:12:13Z",
            "valueQuantity": {"value": self.rng.randint(12, 99), "unit": "1/min"},
        })  # fmt: skip
        self.ledger.kept(stored, self.patient)

    async def visit(self) -> str:
        """Write an Encounter; its id."""
        subject = {"reference": f"Patient/{self.patient}"}
        stored = await self.phone.create(
            {
                "resourceType": "Encounter",
                "status": "in-progress",
                "class": VISIT,
                "subject": subject,
                "identifier": identifier(),
            }
        )
        self.ledger.kept(stored, self.patient)
        return str(stored["id"])

    async def change(self) -> None:
        """Give the patient another number to call; a change that is under way is not overtaken."""
        if self.changing.locked():
            await self.measure()
            return
        async with self.changing:
            phone_number = f"+55 11 9{self.rng.randint(10**7, 10**8 - 1)}"
            changed = {
                **self.shown,
                "identifier": identifier(),
                "telecom": [{"system": "phone", "value": phone_number}],
            }
            version = self.shown["meta"]["versionId"]
            self.shown = await self.phone.put(f"{FHIR}/Patient/{self.patient}", changed, version)
            self._noted(self.shown)

    def _noted(self, stored: dict[str, Any]) -> None:
        self.ledger.versions.setdefault(self.patient, {})[stored["meta"]["versionId"]] = mark_of(stored)


class Readings:
    """What people look up. ``everyone``: any of the patients may be asked for."""

    def __init__(self, everyone: list[Person], ledger: Ledger) -> None:
        self._everyone, self._ledger = everyone, ledger

    def choose(self, person: Person) -> tuple[str, Callable[[], Awaitable[object]]]:
        """(name, the call) of the next read; a note is read once there is one."""
        (name,) = person.rng.choices(list(READS), list(READS.values()))
        if name == "read a note" and not self._ledger.recordings:
            name = "list notes"
        patient = person.patient if person.rng.random() < 0.5 else person.rng.choice(self._everyone).patient
        path, query = self._where(person.rng, name, patient)
        return name, lambda: person.phone.get(path, **query)

    def _where(self, rng: random.Random, name: str, patient: str) -> tuple[str, dict[str, str]]:
        """(path, query)."""
        found: tuple[str, dict[str, str]]
        match name:
            case "read a measurement":
                known = list(self._ledger.resources["Observation", patient])
                found = f"{FHIR}/Observation/{rng.choice(known)}", {}
            case "search measurements":
                code = f"http://loinc.org|{rng.choice(list(CODES))}"
                found = f"{FHIR}/Observation", {"patient": patient, "code": code, "_sort": "-date", "_count": "20"}
            case "search a name":
                found = f"{FHIR}/Patient", {"family": rng.choice(FAMILIES), "_count": "20"}
            case "list notes":
                found = "/api/notes", {"patient": f"Patient/{patient}"}
            case "read a note":
                found = f"/api/notes/{rng.choice(self._ledger.recordings).note}", {}
            case "everything of a patient":
                found = f"{FHIR}/Patient/{patient}/$everything", {"_count": "50"}
            case _:
                found = f"{FHIR}/Patient/{patient}", {}
        return found


def choose_write(person: Person) -> tuple[str, Callable[[], Awaitable[object]]]:
    """(name, the call) of the next write."""
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "write a measurement": person.measure,
        "write a visit": person.visit,
        "change a patient": person.change,
    }
    (name,) = person.rng.choices(list(WRITES), list(WRITES.values()))
    return name, calls[name]
