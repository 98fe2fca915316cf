"""The soak's books: what counts as an error, from when a time counts, how long the node was away, and whether it grew."""

from __future__ import annotations

import math
import time
from array import array

import pytest

from bench.soak_books import Books, Uptime, growth, percentile


def test_percentiles_are_ranks_that_occurred() -> None:
    assert [percentile([4.0, 1.0, 3.0, 2.0], share) for share in (0.0, 0.5, 0.75, 0.99)] == [1.0, 2.0, 3.0, 4.0]
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert math.isnan(percentile([], 0.5))


def test_being_told_how_long_to_wait_is_no_error_and_everything_else_is() -> None:
    books = Books()
    books.refused("POST /api/patients", 429, "engine.busy", retry_after=True)
    books.refused("POST /api/patients", 429, "engine.busy", retry_after=False)
    books.refused("GET /fhir/R4/Patient", 503, "store.closed", retry_after=True)
    books.cut("GET /fhir/R4/Patient: cut (ReadError)")
    errors, blamed = books.settled()
    assert books.told_to_wait == {"POST /api/patients: engine.busy": 1}
    assert blamed == {}
    assert errors == {
        "POST /api/patients: 429 engine.busy": 1,
        "GET /fhir/R4/Patient: 503 store.closed": 1,
        "GET /fhir/R4/Patient: cut (ReadError)": 1,
    }


def test_what_breaks_while_the_machine_stands_still_is_told_apart() -> None:
    books = Books()
    books.cuts = [(99.9, "before"), (100.0, "meanwhile"), (110.0, "of it"), (113.1, "long after")]
    books.wrong("500")
    errors, blamed = books.settled([(100.0, 103.0)])
    assert errors == {"500": 1, "before": 1, "long after": 1}
    assert blamed == {"meanwhile": 1, "of it": 1}
    assert books.settled()[0].total() == books.settled([])[0].total() == 5


def test_what_a_phone_gave_up_is_an_error_unless_the_machine_is_shared() -> None:
    books = Books()
    books.timed_out["GET /api/notes: ReadTimeout"] += 2
    assert books.settled() == ({"GET /api/notes: ReadTimeout": 2}, {})
    assert books.settled([]) == ({}, {"GET /api/notes: ReadTimeout": 2})


def test_times_of_several_actions_are_taken_together() -> None:
    books = Books()
    for action, seconds in (("read", 0.1), ("search", 0.3), ("write", 9.0), ("read", 0.2)):
        books.took(action, seconds)
    assert sorted(books.all_of(["read", "search", "nobody did this"])) == [0.1, 0.2, 0.3]


def test_a_minute_counts_only_when_it_was_full() -> None:
    books = Books()
    books.answered = array("d", [99.0, 100.0, 130.0, 159.9, 160.0, 221.0, 225.0])
    assert books.minutes(100.0, 230.0) == [3, 1]
    assert books.minutes(100.0, 290.0) == [3, 1, 2]


def test_a_minute_without_any_answer_is_the_least() -> None:
    books = Books()
    books.answered = array("d", [1.0, 2.0, 130.0])
    assert min(books.minutes(0.0, 180.0)) == 0


def test_a_run_below_a_minute_tells_its_rate() -> None:
    books = Books()
    books.answered = array("d", [0.0, 10.0, 29.0, 31.0])
    assert books.minutes(0.0, 30.0) == [6]


def test_answers_are_counted_when_they_are_heard() -> None:
    books, before = Books(), time.monotonic()
    books.heard()
    assert before <= books.answered[0] <= time.monotonic()


def probed(*answers: bool, every_s: float = 0.25) -> Uptime:
    uptime = Uptime()
    for number, answered in enumerate(answers):
        uptime.probed(number * every_s, answered=answered)
    uptime.end(len(answers) * every_s)
    return uptime


def test_who_always_answers_is_always_up() -> None:
    uptime = probed(*[True] * 8)
    assert (uptime.away_s, uptime.outages, uptime.share(2.0)) == (0.0, [], 1.0)


def test_away_lasts_from_the_first_silent_probe_to_the_next_answer() -> None:
    uptime = probed(True, False, False, True, True, False, True)
    assert uptime.outages == [0.5, 0.25]
    assert uptime.away_s == pytest.approx(0.75)
    assert uptime.share(7.5) == pytest.approx(0.9)


def test_who_is_away_at_the_end_was_away_until_the_end() -> None:
    uptime = probed(True, False, False)
    assert uptime.outages == [0.5]


def test_who_never_answered_was_up_for_nothing() -> None:
    assert probed(*[False] * 4).share(1.0) == 0.0


def test_growth_compares_the_last_third_with_the_second_and_forgives_the_first() -> None:
    found = growth([10] * 10 + [100] * 10 + [103] * 10)
    assert found is not None
    assert (found.second, found.last, found.ratio) == (100, 103, 1.03)


def test_one_spike_is_no_growth() -> None:
    found = growth([100] * 30 + [900] + [100] * 8)
    assert found is not None
    assert found.ratio == 1.0


def test_a_few_samples_tell_nothing_of_growth() -> None:
    assert growth([1] * 14) is None
