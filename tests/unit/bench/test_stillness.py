"""A pause of the whole machine is taken out of an outage, and nothing else is."""

from __future__ import annotations

import threading

import pytest

from bench.stillness import Pulse, longest_silence, moving_s


def test_only_what_overlaps_is_taken_out() -> None:
    still = [(2.0, 4.0), (9.0, 30.0)]
    assert moving_s((0.0, 1.0), still) == 1.0
    assert moving_s((1.0, 5.0), still) == 2.0
    assert moving_s((3.0, 10.0), still) == pytest.approx(5.0)
    assert moving_s((2.0, 4.0), still) == 0.0


def test_the_longest_silence_is_the_one_in_which_the_machine_ran() -> None:
    moments = [1.0, 2.0, 12.0, 15.0, 99.0]
    assert longest_silence(moments, (0.0, 16.0), []) == (2.0, 12.0)
    assert longest_silence(moments, (0.0, 16.0), [(2.5, 11.5)]) == (12.0, 15.0)
    assert longest_silence([], (3.0, 7.0), []) == (3.0, 7.0), "nobody answered at all"
    assert longest_silence([5.0], (3.0, 17.0), []) == (5.0, 17.0), "and nobody at the end"


def test_a_pulse_that_could_not_beat_says_from_when_to_when() -> None:
    times = iter([0.0, 0.1, 7.1, 7.2])
    over = threading.Event()

    def now() -> float:
        try:
            return next(times)
        except StopIteration:
            over.set()
            return 7.3

    pulse = Pulse(now, tick_s=0.001)
    pulse.start()
    assert over.wait(60)
    pulse.stop()
    assert pulse.spans == [(0.1, 7.1)]
