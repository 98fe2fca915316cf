from __future__ import annotations

import pytest

from appliance.plugin_api.errors import ProntuarioError
from appliance.security.throttle import Limits, Throttle
from tests.fakes.hand_clock import HandClock

LIMITS = Limits(free=3, lock_at=6, longest_s=60, lock_s=900, forget_s=3600)


@pytest.fixture
def throttle(clock: HandClock) -> Throttle:
    return Throttle(LIMITS, clock.monotonic)


def blocked_for(throttle: Throttle, key: str = "ana") -> tuple[str, float]:
    with pytest.raises(ProntuarioError) as caught:
        throttle.begin(key)
    assert caught.value.retry_after is not None
    return caught.value.kind.code, caught.value.retry_after


def test_delays_grow_and_end_in_a_lock(throttle: Throttle, clock: HandClock) -> None:
    throttle.begin("ana")
    throttle.begin("ana")
    throttle.begin("ana")
    assert blocked_for(throttle) == ("auth.throttled", 1)
    for delay in (2, 4):
        clock.pass_time(delay / 2)
        throttle.begin("ana")
        assert blocked_for(throttle) == ("auth.throttled", delay)
    clock.pass_time(4)
    throttle.begin("ana")
    assert blocked_for(throttle) == ("auth.locked", 900)
    assert throttle.is_locked("ana")


def test_a_refused_attempt_does_not_count(throttle: Throttle, clock: HandClock) -> None:
    for _ in range(3):
        throttle.begin("ana")
    for _ in range(50):
        blocked_for(throttle)
    clock.pass_time(1)
    throttle.begin("ana")
    assert not throttle.is_locked("ana")


def test_success_starts_anew(throttle: Throttle) -> None:
    for _ in range(3):
        throttle.begin("ana")
    throttle.succeeded("ana")
    for _ in range(3):
        throttle.begin("ana")


def test_others_are_not_slowed_down(throttle: Throttle) -> None:
    for _ in range(3):
        throttle.begin("ana")
    throttle.begin("bia")


def test_a_hundred_at_once_are_not_a_hundred_free_guesses(throttle: Throttle) -> None:
    """Nobody has answered yet, and still only three may try."""
    allowed = 0
    for _ in range(100):
        try:
            throttle.begin("ana")
        except ProntuarioError:
            continue
        allowed += 1
    assert allowed == 3


def test_an_attempt_that_told_nothing_is_given_back(throttle: Throttle) -> None:
    for _ in range(20):
        throttle.begin("ana")
        throttle.withdraw("ana")
    throttle.withdraw("nobody")


def test_giving_back_does_not_shorten_an_earned_wait(throttle: Throttle) -> None:
    for _ in range(3):
        throttle.begin("ana")
    throttle.begin("bia")
    throttle.withdraw("bia")
    assert blocked_for(throttle)[0] == "auth.throttled"


def test_the_wall_clock_can_not_end_a_lock(throttle: Throttle, clock: HandClock) -> None:
    for _ in range(3):
        throttle.begin("ana")
    clock.step_wall(86_400)
    assert blocked_for(throttle) == ("auth.throttled", 1)


def test_old_failures_are_forgotten(throttle: Throttle, clock: HandClock) -> None:
    for _ in range(3):
        throttle.begin("ana")
    clock.pass_time(3601)
    for _ in range(3):
        throttle.begin("ana")


def test_memory_is_bounded(throttle: Throttle) -> None:
    for number in range(20_000):
        throttle.begin(f"name{number}")
    assert len(throttle._counts) == 10_000
