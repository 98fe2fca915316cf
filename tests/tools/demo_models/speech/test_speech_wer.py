from __future__ import annotations

import pytest

from tools.demo_models.speech.wer import distance, word_error_rate, words


def test_punctuation_and_case_do_not_count_but_decimals_and_signs_do() -> None:
    assert words("Temperatura de 38,5 graus, 92%.") == ["temperatura", "de", "38_5", "graus", "92%"]
    assert word_error_rate([("Nega febre.", "nega febre")]) == 0.0
    assert word_error_rate([("38,5 graus", "38 5 graus")]) > 0


@pytest.mark.parametrize(
    ("expected", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("a b c", "a x c", 1),
        ("a b c", "a c", 1),
        ("a c", "a b c", 1),
        ("", "a b", 2),
        ("a", "", 1),
    ],
)
def test_each_edit_is_one_error(expected: str, heard: str, errors: int) -> None:
    assert distance(expected.split(), heard.split()) == errors


def test_the_rate_weighs_sentences_by_their_words() -> None:
    assert word_error_rate([("a b c d", "a b c d"), ("x", "y")]) == pytest.approx(1 / 5)
    assert word_error_rate([]) == 0.0
