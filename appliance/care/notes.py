"""Notes from draft to signature: plain functions on a transaction. Every version is kept, a signed one never changes.

draft → reviewed → signed → amended. An edit takes a reviewed note back to draft. An amendment is a note of its own that
replaces the signed one when it is signed in turn; until then the signed one stands.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from appliance.care import dictations, errors, note_edits, rows, transcripts
from appliance.care.model import Content, Dictation, Layout, Note, Segment
from appliance.care.record_forms import composition
from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository


class VersionInfo(msgspec.Struct, frozen=True):
    """One version of a note; ``author`` is empty for the appliance's own draft."""

    version: int
    author: str
    created_at: str
    content: Content


def create(
    tx: Transaction,
    dictation: Dictation,
    content: Content,
    *,
    author: str,
    now: str,
    amends: Note | None = None,
    reason: str | None = None,
) -> Note:
    """Make a draft and its preliminary Composition."""
    note_id, composition_id = str(uuid.uuid4()), str(uuid.uuid4())
    tx.execute(
        "INSERT INTO care_note (id, dictation_id, patient_id, encounter_id, state, version, composition_id, amends,"
        " amendment_reason, created_at, changed_at) VALUES (?, ?, ?, ?, 'draft', 1, ?, ?, ?, ?, ?)",
        (note_id, dictation.id, dictation.patient_id, dictation.encounter_id, composition_id,
         amends.id if amends else None, reason, now, now),
    )  # fmt: skip
    _keep(tx, note_id, 1, content, author=author, now=now)
    note = get(tx, note_id)
    repository.create(
        tx, _composition(tx, note, dictation, now), now=now, author=author or None, resource_id=composition_id
    )
    return note


def get(q: Query, note_id: str) -> Note:
    """The note with its current content.

    Raises:
        ProntuarioError: ``not_found`` 404.
    """
    row = q.one(f"SELECT {rows.NOTE_COLUMNS} FROM care_note WHERE id = ?", (note_id,))  # noqa: S608  fixed columns
    if row is None:
        raise NOT_FOUND(what="note")
    return rows.note(row, _content(q, note_id, int(str(row["version"]))))


def find(q: Query, *, patient_id: str | None = None, state: str | None = None, limit: int = 50) -> list[Note]:
    """Notes, newest first."""
    asked = {name: value for name, value in {"patient_id": patient_id, "state": state}.items() if value is not None}
    where = " AND ".join(f"{column} = ?" for column in asked) or "1"
    found = q.all(
        f"SELECT id FROM care_note WHERE {where} ORDER BY created_at DESC, id LIMIT ?",  # noqa: S608  fixed columns
        [*asked.values(), limit],
    )
    return [get(q, str(row[0])) for row in found]


def versions(q: Query, note_id: str) -> list[VersionInfo]:
    """Every version, first to last."""
    get(q, note_id)
    found = q.all(
        "SELECT version, author, created_at, content FROM care_note_version WHERE note_id = ? ORDER BY version",
        (note_id,),
    )
    return [
        VersionInfo(
            int(str(row["version"])),
            str(row["author"]),
            str(row["created_at"]),
            msgspec.json.decode(str(row["content"]), type=Content),
        )
        for row in found
    ]


def edit(
    tx: Transaction,
    note_id: str,
    sections: Sequence[note_edits.SectionEdit],
    *,
    seen: str | None,
    editor: str,
    now: str,
) -> Note:
    """Keep a new version written by a person. ``seen``: the If-Match header, the version they had before them.

    Raises:
        ProntuarioError: ``note.version_required`` 428, ``note.version_changed`` 412, ``note.signed`` 409,
            ``note.unknown_segment`` 422.
    """
    note = _editable(tx, note_id, seen)
    dictation = dictations.get(tx, note.dictation_id)
    content = note_edits.apply(note.content, sections, editor=editor, known=_segments(tx, dictation))
    return _replace(tx, note, content, author=editor, now=now)


def arrange(tx: Transaction, note_id: str, layout: Layout, *, seen: str | None, editor: str, now: str) -> Note:
    """Keep a new version that is arranged by another template. Raises as ``edit``."""
    note = _editable(tx, note_id, seen)
    return _replace(tx, note, msgspec.structs.replace(note.content, layout=layout), author=editor, now=now)


