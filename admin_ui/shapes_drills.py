"""Drills and capacity as core tells them, as far as the dashboard shows them."""

from __future__ import annotations

import msgspec


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report in one line; times in seconds, ``ended_at`` a FHIR instant."""

    id: str
    drill: str
    node: str
    ended_at: str
    seconds: float
    outcome: str
    asked_by: str
    rto_s: float | None = None
    rpo_writes: int | None = None
    watched_writes: int | None = None
    why_pt: str = ""
    why_en: str = ""


class DrillLine(msgspec.Struct, frozen=True, kw_only=True):
    """A drill before it happens. ``due_at``: empty for at once; ``announced_for``: empty: not announced."""

    node: str
    name: str
    title_pt: str
    title_en: str
    about_pt: str
    about_en: str
    here: bool
    running: bool
    due_at: str
    announced_for: str
    postponed: int
    put_off: bool
    last: DrillReport | None = None


class DrillPicture(msgspec.Struct, frozen=True):
    """What is to come, and what was, newest first."""

    drills: list[DrillLine]
    history: list[DrillReport]


class DrillFile(msgspec.Struct, frozen=True):
    """A signed PDF."""

    id: str
    pdf: bytes


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """``ai``, ``api`` or ``data``, in bytes."""

    name: str
    budget_bytes: int
    declared_bytes: int
    used_bytes: int


class ForecastRow(msgspec.Struct, frozen=True, kw_only=True):
    """When ``what`` is full. ``verdict``: ``forecast``, ``steady``, ``too_little_history`` or ``full``.

    ``level`` of ``limit`` bytes is taken, and ``per_day`` more a day; ``days`` were sampled.
    """

    what: str
    verdict: str
    level: float
    limit: float
    days: int
    needed_days: int
    per_day: float | None = None
    days_left: float | None = None


class CapacityPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Memory budgets and forecasts."""

    budgets: tuple[BudgetRow, ...]
    forecasts: tuple[ForecastRow, ...]
