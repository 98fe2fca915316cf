from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from appliance.care import dictations, notes, signatures
from appliance.care.model import Note
from appliance.care.note_edits import SectionEdit, SentenceEdit
from appliance.plugin_api.errors import ProntuarioError
from appliance.records import repository
from appliance.records.validation import validate
from appliance.security import signing
from appliance.security.canonical import canonical
from appliance.telemetry.clock import instant
from tests.fakes.care_models import ScriptedChat, note_with_facts
from tests.unit.care.conftest import SCRIPT, Ward

VITALS = [
    {"name": "pressão arterial", "value": "120/80", "segments": [3]},
    {"kind": "medication", "name": "dipirona", "value": "500 mg 6/6h", "segments": [4]},
]
INVENTED = note_with_facts(
    [],
    S=[("Refere tosse seca há 30 dias.", [1])],
    A=[("Pneumonia comunitária.", [1])],
    P=[("Dipirona 500 mg 6/6h.", [4])],
)


async def edited(ward: Ward, note: Note, *sections: SectionEdit, seen: str | None = None) -> Note:
    return await ward.store.write(
        lambda tx: notes.edit(
            tx, note.id, sections, seen=seen or str(note.version), editor=ward.doctor.user_id, now=ward.consults.now()
        )
    )


def section(code: Any, *sentences: SentenceEdit) -> SectionEdit:
    return SectionEdit(code, sentences)


async def test_an_edit_makes_a_new_version_marks_what_a_person_wrote_and_keeps_the_rest(ward: Ward) -> None:
    note = await ward.drafted()
    first, second = note.content.sections[0].sentences
    after = await edited(
        ward,
        note,
        section(
            "S",
            SentenceEdit(first.text, first.id),
            SentenceEdit("Nega febre e calafrios.", second.id),
            SentenceEdit("Fuma."),
        ),
    )
    kept, changed, new = after.content.sections[0].sentences
    assert kept == first
    assert (changed.id, changed.origin, changed.segments, changed.verdict) == (
        second.id,
        "human",
        second.segments,
        None,
    )
    assert (new.origin, new.segments) == ("human", ())
    assert after.content.sections[1:] == note.content.sections[1:]
    assert (after.version, after.state) == (2, "draft")
    history = await ward.store.read(lambda q: notes.versions(q, note.id))
    assert [(version.version, version.author) for version in history] == [(1, ""), (2, ward.doctor.user_id)]
    assert history[0].content == note.content
    stored = await ward.store.read(lambda q: repository.history(q, "Composition", note.composition_id))
    assert len(stored) == 2


@pytest.mark.parametrize(
    ("seen", "code"), [(None, "note.version_required"), ("7", "note.version_changed"), ("x", "note.version_changed")]
)
async def test_an_edit_must_know_the_current_version(ward: Ward, seen: str | None, code: str) -> None:
    note = await ward.drafted()
    with pytest.raises(ProntuarioError) as caught:
        await ward.store.write(
            lambda tx: notes.edit(
                tx, note.id, [section("S")], seen=seen, editor=ward.doctor.user_id, now=ward.consults.now()
            )
        )
    assert caught.value.kind.code == code
    assert (await ward.note(note.id)).version == 1


async def test_two_editors_never_overwrite_each_other(ward: Ward) -> None:
    note = await ward.drafted()
    await edited(ward, note, section("A", SentenceEdit("Resfriado.")), seen='"1"')
    with pytest.raises(ProntuarioError, match=r"note\.version_changed"):
        await edited(ward, note, section("A", SentenceEdit("Gripe.")), seen='W/"1"')
    assert [s.text for s in (await ward.note(note.id)).content.sections[2].sentences] == ["Resfriado."]


async def test_a_sentence_can_cite_only_what_was_said(ward: Ward) -> None:
    note = await ward.drafted()
    with pytest.raises(ProntuarioError, match=r"note\.unknown_segment"):
        await edited(ward, note, section("S", SentenceEdit("Refere dor.", None, (5,))))


async def test_what_the_guard_cannot_support_must_be_answered_for_before_the_review(ward: Ward) -> None:
    ward.abilities.chat = ScriptedChat([INVENTED])
    note = await ward.drafted()
    wrong = [s for s in note.content.sentences() if not s.resolved]
    assert [s.verdict.problems[0].code for s in wrong if s.verdict] == ["number", "finding"]
    with pytest.raises(ProntuarioError) as caught:
        await ward.review(note)
    assert caught.value.kind.code == "note.unresolved"
    assert caught.value.details["sentences"] == [s.id for s in wrong]
    assert (await ward.note(note.id)).state == "draft"
    removed = await edited(
        ward, note, section("A"), section("S", SentenceEdit("Refere tosse seca há 3 dias.", wrong[0].id))
    )
    assert (await ward.review(removed)).state == "reviewed"


