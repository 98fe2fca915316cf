"""A synthetic patient with a note, made for a drill, read where it should be, and deleted again.

Neither name nor text could be a person's; the tag says what it is to whoever finds one that an interrupted drill left.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.records import repository
from appliance.telemetry.clock import Clock, instant

TAG: Final = {"system": "urn:prontuario:synthetic", "code": "drill", "display": "Ensaio: paciente que não existe"}
_LOINC: Final = "http://loinc.org"


class Place(msgspec.Struct, frozen=True):
    """Where the two lie: FHIR ids."""

    patient: str
    composition: str


class SyntheticNote(msgspec.Struct, frozen=True):
    """A note that was written and acknowledged; ``sha256`` of its text, in hex."""

    place: Place
    sha256: str


async def write(store: Store, clock: Clock, drill: str) -> SyntheticNote:
    """Write both in one transaction; durable when it returns. Raises what the store raises."""
    now = instant(clock.now())
    text = f'<div xmlns="http://www.w3.org/1999/xhtml">Ensaio {drill} de {now}: esta nota não é de ninguém.</div>'

    def change(tx: Transaction) -> Place:
        patient = repository.create(tx, _patient(), now=now)
        composition = repository.create(tx, _composition(str(patient["id"]), text, now), now=now)
        return Place(str(patient["id"]), str(composition["id"]))

    return SyntheticNote(await store.write(change), _digest(text))


def digest_of(q: Query, place: Place) -> str:
    """SHA-256 of the note's text as a read of the record gives it; empty: it is not there."""
    try:
        found = repository.read(q, "Composition", place.composition)
        repository.read(q, "Patient", place.patient)
        return _digest(str(found["section"][0]["text"]["div"]))
    except (ProntuarioError, LookupError):
        return ""


async def forget(store: Store, clock: Clock, place: Place) -> None:
    """Delete both; deleting twice is harmless. Raises what the store raises."""
    now = instant(clock.now())

    def change(tx: Transaction) -> None:
        repository.delete(tx, "Composition", place.composition, now=now)
        repository.delete(tx, "Patient", place.patient, now=now)

    await store.write(change)


def _patient() -> dict[str, Any]:
    return {"resourceType": "Patient", "meta": {"tag": [TAG]}, "active": False, "name": [{"text": "Ensaio (ninguém)"}]}


def _composition(patient: str, text: str, now: str) -> dict[str, Any]:
    return {
        "resourceType": "Composition",
        "meta": {"tag": [TAG]},
        "status": "final",
        "type": {"coding": [{"system": _LOINC, "code": "11488-4", "display": "Consult note"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "date": now,
        "author": [{"display": "Prontuário"}],
        "title": "Nota de ensaio",
        "section": [{"title": "Ensaio", "text": {"status": "generated", "div": text}}],
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
