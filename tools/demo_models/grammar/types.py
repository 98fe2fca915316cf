"""What the grammar makes: consults of sentences, each with its section, its note sentence and its facts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

Split = Literal["train", "held_out"]
Section = Literal["S", "O", "A", "P"]
Laterality = Literal["direito", "esquerdo"]
_HELD_OUT_ONE_IN: Final = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact of a sentence, in the shape of the product's notes (``appliance.care.note_schema``)."""

    kind: str
    name: str
    value: str | None = None
    negated: bool = False
    laterality: Laterality | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a consult.

    ``text`` is what a transcript writes, ``spoken`` what the speech synthesiser is handed (units spelt out, feminine
    numerals) and ``note`` the sentence as the note writes it.
    """

    text: str
    spoken: str
    note: str
    section: Section
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Consult:
    """The sentences of one consult in SOAP order; ``sex`` is M or F, ``system`` the organ system it turns around."""

    sentences: tuple[Sentence, ...]
    sex: Literal["M", "F"]
    system: str


def is_held_out(text: str) -> bool:
    """Whether a sentence belongs to the held-out twentieth, by its own words alone: no list to keep."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % _HELD_OUT_ONE_IN == 0