async def test_a_person_may_let_an_unsupported_sentence_stand_in_their_name(ward: Ward) -> None:
    ward.abilities.chat = ScriptedChat([INVENTED])
    note = await ward.drafted()
    wrong = [s.id for s in note.content.sentences() if not s.resolved]
    reviewed = await ward.review(note, *wrong)
    assert reviewed.state == "reviewed"
    accepted = {s.id: s.accepted_by for s in reviewed.content.sentences()}
    assert all(accepted[identifier] == ward.doctor.user_id for identifier in wrong)
    signed = await ward.sign(reviewed)
    assert signed.signature is not None
    told = [s["accepted_by"] for part in signed.signature["form"]["sections"] for s in part["sentences"]]
    assert told.count(ward.doctor.user_id) == 2


async def test_a_reviewed_note_that_is_edited_is_a_draft_again(ward: Ward) -> None:
    reviewed = await ward.review(await ward.drafted())
    after = await edited(ward, reviewed, section("A", SentenceEdit("Resfriado.")))
    assert (after.state, after.reviewed_by) == ("draft", None)
    with pytest.raises(ProntuarioError, match=r"note\.not_reviewed"):
        await ward.sign(after)


async def test_an_empty_note_cannot_be_reviewed(ward: Ward) -> None:
    note = await ward.drafted()
    bare = await edited(ward, note, *(section(code) for code in "SOAP"))
    with pytest.raises(ProntuarioError, match=r"note\.empty"):
        await ward.review(bare)


async def test_who_signs_must_be_who_reviewed(ward: Ward) -> None:
    note = await ward.drafted()
    reviewed = await ward.review(note, who="somebody-else")
    with pytest.raises(ProntuarioError, match=r"note\.not_reviewed"):
        await ward.sign(reviewed)


async def test_a_signed_note_verifies_with_nothing_but_the_public_key(ward: Ward) -> None:
    signed = await ward.signed()
    found = await ward.store.read(lambda q: signatures.verify(q, signed.id))
    assert found.valid
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.signature.public_key))
    key.verify(base64.b64decode(found.signature.value), base64.b64decode(found.signed_bytes))
    covered = canonical(
        {
            "algorithm": "Ed25519",
            "key_id": found.signature.key_id,
            "payload": found.form,
            "signed_at": found.signature.signed_at,
        }
    )
    assert base64.b64decode(found.signed_bytes) == covered
    assert found.form["transcript_sha256"] == signed.content.transcript_sha256
    assert found.form["ai"]["sha256"] == "b" * 64


async def test_a_signed_note_is_final_immutable_and_complete_in_the_record(ward: Ward) -> None:
    ward.abilities.chat = ScriptedChat([note_with_facts(VITALS, S=[(SCRIPT[0], [1])], O=[("PA 120/80 mmHg.", [3])])])
    signed = await ward.signed()
    composition = await ward.resource("Composition", signed.composition_id)
    assert composition["status"] == "final"
    assert composition["attester"][0]["mode"] == "legal"
    assert {"system": "urn:prontuario:immutable", "code": "signed"} in composition["meta"]["tag"]
    source = composition["section"][0]["extension"][0]["extension"]
    assert {"url": "segment", "valueUnsignedInt": 1} in source
    parts = [reference.split("/") for reference in signed.written]
    made = {kind: await ward.resource(kind, identifier) for kind, identifier in parts}
    assert set(made) == {"Provenance", "Observation"}
    pressure = [part["valueQuantity"]["value"] for part in made["Observation"]["component"]]
    assert pressure == [120, 80]
    assert made["Provenance"]["target"] == [{"reference": f"Composition/{signed.composition_id}"}]
    with pytest.raises(ProntuarioError, match=r"record\.immutable"):
        await ward.store.write(lambda tx: repository.update(tx, composition, now=ward.consults.now(), if_match=None))


async def test_nothing_changes_a_signed_note(ward: Ward) -> None:
    signed = await ward.signed()
    with pytest.raises(ProntuarioError, match=r"note\.signed"):
        await edited(ward, signed, section("A", SentenceEdit("Outra coisa.")))
    with pytest.raises(ProntuarioError, match=r"note\.signed"):
        await ward.review(signed)
    with pytest.raises(ProntuarioError, match=r"note\.signed"):
        await ward.sign(signed)
    forbidden = (
        "UPDATE care_note_version SET content = '{}'",
        "DELETE FROM care_note_version",
        "INSERT OR REPLACE INTO care_note_version SELECT note_id, version, '{}', author, created_at FROM care_note_version",
        "UPDATE care_note SET signature = NULL",
        "UPDATE care_note SET state = 'draft'",
        "UPDATE care_note SET version = 1 + version",
    )
    for statement in forbidden:
        with pytest.raises(Exception, match=r"never|only grow"):
            await ward.store.write(lambda tx, sql=statement: tx.execute(sql))  # type: ignore[misc]
    assert (await ward.store.read(lambda q: signatures.verify(q, signed.id))).valid


