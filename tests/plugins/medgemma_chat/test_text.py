"""Tokens to text: whole characters, no stop sequence in sight, loops noticed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.medgemma_chat.text import IncrementalText, LoopGuard, StopFilter


def as_bytes(tokens: Sequence[int]) -> str:
    """A tokenizer whose tokens are single bytes: every accent is split over tokens."""
    return bytes(tokens).decode("utf-8", "replace")


@given(st.text())
def test_pieces_join_to_the_whole(text: str) -> None:
    incremental = IncrementalText(as_bytes)
    pieces = [incremental.push(byte) for byte in text.encode()]
    assert "".join(pieces) + incremental.flush() == text


@given(st.text(alphabet="aéãç😀€\u0301"))
def test_no_piece_holds_half_a_character(text: str) -> None:
    incremental = IncrementalText(as_bytes)
    assert not any("\ufffd" in incremental.push(byte) for byte in text.encode())


def test_a_character_cut_off_at_the_end_is_dropped() -> None:
    incremental = IncrementalText(as_bytes)
    assert incremental.push(ord("a")) == "a"
    assert incremental.push("é".encode()[0]) == ""
    assert incremental.flush() == ""


def test_bytes_that_never_become_a_character_do_not_hold_the_rest_back() -> None:
    incremental = IncrementalText(as_bytes)
    shown = "".join(incremental.push(0xFF) for _ in range(20)) + incremental.push(ord("b"))
    assert shown.endswith("b")


def reference(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    found = [text.find(stop) for stop in stops if stop in text]
    return (text[: min(found)], True) if found else (text, False)


@given(st.text(alphabet="ab", max_size=30), st.lists(st.text(alphabet="ab", min_size=1, max_size=4), max_size=3))
def test_a_stop_sequence_ends_the_text_wherever_the_tokens_split(text: str, stops: list[str]) -> None:
    by_character, whole = StopFilter(stops), StopFilter(stops)
    shown = ""
    for character in text:
        shown += by_character.push(character)
        if by_character.stopped:
            break
    shown += by_character.flush()
    at_once = whole.push(text) + whole.flush()
    wanted, stopped = reference(text, stops)
    assert (at_once, whole.stopped) == (wanted, stopped)
    assert by_character.stopped == stopped
    assert wanted.startswith(shown) if not stopped else not any(stop in shown for stop in stops)


@given(st.text(alphabet="ab", max_size=30), st.text(alphabet="ab", min_size=1, max_size=4))
def test_nothing_of_a_stop_sequence_is_ever_shown(text: str, stop: str) -> None:
    stops = StopFilter([stop])
    shown = ""
    for character in text:
        shown += stops.push(character)
        assert stop not in shown
    wanted, stopped = reference(text, [stop])
    assert shown + stops.flush() == wanted
    assert stops.stopped == stopped


def test_after_a_stop_nothing_more_is_shown() -> None:
    stops = StopFilter(["\n"])
    assert stops.push("um\ndois") == "um"
    assert stops.push("três") == ""
    assert stops.flush() == ""


def test_an_unfinished_stop_sequence_is_shown_at_the_end() -> None:
    stops = StopFilter(["###"])
    assert stops.push("nota ##") == "nota "
    assert stops.flush() == "##"


@pytest.mark.parametrize("period", [1, 2, 7, 16])
def test_a_loop_is_noticed(period: int) -> None:
    guard = LoopGuard()
    lead = [guard.push(1000 + index) for index in range(20)]
    noticed = [guard.push(index % period) for index in range(200)]
    assert not any(lead)
    first = noticed.index(True)
    assert max(guard.LEAST_TOKENS, period * guard.REPEATS) - 1 <= first <= max(60, period * guard.REPEATS)


def test_lists_that_look_alike_are_no_loop() -> None:
    guard = LoopGuard()
    assert not any(guard.push(token) for item in range(40) for token in (1, 2, 3, 100 + item, 4, 5))


def test_a_long_repetition_is_no_loop() -> None:
    guard = LoopGuard()
    assert not any(guard.push(token % 30) for token in range(300))
