"""Rows of the care tables as values."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from appliance.care.model import Chunk, Content, Dictation, Note, Segment
from appliance.plugin_api.storage import Row

T = TypeVar("T")
DICTATION_COLUMNS: Final = ", ".join(Dictation.__struct_fields__)
NOTE_COLUMNS: Final = ", ".join(name for name in Note.__struct_fields__ if name != "content")


def _values(row: Row) -> dict[str, Any]:
    return dict(zip(row.keys(), row, strict=True))


def dictation(row: Row) -> Dictation:
    """From a row of DICTATION_COLUMNS."""
    return msgspec.convert(_values(row) | {"truncated": bool(row["truncated"])}, Dictation)


def chunk(row: Row) -> Chunk:
    """From a row of care_chunk."""
    return msgspec.convert(_values(row), Chunk)


def segment(row: Row) -> Segment:
    """From a row of care_segment."""
    values = _values(row)
    return msgspec.convert(values | {"start": values["start_s"], "end": values["end_s"]}, Segment)


def note(row: Row, content: str | bytes) -> Note:
    """From a row of NOTE_COLUMNS and the content of its current version."""
    signature = row["signature"]
    decoded = None if signature is None else msgspec.json.decode(str(signature))
    values = _values(row) | {
        "signature": decoded,
        "written": msgspec.json.decode(str(row["written"])),
        "content": msgspec.json.decode(content, type=Content),
    }
    return msgspec.convert(values, Note)


def encode(value: Any) -> str:
    """JSON text for a column."""
    return msgspec.json.encode(value).decode()
