"""What the clinical API takes and gives: JSON shapes, and how they are made from the domain's values."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from appliance.care.drafting import uncited
from appliance.care.model import Ai, Chunk, Dictation, Fact, Note, Section, Segment
from appliance.care.note_edits import SectionEdit, unresolved
from appliance.care.notes import VersionInfo
from appliance.care.templates.layout import arrange
from appliance.care.transcripts import Transcript
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.signing import Signature

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]


class OpenDictation(msgspec.Struct, forbid_unknown_fields=True):
    """``patient`` and ``encounter`` are ids, or references such as ``Patient/12``."""

    patient: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    encounter: Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
    language: Annotated[str, msgspec.Meta(pattern="^[a-z]{2}$")] = "pt"
    template: Annotated[str, msgspec.Meta(max_length=40)] = ""
    """How the draft is to be arranged; empty: as the node is set."""


class CompleteDictation(msgspec.Struct, forbid_unknown_fields=True):
    """How many chunks there are, and optionally the SHA-256 (hex) of the whole recording."""

    total_chunks: Annotated[int, msgspec.Meta(ge=1, le=100_000)]
    sha256: Sha256 | None = None


class Acknowledged(msgspec.Struct):
    """A chunk is durable. ``acknowledged`` is its number."""

    acknowledged: int
    sha256: str
    size: int


class Missing(msgspec.Struct):
    """Chunk numbers to send (again). ``next`` is the first number never seen."""

    missing: list[int]
    received: int
    next: int


class Problem(msgspec.Struct):
    """Why a dictation ended without a note."""

    code: str
    detail: str
    next_step: str


class DictationView(msgspec.Struct):
    """A dictation as clients see it; links are paths."""

    id: str
    patient: str
    encounter: str
    author: str
    state: str
    media_type: str
    total_chunks: int | None
    received: int
    missing: list[int]
    audio_bytes: int
    audio_s: float
    truncated: bool
    segments: int
    opened_at: str
    completed_at: str | None
    changed_at: str
    note_id: str | None
    links: dict[str, str]
    problem: Problem | None = None
    no_speech: bool = False
    """Nothing was said in it: silence, tones, noise or music."""
    queue_position: int | None = None
    """While it waits for its transcription or for a model: 1 is next, an estimate. Null when it does not wait."""


class TranscriptView(msgspec.Struct):
    """A finished transcript."""

    dictation_id: str
    segments: list[Segment]
    text: str
    sha256: str
    audio_s: float
    truncated: bool
    ai: Ai


class TemplateRef(msgspec.Struct):
    """Which template arranged a note. ``version`` 0: the product's file."""

    name: str
    version: int
    title: str
    sha256: str


class ArrangedHeading(msgspec.Struct):
    """A heading of the template and the ids of the sentences under it."""

    title: str
    loinc: str | None
    sentences: list[str]


class NoteView(msgspec.Struct):
    """A note in its current version. ``unresolved``: sentences to correct, delete or accept before the review.

    ``omitted``: segments of the transcript that no sentence cites.
    """

    id: str
    dictation_id: str
    patient: str
    encounter: str
    composition: str
    state: str
    version: int
    sections: tuple[Section, ...]
    facts: tuple[Fact, ...]
    unresolved: list[str]
    omitted: list[int]
    ai: Ai | None
    transcript_sha256: str
    reviewed_by: str | None
    reviewed_at: str | None
    signed_by: str | None
    signed_at: str | None
    amends: str | None
    amendment_reason: str | None
    amended_by: str | None
    written: tuple[str, ...]
    created_at: str
    changed_at: str
    template: TemplateRef | None = None
    arranged: list[ArrangedHeading] = []
    """The same sentences under the template's headings, empty ones too."""


class ChooseTemplate(msgspec.Struct, forbid_unknown_fields=True):
    """The template that shall arrange the note from now on."""

    template: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class NoteSummary(msgspec.Struct):
    """A line of a list of notes."""

    id: str
    dictation_id: str
    patient: str
    encounter: str
    state: str
    version: int
    created_at: str
    signed_at: str | None


class EditNote(msgspec.Struct, forbid_unknown_fields=True):
    """The sections as they shall be; a section that is left out stays as it is."""

    sections: Annotated[list[SectionEdit], msgspec.Meta(min_length=1, max_length=4)]


class ReviewNote(msgspec.Struct, forbid_unknown_fields=True):
    """``accept``: ids of unsupported sentences that the reviewer lets stand."""

    accept: list[Id] = []


class SignNote(msgspec.Struct, forbid_unknown_fields=True):
    """Empty: sign with the person's key in the vault. ``signature``: made by the device over the signing form."""

    signature: Signature | None = None


