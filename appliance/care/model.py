"""The words of clinical work as values: dictation, segment, sentence, section, fact, note."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from appliance.care.guard import Verdict

DictationState = Literal["open", "complete", "transcribing", "drafting", "drafted", "no_speech", "failed"]
NoteState = Literal["draft", "reviewed", "signed", "amended"]
SectionCode = Literal["S", "O", "A", "P"]
"""Subjective, objective, assessment, plan (Weed 1968)."""
SECTION_CODES: tuple[SectionCode, ...] = ("S", "O", "A", "P")
ENDED: frozenset[str] = frozenset({"drafted", "no_speech", "failed"})
"""States in which nothing more happens by itself."""


class Ai(msgspec.Struct, frozen=True, omit_defaults=False):
    """What made an AI product. ``fallback``: no model wrote it; the reason is an error code."""

    model: str
    sha256: str
    demonstration_model: bool
    degraded: bool
    prompt_version: str | None = None
    guard_version: str | None = None
    fallback: bool = False
    fallback_reason: str | None = None


class Dictation(msgspec.Struct, frozen=True):
    """One recording, from its first chunk on. Times are FHIR instants."""

    id: str
    patient_id: str
    encounter_id: str
    author: str
    author_name: str
    practitioner_id: str | None
    key_id: str
    language: str
    media_type: str
    state: DictationState
    reason: str | None
    total_chunks: int | None
    audio_bytes: int
    audio_s: float
    truncated: bool
    attempt: int
    document_id: str | None
    note_id: str | None
    opened_at: str
    completed_at: str | None
    changed_at: str
    heard_by: str | None = None
    """SHA-256 of the model that heard the segments so far."""
    template: str = "soap"
    """Name of the template that arranges the draft."""


class Chunk(msgspec.Struct, frozen=True):
    """A stored piece of a recording; ``blob`` is its address in the blob store."""

    sequence: int
    sha256: str
    size: int
    blob: str
    key_id: str


class Segment(msgspec.Struct, frozen=True):
    """One utterance: ``number`` from 1, times in seconds from the beginning, confidence 0 to 1."""

    number: int
    start: float
    end: float
    text: str
    confidence: float


class Sentence(msgspec.Struct, frozen=True):
    """One sentence of a note.

    ``origin``: ``ai`` (written by the model), ``transcript`` (verbatim speech), ``human`` (written or edited by a person).
    ``verdict`` is the guard's; ``accepted_by`` names who let an unsupported sentence stand.
    """

    id: str
    text: str
    segments: tuple[int, ...] = ()
    origin: Literal["ai", "transcript", "human"] = "human"
    verdict: Verdict | None = None
    accepted_by: str | None = None

    @property
    def resolved(self) -> bool:
        """Whether it may be signed as it stands."""
        return self.origin == "human" or self.accepted_by is not None or self.verdict is None or self.verdict.supported


class Section(msgspec.Struct, frozen=True):
    """One part of the note."""

    code: SectionCode
    sentences: tuple[Sentence, ...] = ()


class Fact(msgspec.Struct, frozen=True):
    """One structured statement that the model read out of the speech."""

    kind: str
    name: str
    value: str | None
    negated: bool
    laterality: str | None
    segments: tuple[int, ...]
    verdict: Verdict


class Heading(msgspec.Struct, frozen=True):
    """One heading of a template: it takes sentences of these sections, with ``kinds`` only those that tell of such facts."""

    title: str
    takes: tuple[SectionCode, ...]
    kinds: tuple[str, ...] = ()
    loinc: str | None = None


class Layout(msgspec.Struct, frozen=True):
    """A template as it was when it arranged a note. ``sha256`` is of its file; ``version`` 0 is the product's own."""

    name: str
    version: int
    sha256: str
    title: str
    headings: tuple[Heading, ...]


class Content(msgspec.Struct, frozen=True):
    """What a version of a note holds. ``ai`` is None when a person wrote all of it; without ``layout`` it stands as SOAP."""

    sections: tuple[Section, ...]
    facts: tuple[Fact, ...]
    ai: Ai | None
    transcript_sha256: str
    layout: Layout | None = None

    def sentences(self) -> list[Sentence]:
        """All sentences in order."""
        return [sentence for section in self.sections for sentence in section.sentences]


class Note(msgspec.Struct, frozen=True):
    """A note with its current version."""

    id: str
    dictation_id: str
    patient_id: str
    encounter_id: str
    state: NoteState
    version: int
    composition_id: str
    reviewed_by: str | None
    reviewed_at: str | None
    amends: str | None
    amendment_reason: str | None
    amended_by: str | None
    signature: dict[str, Any] | None
    signed_by: str | None
    signed_at: str | None
    written: tuple[str, ...]
    """What the signing wrote beside the Composition: references such as ``Observation/12``."""
    created_at: str
    changed_at: str
    content: Content
