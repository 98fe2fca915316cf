"""Days left: right on a line, unmoved by wild days, and silent where the history does not say enough."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.operations.forecast import DAY_S, MIN_DAYS, forecast

HOURS = 24


def line(days: int, start: float, per_day: float, noise: float = 0.0) -> list[tuple[float, float]]:
    rng = random.Random(5)
    return [
        (hour * DAY_S / HOURS, start + per_day * (hour / HOURS) + rng.uniform(-noise, noise))
        for hour in range(days * HOURS)
    ]


def test_a_steady_growth_is_carried_on() -> None:
    told = forecast("disk", line(30, 100.0, 2.0), 1000.0)
    assert told.verdict == "forecast"
    assert told.per_day == pytest.approx(2.0)
    assert told.days_left == pytest.approx((1000 - told.level) / 2.0, abs=0.1)


def test_noise_and_wild_days_do_not_move_it() -> None:
    samples = line(40, 100.0, 2.0, noise=0.5)
    wild = [(at, level + 500 if int(at // DAY_S) in {3, 9, 17, 22, 31} else level) for at, level in samples]
    told = forecast("disk", wild, 1000.0)
    assert told.per_day == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("days", [0, 1, MIN_DAYS - 1])
def test_a_short_history_says_so(days: int) -> None:
    told = forecast("memory", line(days, 100.0, 5.0), 200.0)
    assert (told.verdict, told.days_left, told.days, told.needed_days) == ("too_little_history", None, days, MIN_DAYS)


@pytest.mark.parametrize("per_day", [0.0, -3.0, 0.001])
def test_what_does_not_grow_is_never_full(per_day: float) -> None:
    told = forecast("disk", line(30, 500.0, per_day), 1000.0)
    assert (told.verdict, told.days_left) == ("steady", None)


def test_what_is_full_is_full_whatever_the_history() -> None:
    assert forecast("disk", [(0.0, 11.0)], 10.0).days_left == 0.0


def test_a_gap_of_weeks_counts_as_its_days() -> None:
    days = [0, 1, 2, 3, 30, 31, 32, 33]
    told = forecast("disk", [(day * DAY_S, 10.0 * day) for day in days], 1000.0)
    assert told.per_day == pytest.approx(10.0)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0, 300 * DAY_S), st.floats(0, 1e15)), max_size=60), st.floats(1, 1e15), st.randoms()
)
def test_any_history_has_an_answer_that_does_not_depend_on_its_order(
    samples: list[tuple[float, float]], limit: float, rng: random.Random
) -> None:
    told = forecast("disk", samples, limit)
    shuffled = list(samples)
    rng.shuffle(shuffled)
    assert forecast("disk", shuffled, limit) == told
    assert (told.days_left is None) == (told.verdict in {"steady", "too_little_history"})
    assert told.days_left is None or told.days_left >= 0
