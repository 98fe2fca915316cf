"""Doctor's findings as core tells them, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec

from admin_ui.shapes import Trouble


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One check's answer; ``status``: ``ok``, ``warning``, ``failed`` or ``skipped``. ``step`` is empty where there is none."""

    id: str
    verdict: str
    status: str
    group: str
    title_pt: str
    title_en: str
    cause_pt: str
    cause_en: str
    step_pt: str = ""
    step_en: str = ""
    runbook: str = ""


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; ``at`` is a FHIR instant."""

    at: str
    status: str
    findings: tuple[FindingRow, ...]


class DoctorRound(msgspec.Struct, frozen=True, kw_only=True):
    """An examination that ended."""

    by: str
    at: str
    seconds: float
    report: DoctorReport


class DoctorPicture(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands on ``node``."""

    node: str
    running: bool
    asked_by: str = ""
    asked_at: str = ""
    last: DoctorRound | None = None
    trouble: Trouble | None = None


class RawRound(msgspec.Struct, frozen=True):
    """The report untouched, for the file."""

    report: msgspec.Raw


class RawPicture(msgspec.Struct, frozen=True):
    """As much of the picture as the file needs."""

    last: RawRound | None = None
