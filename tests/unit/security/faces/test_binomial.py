"""Intervals against published and closed-form values, and against the sums that define them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.security.faces.binomial import (
    beta_quantile,
    clopper_pearson,
    incomplete_beta,
    trials_needed,
    upper_bound,
)


def at_most(errors: int, trials: int, rate: float) -> float:
    """P(X <= errors) of a binomial variable, by its sum."""
    return math.fsum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(errors + 1))


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [
        (3, 10, 0.06674, 0.65245),
        (5, 20, 0.08657, 0.49105),
        (50, 100, 0.39832, 0.60168),
        (1, 10, 0.00253, 0.44502),
        (10, 10, 0.69150, 1.0),
        (0, 30, 0.0, 0.11570),
    ],
)
def test_known_intervals(errors: int, trials: int, low: float, high: float) -> None:
    """95 % values as statistics tables give them (for example Newcombe 1998, and R's binom.test)."""
    assert clopper_pearson(errors, trials) == pytest.approx((low, high), abs=6e-6)


@pytest.mark.parametrize("trials", [1, 7, 300, 30_000, 3_000_000])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_without_an_error_there_is_a_closed_form(trials: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    low, high = clopper_pearson(0, trials, confidence)
    assert (low, high) == (0.0, pytest.approx(1 - tail ** (1 / trials), rel=1e-9))
    assert upper_bound(0, trials, confidence) == pytest.approx(-math.expm1(math.log1p(-confidence) / trials), rel=1e-9)
    assert clopper_pearson(trials, trials, confidence) == (pytest.approx(tail ** (1 / trials), rel=1e-9), 1.0)


@settings(max_examples=60)
@given(st.integers(1, 200), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_bounds_are_where_the_tails_are_what_was_promised(
    trials: int, data: st.DataObject, confidence: float
) -> None:
    errors = data.draw(st.integers(0, trials))
    low, high = clopper_pearson(errors, trials, confidence)
    tail = (1 - confidence) / 2
    assert 0 <= low <= errors / trials <= high <= 1
    if errors < trials:
        assert at_most(errors, trials, high) == pytest.approx(tail, rel=1e-6)
    if errors:
        assert 1 - at_most(errors - 1, trials, low) == pytest.approx(tail, rel=1e-6)


@settings(max_examples=60)
@given(st.floats(0.001, 0.999), st.floats(0.5, 500), st.floats(0.5, 500))
def test_the_incomplete_beta_function_and_its_inverse(x: float, a: float, b: float) -> None:
    value = incomplete_beta(x, a, b)
    assert 0 <= value <= 1 + 1e-12
    assert value + incomplete_beta(1 - x, b, a) == pytest.approx(1, abs=1e-9)
    assert incomplete_beta(x, 1, b) == pytest.approx(1 - (1 - x) ** b, abs=1e-9)
    if 1e-9 < value < 1 - 1e-9:
        assert beta_quantile(value, a, b) == pytest.approx(x, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(("rate", "needed"), [(1e-2, 299), (1e-3, 2995), (1e-4, 29_956), (1e-5, 299_572), (0.5, 5)])
def test_the_rule_of_three(rate: float, needed: int) -> None:
    assert trials_needed(rate) == needed
    assert upper_bound(0, needed) <= rate * (1 + 1e-9)
    assert upper_bound(0, needed - 1) > rate


@pytest.mark.parametrize(
    ("errors", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (0, 0, 0.95), (1, 5, 1.0), (1, 5, 0.0)]
)
def test_what_is_no_count_is_refused(errors: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="between"):
        clopper_pearson(errors, trials, confidence)
    with pytest.raises(ValueError, match="between"):
        upper_bound(errors, trials, confidence)
    with pytest.raises(ValueError, match="between"):
        trials_needed(1.0)
