"""A signed note leaves as one FHIR document; an unsigned one does not leave."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from appliance.care import dictations, errors, notes, signatures
from appliance.care.record_forms import document_bundle, person
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.records import repository


def bundle(q: Query, note_id: str, now: str) -> dict[str, Any]:
    """The document Bundle with its signature.

    Raises:
        ProntuarioError: ``not_found`` 404, ``note.unsigned`` 409.
    """
    note = notes.get(q, note_id)
    if note.signature is None:
        raise errors.UNSIGNED()
    dictation = dictations.get(q, note.dictation_id)
    signer = note.signature["form"]["signer"]
    wanted = [("Composition", note.composition_id), ("Patient", note.patient_id), ("Encounter", note.encounter_id)]
    practitioners = {dictation.practitioner_id, signer["practitioner"]} - {None}
    wanted += [("Practitioner", str(identifier)) for identifier in sorted(map(str, practitioners))]
    if dictation.document_id:
        wanted.append(("DocumentReference", dictation.document_id))
    wanted += [(kind, identifier) for kind, _, identifier in (one.partition("/") for one in note.written)]
    entries: list[dict[str, Any]] = []
    for resource_type, resource_id in wanted:
        with suppress(ProntuarioError):  # somebody deleted it since; the document holds what there is
            entries.append(repository.read(q, resource_type, resource_id))
    who = person(signer["practitioner"], signer["name"])
    return document_bundle(
        note,
        entries,
        signer=who,
        signed_at=note.signature["signature"]["signed_at"],
        data=signatures.document(note),
        now=now,
    )
