"""In which order people look at what an old primary wrote: what was said about a patient first, the audit trail last."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final


class Subject(enum.IntEnum):
    """What a table is about, in the order of review."""

    CLINICAL = 0
    OTHER = 1
    """Unknown here, a plugin's perhaps: nearer to a patient than to a machine until somebody has looked."""
    ACCESS = 2
    TECHNICAL = 3
    """Made from other rows, or of no meaning to a person."""
    AUDIT = 4


_CLINICAL: Final = frozenset(
    {
        "care_note", "care_note_version", "care_transcript", "care_segment", "care_dictation", "care_chunk",
        "care_document", "care_document_page", "care_proposal", "care_image", "care_image_analysis",
        "record_version",
    }
)  # fmt: skip
_ACCESS: Final = ("security_", "care_ai_switch", "care_template_version", "care_hospital_words")
_TECHNICAL: Final = ("record_", "store_", "schema_", "sqlite_", "cluster_")
_AUDIT: Final = "audit_"
WORDS: Final[dict[Subject, tuple[str, str]]] = {
    Subject.CLINICAL: ("de pacientes", "about patients"),
    Subject.OTHER: ("outras", "others"),
    Subject.ACCESS: ("de acesso e ajustes", "about access and settings"),
    Subject.TECHNICAL: ("técnicas", "technical"),
    Subject.AUDIT: ("de auditoria", "of the audit trail"),
}


def subject_of(table: str) -> Subject:
    """What ``table`` is about."""
    if table in _CLINICAL:
        return Subject.CLINICAL
    if table.startswith(_AUDIT):
        return Subject.AUDIT
    if table.startswith(_ACCESS):
        return Subject.ACCESS
    return Subject.TECHNICAL if table.startswith(_TECHNICAL) else Subject.OTHER


def ranks(tables: Iterable[str]) -> dict[str, int]:
    """Each table with its place in the order of review."""
    return {table: int(subject_of(table)) for table in tables}
