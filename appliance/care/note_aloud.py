"""A note as it is read back: whose word it is comes first, and a sentence that nobody has answered for is announced."""

from __future__ import annotations

from typing import Final

from appliance.care.model import Note, SectionCode, Sentence
from appliance.care.record_forms import UNSUPPORTED
from appliance.care.templates.layout import arrange

_STATES: Final = {
    "draft": "Rascunho, ainda não revisado.",
    "reviewed": "Nota revisada, ainda não assinada.",
    "signed": "Nota assinada.",
    "amended": "Nota assinada, depois emendada por outra.",
}
_TITLES: Final[dict[SectionCode, str]] = {"S": "Subjetivo", "O": "Objetivo", "A": "Avaliação", "P": "Plano"}
_EMPTY: Final = "A nota não tem texto."


def text_of(note: Note) -> str:
    """The current version in Portuguese, a paragraph a heading; headings without sentences are left out."""
    headings = [(heading.title, heading.sentences) for heading in arrange(note.content)]
    if not headings:
        headings = [(_TITLES[section.code], section.sentences) for section in note.content.sections]
    parts = [f"{title}. {' '.join(_said(one) for one in sentences)}" for title, sentences in headings if sentences]
    return "\n".join([_STATES[note.state], *(parts or [_EMPTY])])


def _said(sentence: Sentence) -> str:
    text = sentence.text.strip()
    stopped = text if text.endswith((".", "!", "?")) else f"{text}."
    return stopped if sentence.resolved else f"{UNSUPPORTED} {stopped}"
