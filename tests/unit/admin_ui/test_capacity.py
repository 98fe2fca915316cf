"""What the capacity card says of budgets and forecasts: no browser is needed for that."""

from __future__ import annotations

import msgspec
import pytest

from admin_ui.capacity import SOON_DAYS, TONES, judged
from admin_ui.shapes_drills import BudgetRow, CapacityPicture, ForecastRow
from admin_ui.words import WORDS, words
from appliance.operations import budgets
from appliance.operations.forecast import DAY_S, forecast
from appliance.operations.watching.rules import RULES

GIB = 1 << 30
PT, EN = words("pt"), words("en")


def budget(name: str, used: float, declared: float = 0) -> CapacityPicture:
    """A budget of 100 GiB with ``used`` GiB held."""
    row = BudgetRow(name=name, budget_bytes=100 * GIB, declared_bytes=int(declared * GIB), used_bytes=int(used * GIB))
    return CapacityPicture(budgets=(row,), forecasts=())


def growing(what: str, days: int, per_day: float, level: float = 500.0) -> CapacityPicture:
    """As core itself forecasts it: GiB of 1,000, today at ``level``."""
    samples = [(day * DAY_S, (level + per_day * (day - days + 1)) * GIB) for day in range(days)]
    told = forecast(what, samples, 1000.0 * GIB)
    row = msgspec.json.decode(msgspec.json.encode(told), type=ForecastRow)
    return CapacityPicture(budgets=(), forecasts=(row,))


@pytest.mark.parametrize(
    ("used", "state"), [(0, "ok"), (89.9, "ok"), (90, "soon"), (100, "soon"), (100.1, "over"), (250, "over")]
)
def test_a_budget_is_judged_by_its_share(used: float, state: str) -> None:
    (line,) = judged(budget("api", used), PT, "pt")
    assert (line.state, bool(line.step)) == (state, state != "ok")
    assert line.share == pytest.approx(used / 100, abs=1e-6)


def test_what_is_held_is_told_with_its_limit_and_what_is_reserved() -> None:
    assert judged(budget("ai", 25.5), PT, "pt")[0].held == "25,5 GiB de 100 GiB (26%)"
    (line,) = judged(budget("ai", 25.5, declared=40), EN, "en")
    assert line.held == "25.5 GiB of 100 GiB (26%); 40 GiB reserved by the models that are loaded"


def test_a_node_without_a_budget_is_not_called_full() -> None:
    row = BudgetRow(name="data", budget_bytes=0, declared_bytes=0, used_bytes=7)
    (line,) = judged(CapacityPicture(budgets=(row,), forecasts=()), PT, "pt")
    assert (line.state, line.share, line.held) == ("unknown", None, "7 B de 0 B (0%)")


@pytest.mark.parametrize(
    ("picture", "state", "outlook"),
    [
        (growing("disk", 10, 1.0), "ok", "Cheio em 500 dias neste ritmo (1 GiB por dia)."),
        (growing("disk", 10, 20.0), "soon", "Cheio em 25 dias neste ritmo (20 GiB por dia)."),
        (growing("disk", 10, 50.0, 980), "soon", "Cheio em menos de um dia neste ritmo."),
        (growing("disk", 10, 0.0), "ok", "Não cresce, ou dura mais de dez anos."),
        (growing("disk", 10, 0.0, 950), "soon", "Não cresce, ou dura mais de dez anos."),
        (growing("disk", 3, 1.0), "unknown", "Histórico insuficiente: 3 de 7 dias. A previsão vem sozinha."),
        (growing("disk", 3, 1.0, 950), "soon", "Histórico insuficiente: 3 de 7 dias. A previsão vem sozinha."),
        (growing("disk", 10, 10.0, 1000), "over", "Cheio agora."),
    ],
)
def test_a_forecast_is_judged_as_core_tells_it(picture: CapacityPicture, state: str, outlook: str) -> None:
    (line,) = judged(picture, PT, "pt")
    assert (line.state, line.outlook) == (state, outlook)
    assert bool(line.step) == (state in ("soon", "over"))


def test_without_a_sample_there_is_no_share_to_show() -> None:
    (line,) = judged(growing("memory", 0, 0.0), PT, "pt")
    assert (line.state, line.share, line.held) == ("unknown", None, "")
    assert line.outlook.startswith("Histórico insuficiente: 0 de 7 dias.")


def test_the_days_are_those_of_the_alert() -> None:
    (ending,) = (one for one in RULES if one.name == "CapacityEnding")
    assert getattr(ending.condition, "value", None) == SOON_DAYS


def test_every_part_has_its_name_and_a_step_for_every_trouble() -> None:
    for name in (*budgets.KINDS, "disk", "memory"):
        assert {f"capacity.{name}", f"capacity.step.{name}.soon", f"capacity.step.{name}.over"} <= WORDS.keys()
    assert {f"capacity.state.{state}" for state in TONES} <= WORDS.keys()


def test_a_part_newer_than_the_dashboard_is_shown_without_a_step() -> None:
    (line,) = judged(budget("robots", 120), PT, "pt")
    assert (line.name, line.state, line.step) == ("robots", "over", "")
