"""What is read on paper: words with their places, and the laboratory values among them. Values only; nothing here reads."""

from __future__ import annotations

from typing import Literal

import msgspec

MediaType = Literal["application/pdf", "image/jpeg", "image/png", "image/heic"]
Doubt = Literal[
    "analyte_unknown",
    "other_specimen",
    "unit_missing",
    "unit_unknown",
    "unit_unexpected",
    "unit_misread",
    "digits_unsure",
    "separator_unsure",
    "implausible",
    "low_confidence",
]
"""Why a person has to look twice, in the order of the table in ``docs/documents.md``."""


class Box(msgspec.Struct, frozen=True, array_like=True):
    """Where something stands: fractions (0 to 1) of the upright page's width and height, from its upper left corner."""

    left: float
    top: float
    width: float
    height: float


class PaperWord(msgspec.Struct, frozen=True, array_like=True):
    """One word. ``confidence``, 0 to 1, is the recogniser's own.

    1 for the text that a PDF itself carries; 0 where a second look at a number saw other digits.
    """

    text: str
    box: Box
    confidence: float


class PaperPage(msgspec.Struct, frozen=True):
    """One page, words in reading order. ``number`` counts from 1; ``source`` tells whether the PDF's own text was taken.

    ``turned``: by how many degrees (clockwise: 0, 90, 180, 270) the picture had to be turned to stand upright; ``skew``: by
    how many degrees its lines still rose to the right, which was straightened too. Boxes are those of the straightened page.
    """

    number: int
    source: Literal["text", "ocr"]
    words: tuple[PaperWord, ...]
    turned: int = 0
    skew: float = 0.0


class PaperFacts(msgspec.Struct, frozen=True):
    """What a document is, before it is read."""

    media_type: MediaType
    pages: int


class LabValue(msgspec.Struct, frozen=True):
    """One result as it is printed, and what it would mean. Empty strings: not printed, or not known.

    ``value`` is the decimal number to be proposed ("13.20", digits as printed); empty whenever the digits are in doubt.
    ``loinc`` is empty unless name, specimen and unit all fit one line of the table; ``ucum`` is empty for an unknown unit.
    """

    page: int
    box: Box
    row: str
    """The whole line, for the person who decides."""
    printed_name: str
    printed_value: str
    printed_unit: str
    printed_reference: str
    confidence: float
    """The lowest of the words that carry the number and its unit."""
    value: str = ""
    comparator: Literal["", "<", "<=", ">=", ">"] = ""
    ucum: str = ""
    loinc: str = ""
    display: str = ""
    low: str = ""
    high: str = ""
    converted: str = ""
    """The printed unit's UCUM code, where the proposed one is another name for the same (mEq/L of a single charge)."""
    doubts: tuple[Doubt, ...] = ()


class PrintedFact(msgspec.Struct, frozen=True):
    """Something printed beside a label, such as the patient's name."""

    text: str
    page: int
    box: Box
    confidence: float


class LabReport(msgspec.Struct, frozen=True):
    """The laboratory values of a document, and whose and of when it says it is. Dates are as printed (dd/mm/yyyy)."""

    values: tuple[LabValue, ...] = ()
    patient_name: PrintedFact | None = None
    birth_date: PrintedFact | None = None
    collected: PrintedFact | None = None
