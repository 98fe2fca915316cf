"""Rates at thresholds, and claims that data can or can't carry."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.security.faces import vectors
from appliance.security.faces.binomial import upper_bound
from appliance.security.faces.evaluation import ClaimError, Distances, claim, distances, row
from tests.fakes.scripted_faces import described, picture


def face(person: str) -> vectors.Vector:
    return vectors.decode(described(picture(person)).embedding)


def evenly(pairs: int) -> Distances:
    """Pairs of one person 0.001 to 0.5 apart, ``pairs`` of two people evenly from 0.6 to 1.6."""
    return Distances([number / 1000 for number in range(1, 501)], [0.6 + number / pairs for number in range(pairs)])


def test_every_pair_is_counted_once() -> None:
    people = {"ana": [face("ana") for _ in range(3)], "rui": [face("rui") for _ in range(2)], "bia": [face("bia")]}
    found = distances(people)
    assert (len(found.same), len(found.different)) == (3 + 1, 3 * 2 + 3 + 2)
    assert max(found.same) < 0.6
    assert min(found.different) > 1.0
    every = [vector for faces in people.values() for vector in faces]
    computed = sorted(vectors.distance(a, b) for place, a in enumerate(every) for b in every[place + 1 :])
    assert sorted([*found.same, *found.different]) == pytest.approx(computed, abs=1e-7)


@pytest.mark.parametrize("people", [{}, {"ana": 1}, {"ana": 3}, {"ana": 1, "rui": 1}])
def test_without_both_kinds_of_pairs_there_is_nothing_to_say(people: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="two people"):
        distances({name: [face(name) for _ in range(count)] for name, count in people.items()})


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=40),
    st.lists(st.floats(0, 2), min_size=1, max_size=40),
    st.floats(0, 2),
)
def test_rates_are_counts(same: list[float], different: list[float], threshold: float) -> None:
    at = row(Distances(sorted(same), sorted(different)), threshold)
    assert at.false_accepts.errors == sum(apart <= threshold for apart in different)
    assert at.false_rejects.errors == sum(apart > threshold for apart in same)
    for rate in (at.false_accepts, at.false_rejects):
        assert rate.low <= rate.share <= rate.high


def test_a_claim_that_the_pairs_can_not_carry_is_refused_with_the_number_that_would() -> None:
    with pytest.raises(ClaimError) as refused:
        claim(evenly(5000), 1e-4)
    assert "5000 pairs" in str(refused.value)
    assert "29956 pairs" in str(refused.value)
    assert "FAR <= 0.0006" in str(refused.value)
    assert claim(evenly(29_956), 1e-4).row.false_accepts.errors == 0


@given(st.integers(3000, 9000), st.sampled_from([1e-3, 5e-3, 0.02, 0.3]))
def test_a_claimed_threshold_is_the_largest_that_holds(pairs: int, far: float) -> None:
    found = evenly(pairs)
    shown = claim(found, far)
    assert shown.bound <= far
    assert shown.bound == upper_bound(shown.row.false_accepts.errors, pairs)
    next_step = row(found, round(shown.row.threshold + 0.001, 3))
    assert upper_bound(next_step.false_accepts.errors, pairs) > far
    assert math.isclose(shown.row.threshold * 1000, round(shown.row.threshold * 1000), abs_tol=1e-6)


def test_a_model_to_which_two_people_are_one_gets_no_threshold() -> None:
    with pytest.raises(ClaimError, match="no threshold"):
        claim(Distances([0.1], [0.0] * 5000), 1e-3)
