"""Embeddings as numbers."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.security.faces import vectors

points = st.lists(st.floats(-10, 10), min_size=8, max_size=8).filter(lambda v: math.hypot(*v) > 0.01)


@given(points)
def test_what_is_encoded_is_read_again_as_float32(values: list[float]) -> None:
    vector = vectors.unit(values)
    again = vectors.decode(vectors.encode(vector))
    assert vectors.distance(vector, again) < 1e-6
    assert math.hypot(*again) == pytest.approx(1.0, abs=1e-12)


@given(points, points)
def test_a_distance_is_symmetric_and_between_0_and_2(one: list[float], other: list[float]) -> None:
    a, b = vectors.unit(one), vectors.unit(other)
    assert vectors.distance(a, b) == vectors.distance(b, a)
    assert 0 <= vectors.distance(a, b) <= 2 + 1e-12
    assert vectors.distance(a, a) == 0
    assert vectors.distance(a, vectors.unit([-x for x in one])) == pytest.approx(2)


@given(points, points)
def test_the_mean_is_as_near_to_one_as_to_the_other(one: list[float], other: list[float]) -> None:
    a, b = vectors.unit(one), vectors.unit(other)
    if vectors.distance(a, b) < 1.99:
        middle = vectors.mean([a, b])
        assert vectors.distance(middle, a) == pytest.approx(vectors.distance(middle, b), abs=1e-6)
        assert vectors.distance(middle, a) <= vectors.distance(a, b) + 1e-9


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"123",
        struct.pack("<2f", 0.5, 0.5),
        struct.pack("<2f", math.nan, 1),
        struct.pack("<2f", math.inf, 0),
        bytes(8),
    ],
)
def test_what_is_no_unit_vector_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="embedding"):
        vectors.decode(packed)


def test_vectors_that_cancel_each_other_have_no_mean() -> None:
    with pytest.raises(ValueError, match="direction"):
        vectors.mean([(1.0, 0.0), (-1.0, 0.0)])
    with pytest.raises(ValueError, match="direction"):
        vectors.mean([])


def test_vectors_of_two_models_are_not_compared() -> None:
    with pytest.raises(ValueError, match="dimension"):
        vectors.distance((1.0, 0.0), (1.0, 0.0, 0.0))
