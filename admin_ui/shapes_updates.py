"""Updates as core tells them, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec


class UpdateEntry(msgspec.Struct, frozen=True):
    """One line of an update's history; ``at`` is a FHIR instant, ``code`` an error's or empty."""

    number: int
    at: str
    step: str
    what: str
    code: str = ""


class UpdateRow(msgspec.Struct, frozen=True, kw_only=True):
    """``running``: the program's version, empty if the package did not install it; ``version``: the update's, empty if none."""

    running: str
    version: str = ""
    before: str = ""
    step: str = ""
    step_pt: str = ""
    step_en: str = ""
    waits_pt: str = ""
    waits_en: str = ""
    ended: bool = True
    half_done: bool = False
    failure: str = ""
    failure_pt: str = ""
    failure_en: str = ""
    entries: list[UpdateEntry] = []
    past: list[UpdateRow] = []


class FoundUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle on a stick or in the inbox; ``refused``: an error's code, empty if it may come."""

    folder: str
    version: str = ""
    made: str = ""
    notes_pt: str = ""
    notes_en: str = ""
    bytes: int = 0
    refused: str = ""
    refused_pt: str = ""
    refused_en: str = ""


class UpdatesPicture(msgspec.Struct, frozen=True):
    """Everything of the page."""

    report: UpdateRow
    found: list[FoundUpdate]