async def test_a_forged_row_is_noticed(ward: Ward) -> None:
    signed = await ward.signed()
    await ward.store.write(
        lambda tx: tx.execute("UPDATE care_note SET patient_id = 'another' WHERE id = ?", (signed.id,))
    )
    assert not (await ward.store.read(lambda q: signatures.verify(q, signed.id))).valid


async def test_an_unsigned_note_neither_leaves_nor_verifies(ward: Ward) -> None:
    note = await ward.drafted()
    for call in (ward.consults.export, signatures.verify):
        with pytest.raises(ProntuarioError, match=r"note\.unsigned"):
            await ward.store.read(lambda q, call=call: call(q, note.id))  # type: ignore[misc,operator]


async def test_the_export_is_a_valid_fhir_document_with_its_signature(ward: Ward) -> None:
    signed = await ward.signed()
    bundle = await ward.store.read(lambda q: ward.consults.export(q, signed.id))
    validate(bundle)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["Composition", "Patient", "Encounter", "DocumentReference", "Provenance"]
    assert base64.b64decode(bundle["signature"]["data"]) == canonical(signed.signature)


async def test_an_amendment_is_a_note_of_its_own_that_replaces_when_signed(ward: Ward) -> None:
    signed = await ward.signed()
    draft = await ward.store.write(
        lambda tx: notes.amend(
            tx, signed.id, reason="Dose corrigida.", author=ward.doctor.user_id, now=ward.consults.now()
        )
    )
    assert (await ward.note(signed.id)).state == "signed"
    changed = await edited(ward, draft, section("P", SentenceEdit("Dipirona 1 g 6/6h.")))
    done = await ward.sign(await ward.review(changed))
    before = await ward.note(signed.id)
    assert (before.state, before.amended_by) == ("amended", done.id)
    assert (await ward.store.read(lambda q: signatures.verify(q, signed.id))).valid
    assert (await ward.store.read(lambda q: signatures.verify(q, done.id))).form["amends"][
        "reason"
    ] == "Dose corrigida."
    composition = await ward.resource("Composition", done.composition_id)
    assert composition["status"] == "amended"
    assert composition["relatesTo"][0]["targetReference"] == {"reference": f"Composition/{signed.composition_id}"}


async def test_only_a_signed_note_is_amended_and_only_once(ward: Ward) -> None:
    note = await ward.drafted()

    async def amend() -> Note:
        return await ward.store.write(
            lambda tx: notes.amend(tx, note.id, reason="Porque sim.", author="x", now=ward.consults.now())
        )

    with pytest.raises(ProntuarioError, match=r"note\.unsigned"):
        await amend()
    await ward.sign(await ward.review(note))
    await amend()
    with pytest.raises(ProntuarioError, match=r"note\.already_amended"):
        await amend()


async def device_signature(
    ward: Ward, note: Note, *, signed_at: str | None = None, form: Any = None
) -> signing.Signature:
    """As a phone makes it: its own key, over the form that it was given."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()

    def register(tx: Any) -> str:
        tx.execute(
            "INSERT OR IGNORE INTO security_device (id, user_id, name, enrolled_at) VALUES ('phone-1', ?, 'iPhone', ?)",
            (ward.doctor.user_id, ward.consults.now()),
        )
        return signing.register_device_key(tx, ward.doctor.user_id, "phone-1", public, ward.consults.now())

    key_id = await ward.store.write(register)
    dictation = await ward.store.read(lambda q: dictations.get(q, note.dictation_id))
    form = form or signatures.form_of(note, dictation, ward.doctor)
    moment = signed_at or instant(datetime.now(UTC))
    value = key.sign(canonical({"algorithm": "Ed25519", "key_id": key_id, "payload": form, "signed_at": moment}))
    return signing.Signature(
        "Ed25519", key_id, base64.b64encode(public).decode(), base64.b64encode(value).decode(), moment
    )


async def test_a_device_signs_with_a_key_that_never_leaves_it(ward: Ward) -> None:
    reviewed = await ward.review(await ward.drafted())
    given = await device_signature(ward, reviewed)
    signed = await ward.sign(reviewed, given)
    found = await ward.store.read(lambda q: signatures.verify(q, signed.id))
    assert found.valid
    assert found.signature == given


async def test_a_device_signature_of_anything_else_is_refused(ward: Ward) -> None:
    reviewed = await ward.review(await ward.drafted())
    late = instant(datetime.now(UTC) - timedelta(hours=1))
    wrong = [
        await device_signature(ward, reviewed, form={"note": reviewed.id}),
        await device_signature(ward, reviewed, signed_at=late),
        await device_signature(ward, reviewed, signed_at="yesterday"),
    ]
    for given in wrong:
        with pytest.raises(ProntuarioError, match=r"note\.bad_signature"):
            await ward.sign(reviewed, given)
    assert (await ward.note(reviewed.id)).signature is None
