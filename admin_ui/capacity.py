"""Judges what core tells of capacity: fine, full soon, or over, in words. No browser is needed for that."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from admin_ui.figures import number, size
from admin_ui.shapes_drills import BudgetRow, CapacityPicture, ForecastRow
from admin_ui.words import Words, known

State = Literal["ok", "soon", "over", "unknown"]
TIGHT: Final = 0.9
"""From this share of a limit on, somebody should look."""
SOON_DAYS: Final = 30.0
"""As the alert ``CapacityEnding`` (docs/alerts.md)."""
TONES: Final[dict[State, str]] = {"ok": "ok", "soon": "warn", "over": "bad", "unknown": ""}


class Judged(NamedTuple):
    """One line: ``share`` of its limit is taken (1 is full, more is over), None where that is not known yet."""

    name: str
    state: State
    share: float | None
    held: str
    outlook: str
    step: str


def judged(picture: CapacityPicture, say: Words, language: str) -> list[Judged]:
    """Budgets, then forecasts, in core's order."""
    return [
        *(_budget(row, say, language) for row in picture.budgets),
        *(_forecast(row, say, language) for row in picture.forecasts),
    ]


def _budget(row: BudgetRow, say: Words, language: str) -> Judged:
    share = row.used_bytes / row.budget_bytes if row.budget_bytes else None
    state: State = _by_share(share) if share is not None else "unknown"
    held = _held(row.used_bytes, row.budget_bytes, say, language, declared=row.declared_bytes)
    return Judged(row.name, state, share, held, "", _step(row.name, state, say))


def _forecast(row: ForecastRow, say: Words, language: str) -> Judged:
    share = row.level / row.limit if row.days and row.limit else None
    state = _state(row, share)
    held = _held(row.level, row.limit, say, language) if share is not None else ""
    return Judged(row.what, state, share, held, _outlook(row, say, language), _step(row.what, state, say))


def _state(row: ForecastRow, share: float | None) -> State:
    if row.verdict == "full":
        return "over"
    if row.days_left is not None and row.days_left < SOON_DAYS:
        return "soon"
    by_share: State = "ok" if share is None else _by_share(share)
    return "unknown" if row.verdict == "too_little_history" and by_share == "ok" else by_share


def _by_share(share: float) -> State:
    if share > 1:
        return "over"
    return "soon" if share >= TIGHT else "ok"


def _held(used: float, limit: float, say: Words, language: str, *, declared: int = 0) -> str:
    figures = {
        "used": size(used, language),
        "budget": size(limit, language),
        "share": f"{number(round(100 * used / limit) if limit else 0, language)}%",
    }
    if declared:
        return say("capacity.declared", declared=size(declared, language), **figures)
    return say("capacity.of", **figures)


def _outlook(row: ForecastRow, say: Words, language: str) -> str:
    if row.verdict == "too_little_history":
        return say("capacity.too_little_history", have=row.days, need=row.needed_days)
    if row.verdict == "forecast" and row.days_left is not None:
        if row.days_left < 1:
            return say("capacity.last_day")
        days = number(int(row.days_left), language)
        return say("capacity.forecast", days=days, pace=size(row.per_day or 0, language))
    return known(say, "capacity", row.verdict)


def _step(name: str, state: State, say: Words) -> str:
    """What to do next; empty where nothing is to be done, or for a part that is newer than this dashboard."""
    key = f"step.{name}.{state}"
    found = known(say, "capacity", key)
    return "" if found == key else found
