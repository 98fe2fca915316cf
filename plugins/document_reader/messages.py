"""What goes between the appliance and the process that opens a document: one question, then lines of JSON."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from appliance.plugin_api.paper import PaperFacts, PaperPage

LENGTHS: Final = struct.Struct("<II")
"""Before the question and the document: how many bytes each has."""


class Ask(msgspec.Struct, frozen=True):
    """The question. ``recogniser`` is the program that reads pictures (see ``recognisers.py``); None where there is none."""

    read: bool
    max_pages: int
    max_pixels: int
    dpi: int
    page_s: float
    memory_bytes: int
    recogniser: Sequence[str] | None


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the answer: exactly one of the three. ``error`` is a code of ``errors.py``, ``details`` fill its sentence."""

    facts: PaperFacts | None = None
    page: PaperPage | None = None
    error: str = ""
    details: Mapping[str, str | int] = {}


def packed(ask: Ask, document: bytes) -> bytes:
    """What the process gets on its standard input."""
    question = msgspec.json.encode(ask)
    return LENGTHS.pack(len(question), len(document)) + question + document
