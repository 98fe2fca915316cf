"""Word times: the warping against a plain implementation, and the joining of words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.whisper_stt.engine_alignment import _words, warp


def cheapest(cost: np.ndarray) -> float:
    """The cost of the best monotone path, by the textbook recursion."""
    rows, columns = cost.shape
    total = np.full((rows, columns), np.inf)
    for row in range(rows):
        for column in range(columns):
            before = [total[row - 1, column - 1]] if row and column else []
            before += [total[row - 1, column]] if row else []
            before += [total[row, column - 1]] if column else []
            total[row, column] = cost[row, column] + (min(before) if before else 0.0)
    return float(total[-1, -1])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 10_000))
def test_the_path_is_the_cheapest_one(rows: int, columns: int, seed: int) -> None:
    cost = np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)
    row_index, column_index = warp(cost)
    assert (row_index[0], column_index[0]) == (0, 0)
    assert (row_index[-1], column_index[-1]) == (rows - 1, columns - 1)
    steps = set(zip(np.diff(row_index).tolist(), np.diff(column_index).tolist(), strict=True))
    assert steps <= {(0, 1), (1, 0), (1, 1)}
    assert float(cost[row_index, column_index].sum()) == pytest.approx(cheapest(cost), abs=1e-4)


def test_a_clear_diagonal_is_followed() -> None:
    cost = np.ones((5, 10), np.float32)
    for row in range(5):
        cost[row, 2 * row : 2 * row + 2] = -1
    row_index, column_index = warp(cost)
    first = [int(column_index[row_index == row].min()) for row in range(5)]
    assert first == [0, 2, 4, 6, 8]


def test_punctuation_belongs_to_the_word_before() -> None:
    starts = np.array([0.1, 0.5, 0.9, 1.0])
    found = _words([" Nega", " febre", "."], [1, 1, 1], starts, np.array([0.9, 0.8, 0.1], np.float32), 1.2)
    assert [word.text for word in found] == ["Nega", "febre."]
    assert (found[1].start, found[1].end) == (0.5, pytest.approx(0.9))
    assert found[1].probability == pytest.approx(0.8)


def test_a_leading_sign_stays_a_word_and_blanks_vanish() -> None:
    starts = np.array([0.0, 0.1, 0.2, 0.3])
    found = _words(["%", " ", " dor"], [1, 1, 1], starts, np.ones(3, np.float32), 1.0)
    assert [word.text for word in found] == ["%", "dor"]


def test_a_decimal_belongs_to_its_number() -> None:
    starts = np.array([0.0, 0.2, 0.4, 0.7])
    found = _words([" 38", ",5", " graus"], [1, 1, 1], starts, np.ones(3, np.float32), 1.0)
    assert [(word.text, word.start, word.end) for word in found] == [("38,5", 0.0, 0.4), ("graus", 0.4, 0.7)]


def test_times_never_leave_the_utterance() -> None:
    starts = np.array([0.4, 2.0, 9.0])
    found = _words([" um", " dois"], [1, 1], starts, np.ones(2, np.float32), 1.5)
    assert [(word.start, word.end) for word in found] == [(0.4, 1.5), (1.5, 1.5)]


def test_a_word_of_several_tokens_has_the_mean_probability() -> None:
    found = _words([" losartana"], [3], np.array([0.0, 0.1, 0.2, 0.6]), np.array([0.3, 0.6, 0.9], np.float32), 1.0)
    assert found[0].probability == pytest.approx(0.6)
    assert found[0].end == pytest.approx(0.6)
