"""What a consult should become: its words and its note, known because a generator made both.

A gold file is JSON::

    {"format": "prontuario-gold/1",
     "transcript": [{"number": 1, "text": "Nega febre.", "start": 0.5, "end": 1.4}, …],
     "note": {"sections": [{"code": "S", "sentences": [{"text": "Nega febre.", "segments": [1]}]}, …],
              "facts": [{"kind": "symptom", "name": "febre", "value": null, "negated": true, "laterality": null, "segments": [1]}]},
     "made": {"seed": "…", "voice": "…"}}

``note`` has the shape that the language model is held to (``appliance.care.note_schema``). ``start`` and ``end`` are seconds
of the audio, ``made`` tells where the consult comes from; all three are optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from appliance.care.model import Segment
from appliance.care.note_schema import Draft

FORMAT: Final = "prontuario-gold/1"
SUFFIX: Final = ".gold.json"


class GoldError(ValueError):
    """A gold file cannot be used; the text names the file and what is wrong."""


class GoldLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sentence as a transcript should write it."""

    number: int
    text: str
    start: float = 0.0
    end: float = 0.0


class Gold(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole file."""

    format: Literal["prontuario-gold/1"]
    transcript: tuple[GoldLine, ...]
    note: Draft
    made: Mapping[str, str | int | float] = {}

    @property
    def text(self) -> str:
        """The transcript in one line."""
        return " ".join(line.text for line in self.transcript)

    @property
    def lines(self) -> dict[int, str]:
        """Number → text."""
        return {line.number: line.text for line in self.transcript}

    def segments(self) -> list[Segment]:
        """The transcript as a recogniser that hears everything right would give it."""
        return [Segment(line.number, line.start, line.end, line.text, 1.0) for line in self.transcript]


def read_gold(path: Path) -> Gold:
    """Read a gold file.

    Raises:
        GoldError: not JSON, not of this format, or a citation of a segment that is not there.
    """
    try:
        gold = decode_gold(path.read_bytes())
    except GoldError as error:
        raise GoldError(f"{path.name}: {error}") from error
    return gold


def decode_gold(data: bytes) -> Gold:
    """The same from bytes."""
    try:
        gold = msgspec.json.decode(data, type=Gold)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise GoldError(str(error)) from error
    cited = {number for fact in gold.note.facts for number in fact.segments}
    cited |= {number for part in gold.note.sections for said in part.sentences for number in said.segments}
    if unknown := sorted(cited - set(gold.lines)):
        raise GoldError(f"cites segments that the transcript lacks: {unknown}")
    return gold


def write_gold(path: Path, gold: Gold) -> None:
    """Write a gold file, indented for people."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(gold), indent=1) + b"\n")