def review(tx: Transaction, note_id: str, *, seen: str | None, accept: Sequence[str], reviewer: str, now: str) -> Note:
    """Say that a person has read this version and answers for it; ``accept`` names unsupported sentences that shall stand.

    Raises:
        ProntuarioError: as ``edit``; ``note.unresolved`` 409 with the sentences' ids, ``note.empty`` 422.
    """
    note = _editable(tx, note_id, seen)
    accepted = note_edits.accept(note.content, accept, reviewer)
    if accepted != note.content:
        note = _replace(tx, note, accepted, author=reviewer, now=now)
    open_questions = note_edits.unresolved(note.content)
    if open_questions:
        raise errors.UNRESOLVED(field="sections", sentences=open_questions)
    if not note.content.sentences():
        raise errors.EMPTY_NOTE(field="sections")
    tx.execute(
        "UPDATE care_note SET state = 'reviewed', reviewed_by = ?, reviewed_at = ?, changed_at = ? WHERE id = ?",
        (reviewer, now, now, note_id),
    )
    return get(tx, note_id)


def require_signable(note: Note, signer: str) -> None:
    """Whether this person may sign the note as it is now.

    Raises:
        ProntuarioError: ``note.signed`` 409, ``note.not_reviewed`` 409.
    """
    if note.signature is not None:
        raise errors.SIGNED()
    if note.state != "reviewed" or note.reviewed_by != signer:
        raise errors.NOT_REVIEWED()


def seal(tx: Transaction, note: Note, signature: dict[str, Any], *, signer: str, now: str) -> Note:
    """Keep a verified signature: from here on nothing of this note changes."""
    tx.execute(
        "UPDATE care_note SET state = 'signed', signature = ?, signed_by = ?, signed_at = ?, changed_at = ? WHERE id = ?",
        (rows.encode(signature), signer, now, now, note.id),
    )
    if note.amends is not None:
        tx.execute(
            "UPDATE care_note SET state = 'amended', amended_by = ?, changed_at = ? WHERE id = ?",
            (note.id, now, note.amends),
        )
    return get(tx, note.id)


def remember_written(tx: Transaction, note: Note, references: Sequence[str]) -> Note:
    """Keep the references of what the signing wrote beside the Composition."""
    tx.execute("UPDATE care_note SET written = ? WHERE id = ?", (rows.encode(list(references)), note.id))
    return get(tx, note.id)


def amend(tx: Transaction, note_id: str, *, reason: str, author: str, now: str) -> Note:
    """Begin an amendment: a draft with the signed content, to be edited, reviewed and signed in its own right.

    Raises:
        ProntuarioError: ``note.unsigned`` 409, ``note.already_amended`` 409.
    """
    note = get(tx, note_id)
    if note.signature is None:
        raise errors.UNSIGNED()
    taken = tx.one("SELECT 1 FROM care_note WHERE amends = ?", (note_id,))
    if taken is not None:
        raise errors.ALREADY_AMENDED()
    dictation = dictations.get(tx, note.dictation_id)
    return create(tx, dictation, note.content, author=author, now=now, amends=note, reason=reason)


def update_composition(tx: Transaction, note: Note, dictation: Dictation, *, author: str, now: str) -> dict[str, Any]:
    """Bring the Composition up to the note."""
    return repository.update(tx, _composition(tx, note, dictation, now), now=now, if_match=None, author=author)


def _composition(q: Query, note: Note, dictation: Dictation, now: str) -> dict[str, Any]:
    replaces = None if note.amends is None else get(q, note.amends).composition_id
    return composition(note, dictation, _segments(q, dictation), now, replaces=replaces)


def _editable(tx: Transaction, note_id: str, seen: str | None) -> Note:
    note = get(tx, note_id)
    if note.signature is not None:
        raise errors.SIGNED()
    if seen is None:
        raise errors.VERSION_REQUIRED(field="If-Match")
    if repository.parse_version(seen) != note.version:
        raise errors.VERSION_CHANGED(field="If-Match", version=note.version)
    return note


def _replace(tx: Transaction, note: Note, content: Content, *, author: str, now: str) -> Note:
    _keep(tx, note.id, note.version + 1, content, author=author, now=now)
    tx.execute(
        "UPDATE care_note SET version = ?, state = 'draft', reviewed_by = NULL, reviewed_at = NULL, changed_at = ? WHERE id = ?",
        (note.version + 1, now, note.id),
    )
    fresh = get(tx, note.id)
    update_composition(tx, fresh, dictations.get(tx, note.dictation_id), author=author, now=now)
    return fresh


def _keep(tx: Transaction, note_id: str, version: int, content: Content, *, author: str, now: str) -> None:
    tx.execute(
        "INSERT INTO care_note_version (note_id, version, content, author, created_at) VALUES (?, ?, ?, ?, ?)",
        (note_id, version, rows.encode(content), author, now),
    )


def _content(q: Query, note_id: str, version: int) -> str:
    row = q.one("SELECT content FROM care_note_version WHERE note_id = ? AND version = ?", (note_id, version))
    if row is None:
        raise NOT_FOUND(what="note")
    return str(row[0])


def _segments(q: Query, dictation: Dictation) -> dict[int, Segment]:
    return {segment.number: segment for segment in transcripts.segments(q, dictation.id)}