class AmendNote(msgspec.Struct, forbid_unknown_fields=True):
    """Why the signed note has to be amended."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=2000)]


class SigningForm(msgspec.Struct):
    """What a device signs: the canonical JSON of ``{"algorithm", "key_id", "payload": form, "signed_at"}``."""

    algorithm: str
    form: dict[str, Any]


class Versions(msgspec.Struct):
    """Every version, first to last."""

    versions: list[VersionInfo]


class DictationList(msgspec.Struct):
    """Last changed first."""

    dictations: list[DictationView]


class NoteList(msgspec.Struct):
    """Newest first."""

    notes: list[NoteSummary]


def bare_id(reference: str, resource_type: str) -> str:
    """``"Patient/12"`` and ``"12"`` both name patient 12."""
    return reference.removeprefix(f"{resource_type}/")


def acknowledged(chunk: Chunk) -> Acknowledged:
    """The answer to a chunk."""
    return Acknowledged(chunk.sequence, chunk.sha256, chunk.size)


def problem(error: ProntuarioError, language: str) -> Problem:
    """An error as a part of another answer."""
    return Problem(error.kind.code, error.sentence(language), error.next_step(language))


def dictation_view(
    dictation: Dictation,
    *,
    received: int,
    missing: list[int],
    segments: int,
    ended: Problem | None,
    place: int | None,
) -> DictationView:
    """A dictation with what is known of its progress."""
    base = f"/api/dictations/{dictation.id}"
    links = {name: f"{base}/{name}" for name in ("events", "stream", "audio", "transcript")}
    if dictation.note_id:
        links["note"] = f"/api/notes/{dictation.note_id}"
    if dictation.document_id:
        links["document"] = f"/fhir/R4/DocumentReference/{dictation.document_id}"
    return DictationView(
        id=dictation.id,
        patient=dictation.patient_id,
        encounter=dictation.encounter_id,
        author=dictation.author,
        state=dictation.state,
        media_type=dictation.media_type,
        total_chunks=dictation.total_chunks,
        received=received,
        missing=missing,
        audio_bytes=dictation.audio_bytes,
        audio_s=dictation.audio_s,
        truncated=dictation.truncated,
        segments=segments,
        opened_at=dictation.opened_at,
        completed_at=dictation.completed_at,
        changed_at=dictation.changed_at,
        note_id=dictation.note_id,
        links=links,
        problem=ended,
        no_speech=dictation.state == "no_speech",
        queue_position=place,
    )


def transcript_view(dictation: Dictation, transcript: Transcript) -> TranscriptView:
    """A transcript with its label."""
    return TranscriptView(
        dictation_id=dictation.id,
        segments=list(transcript.segments),
        text=" ".join(segment.text for segment in transcript.segments),
        sha256=transcript.sha256,
        audio_s=dictation.audio_s,
        truncated=dictation.truncated,
        ai=transcript.ai,
    )


def note_view(note: Note, segments: list[Segment]) -> NoteView:
    """A note with its open questions."""
    return NoteView(
        id=note.id,
        dictation_id=note.dictation_id,
        patient=note.patient_id,
        encounter=note.encounter_id,
        composition=note.composition_id,
        state=note.state,
        version=note.version,
        sections=note.content.sections,
        facts=note.content.facts,
        unresolved=unresolved(note.content),
        omitted=uncited(note.content, segments),
        ai=note.content.ai,
        transcript_sha256=note.content.transcript_sha256,
        reviewed_by=note.reviewed_by,
        reviewed_at=note.reviewed_at,
        signed_by=note.signed_by,
        signed_at=note.signed_at,
        amends=note.amends,
        amendment_reason=note.amendment_reason,
        amended_by=note.amended_by,
        written=note.written,
        created_at=note.created_at,
        changed_at=note.changed_at,
        template=_template(note),
        arranged=[
            ArrangedHeading(heading.title, heading.loinc, [sentence.id for sentence in heading.sentences])
            for heading in arrange(note.content)
        ],
    )


def _template(note: Note) -> TemplateRef | None:
    layout = note.content.layout
    return None if layout is None else TemplateRef(layout.name, layout.version, layout.title, layout.sha256)


def note_summary(note: Note) -> NoteSummary:
    """A note as a line of a list."""
    return NoteSummary(
        id=note.id,
        dictation_id=note.dictation_id,
        patient=note.patient_id,
        encounter=note.encounter_id,
        state=note.state,
        version=note.version,
        created_at=note.created_at,
        signed_at=note.signed_at,
    )
