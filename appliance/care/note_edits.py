"""What a clinician sends when they edit a note, and what becomes of it. Pure functions."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import Annotated

import msgspec

from appliance.care import errors
from appliance.care.model import SECTION_CODES, Content, Section, SectionCode, Sentence

MAX_SENTENCES = 400


class SentenceEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence as it shall be. With the ``id`` of an existing one and the same words it keeps its origin and verdict.

    ``accepted``: let a sentence stand that the guard could not support.
    """

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    id: str | None = None
    segments: tuple[int, ...] | None = None
    accepted: bool = False


class SectionEdit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section as it shall be."""

    code: SectionCode
    sentences: tuple[SentenceEdit, ...]


def apply(content: Content, sections: Collection[SectionEdit], *, editor: str, known: Collection[int]) -> Content:
    """The content after an edit. Sections that are not sent stay; one that is sent replaces the old one.

    Raises:
        ProntuarioError: ``note.unknown_segment`` 422.
    """
    before = {sentence.id: sentence for sentence in content.sentences()}
    fresh = _Fresh(before)
    replaced = {
        section.code: tuple(_sentence(edit, before, fresh, editor, known) for edit in section.sentences)
        for section in sections
    }
    old = {section.code: section.sentences for section in content.sections}
    merged = tuple(Section(code, replaced.get(code, old.get(code, ()))) for code in SECTION_CODES)
    return msgspec.structs.replace(content, sections=merged)


def accept(content: Content, identifiers: Collection[str], user_id: str) -> Content:
    """Let unsupported sentences stand, by name."""
    sections = tuple(
        Section(
            section.code,
            tuple(
                msgspec.structs.replace(sentence, accepted_by=user_id)
                if sentence.id in identifiers and not sentence.resolved
                else sentence
                for sentence in section.sentences
            ),
        )
        for section in content.sections
    )
    return msgspec.structs.replace(content, sections=sections)


def unresolved(content: Content) -> list[str]:
    """The ids of sentences that nobody has answered for."""
    return [sentence.id for sentence in content.sentences() if not sentence.resolved]


class _Fresh:
    """Ids that no sentence of the note has had in this version."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = set(taken)
        self._next = 1

    def take(self, wanted: str | None) -> str:
        if wanted is not None and wanted in self._taken:
            self._taken.discard(wanted)
            return wanted
        while f"h{self._next}" in self._taken:
            self._next += 1
        self._next += 1
        return f"h{self._next - 1}"


def _sentence(
    edit: SentenceEdit, before: dict[str, Sentence], fresh: _Fresh, editor: str, known: Collection[int]
) -> Sentence:
    old = before.get(edit.id or "")
    cited = edit.segments if edit.segments is not None else old.segments if old else ()
    for number in cited:
        if number not in known:
            raise errors.UNKNOWN_SEGMENT(field="segments", number=number)
    identifier = fresh.take(edit.id)
    same = old is not None and identifier == old.id and _words(edit.text) == _words(old.text)
    if old is not None and same and tuple(cited) == old.segments:
        accepted = editor if edit.accepted and not old.resolved else old.accepted_by
        return msgspec.structs.replace(old, accepted_by=accepted)
    return Sentence(identifier, edit.text, tuple(cited), "human")


def _words(text: str) -> str:
    """The text as a person sees it: a client that trims or composes differently has not written the sentence anew."""
    return " ".join(unicodedata.normalize("NFC", text).split())
