"""Signing a note: the form under the signature, the person's or the device's key, and a check that anyone can repeat.

The form is a plain JSON value; its canonical bytes (RFC 8785) carry the Ed25519 signature (RFC 8032), together with the
key and the moment (see ``security.signing``). Nothing in it needs this appliance to be read.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from appliance.care import dictations, errors, notes
from appliance.care.model import Dictation, Note
from appliance.care.record_forms import person, provenance
from appliance.care.vitals import observations
from appliance.plugin_api.http import Principal
from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository
from appliance.security import signing
from appliance.security.canonical import canonical
from appliance.security.vault import Vault

FORM: Final = "urn:prontuario:note-signature:1"
CLOCK_TOLERANCE: Final = timedelta(minutes=10)
"""How far a device's clock may be from ours."""


class Verification(msgspec.Struct, frozen=True):
    """Everything that is needed to check a signature elsewhere. ``signed_bytes``: base64 of what the key signed."""

    valid: bool
    note: str
    version: int
    signed_by: str
    signature: signing.Signature
    form: dict[str, Any]
    signed_bytes: str


def form_of(note: Note, dictation: Dictation, signer: Principal) -> dict[str, Any]:
    """What a signature of this note covers."""
    ai, layout = note.content.ai, note.content.layout
    form = {
        "form": FORM,
        "note": note.id,
        "version": note.version,
        "composition": note.composition_id,
        "patient": note.patient_id,
        "encounter": note.encounter_id,
        "dictation": note.dictation_id,
        "audio": dictation.document_id,
        "signer": {"user": signer.user_id, "name": signer.username, "practitioner": signer.practitioner_id},
        "sections": [
            {
                "code": section.code,
                "sentences": [
                    {"text": s.text, "segments": list(s.segments), "origin": s.origin, "accepted_by": s.accepted_by}
                    for s in section.sentences
                ],
            }
            for section in note.content.sections
        ],
        "transcript_sha256": note.content.transcript_sha256,
        "ai": None if ai is None else msgspec.to_builtins(ai),
        "amends": None if note.amends is None else {"note": note.amends, "reason": note.amendment_reason},
    }
    if layout is not None:  # notes that were signed before there were templates keep their form
        form["template"] = {"name": layout.name, "version": layout.version, "sha256": layout.sha256}
    return form


def sign(
    tx: Transaction,
    vault: Vault,
    note_id: str,
    signer: Principal,
    *,
    given: signing.Signature | None,
    now: datetime,
    moment: str,
) -> Note:
    """Sign with the person's key in the vault, or keep the signature that their device made.

    The Composition becomes final and immutable; a Provenance and the vital signs' Observations are written with it.
    ``moment`` is ``now`` as a FHIR instant.

    Raises:
        ProntuarioError: ``note.not_reviewed`` 409, ``note.signed`` 409, ``note.bad_signature`` 422, ``signing.no_key`` 409.
    """
    note = notes.get(tx, note_id)
    notes.require_signable(note, signer.user_id)
    dictation = dictations.get(tx, note.dictation_id)
    form = form_of(note, dictation, signer)
    if given is None:
        signature = signing.sign(tx, vault, signer.user_id, form, signed_at=moment)
    else:
        signature = _accept(tx, form, given, signer, now)
    sealed = notes.seal(
        tx, note, {"form": form, "signature": msgspec.to_builtins(signature)}, signer=signer.user_id, now=moment
    )
    notes.update_composition(tx, sealed, dictation, author=signer.user_id, now=moment)
    who = person(signer.practitioner_id, signer.username)
    evidence = provenance(sealed, dictation, who, msgspec.to_builtins(signature), document(sealed))
    written = [
        repository.create(tx, resource, now=moment, author=signer.user_id)
        for resource in [evidence, *observations(sealed, dictation)]
    ]
    return notes.remember_written(tx, sealed, [f"{one['resourceType']}/{one['id']}" for one in written])


def _accept(
    q: Query, form: dict[str, Any], given: signing.Signature, signer: Principal, now: datetime
) -> signing.Signature:
    try:
        signed_at = datetime.fromisoformat(given.signed_at)
    except ValueError:
        raise errors.BAD_SIGNATURE(field="signature.signed_at") from None
    if signed_at.tzinfo is None or abs(signed_at - now) > CLOCK_TOLERANCE:
        raise errors.BAD_SIGNATURE(field="signature.signed_at")
    if not signing.verify_with_registered(q, signer.user_id, form, given):
        raise errors.BAD_SIGNATURE(field="signature.value")
    return given


def document(note: Note) -> str:
    """The stored signature with its form, canonical, base64: FHIR's ``Signature.data``."""
    return base64.b64encode(canonical(note.signature)).decode()


def verify(q: Query, note_id: str) -> Verification:
    """Check a signed note: the signature over its form, the key's owner, and the form against the stored note.

    Raises:
        ProntuarioError: ``note.unsigned`` 409.
    """
    note = notes.get(q, note_id)
    if note.signature is None or note.signed_by is None:
        raise errors.UNSIGNED()
    form = note.signature["form"]
    signature = msgspec.convert(note.signature["signature"], signing.Signature)
    signer = Principal(
        user_id=note.signed_by,
        username=form["signer"]["name"],
        role="",
        device_id="",
        session_id="",
        permissions=frozenset(),
        practitioner_id=form["signer"]["practitioner"],
    )
    expected = form_of(note, dictations.get(q, note.dictation_id), signer)
    genuine = signing.verify_with_registered(q, note.signed_by, form, signature)
    signed = signing.signed_bytes(form, signature.key_id, signature.signed_at)
    return Verification(
        valid=genuine and canonical(form) == canonical(expected),
        note=note.id,
        version=note.version,
        signed_by=note.signed_by,
        signature=signature,
        form=form,
        signed_bytes=base64.b64encode(signed).decode(),
    )
