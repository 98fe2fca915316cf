"""What a drill is and what its report says. Times in seconds, moments FHIR instants; nothing in a report is of a patient."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from appliance.operations.schedule_memory import Figure

FORMAT: Final = "prontuario/drill-report/1"
StepOutcome = Literal["passed", "failed", "not_configured"]
Outcome = Literal["passed", "incomplete", "failed", "not_configured", "given_up"]
"""``incomplete``: nothing failed, but something is not configured; ``given_up``: consults never let it begin."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done. ``why``: what failed, or what is not configured, and what to do; empty when it passed."""

    name: str
    pt: str
    en: str
    outcome: StepOutcome
    seconds: float
    figures: dict[str, Figure] = {}
    why_pt: str = ""
    why_en: str = ""


class Attachment(msgspec.Struct, frozen=True):
    """A file beside the report: its name there, its length in bytes, and the SHA-256 of its content in hex."""

    name: str
    size: int
    sha256: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report as data; the PDF shows the same.

    ``rto_s``: for how long nobody could work, or a restore took; ``rpo_writes``: acknowledged writes that were missing
    afterwards, of ``watched_writes`` that were looked for. None: this drill does not measure it.
    """

    format: str = FORMAT
    id: str
    drill: str
    title_pt: str
    title_en: str
    node: str
    hospital: str
    version: str
    asked_by: str
    """Who wanted it now; empty: the schedule."""
    announced_at: str
    """Empty: it disturbs nobody, or a person wanted it at once."""
    postponed: int
    began_at: str
    ended_at: str
    seconds: float
    outcome: Outcome
    rto_s: float | None = None
    rpo_writes: int | None = None
    watched_writes: int | None = None
    steps: tuple[Step, ...] = ()
    attachments: tuple[Attachment, ...] = ()


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A report in one line, for lists and trends."""

    id: str
    drill: str
    node: str
    ended_at: str
    seconds: float
    outcome: Outcome
    asked_by: str
    rto_s: float | None = None
    rpo_writes: int | None = None
    watched_writes: int | None = None
    why_pt: str = ""
    why_en: str = ""


class DrillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A drill as people see it before it happens. ``due_at``: empty for at once; ``announced_for``: empty: not announced."""

    node: str
    name: str
    title_pt: str
    title_en: str
    about_pt: str
    about_en: str
    every_s: float
    here: bool
    running: bool
    due_at: str
    announced_for: str
    postponed: int
    put_off: bool
    """It was postponed so often that a person has to find a time for it."""
    last: Summary | None = None


def outcome_of(steps: tuple[Step, ...]) -> Outcome:
    """The worst that happened; ``not_configured`` only when nothing else was there to do."""
    seen = {step.outcome for step in steps}
    if "failed" in seen or not steps:
        return "failed"
    if seen == {"passed"}:
        return "passed"
    return "incomplete" if "passed" in seen else "not_configured"


def summary_of(facts: Facts) -> Summary:
    """The line of a report."""
    wrong = next((step for step in facts.steps if step.outcome == "failed"), None)
    wrong = wrong or next((step for step in facts.steps if step.outcome != "passed"), None)
    return Summary(
        id=facts.id,
        drill=facts.drill,
        node=facts.node,
        ended_at=facts.ended_at,
        seconds=facts.seconds,
        outcome=facts.outcome,
        asked_by=facts.asked_by,
        rto_s=facts.rto_s,
        rpo_writes=facts.rpo_writes,
        watched_writes=facts.watched_writes,
        why_pt=wrong.why_pt if wrong else "",
        why_en=wrong.why_en if wrong else "",
    )
