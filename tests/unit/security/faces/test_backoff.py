"""Waiting after wrong attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.security.faces.backoff import FORGET_S, LOCK_AT, LOCK_S, LONGEST_S, counted, wait_s


def test_three_are_free_then_it_doubles_and_locks() -> None:
    assert [wait_s(n, 0) for n in range(10)] == [0, 0, 0, 1, 2, 4, 8, 16, 900, 900]


@given(st.integers(0, 100), st.floats(0, 5000))
def test_time_makes_it_shorter_and_attempts_never_do(attempts: int, since: float) -> None:
    now = wait_s(attempts, since)
    assert 0 <= now <= max(LONGEST_S, LOCK_S)
    assert wait_s(attempts, since + 10) <= now <= wait_s(attempts + 1, since)
    assert wait_s(attempts, now + since) == 0 or now == 0


@given(st.integers(0, 100), st.floats(-1e6, -0.001))
def test_a_clock_that_was_set_back_frees_nobody(attempts: int, since: float) -> None:
    assert wait_s(attempts, since) == wait_s(attempts, 0)
    assert counted(attempts, since) == attempts


def test_an_hour_without_a_guess_forgives_and_a_lock_is_shorter_than_that() -> None:
    assert (counted(LOCK_AT, FORGET_S), counted(LOCK_AT, FORGET_S + 1)) == (LOCK_AT, 0)
    assert wait_s(LOCK_AT, FORGET_S) == 0
