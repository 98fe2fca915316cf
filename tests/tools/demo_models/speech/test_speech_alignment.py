from __future__ import annotations

import random

import pytest

from tools.demo_models.grammar import consult
from tools.demo_models.speech.alignment import written_word_starts
from tools.demo_models.speech.letters import ALPHABET, letters, number_words
from tools.demo_models.speech.pool import utter
from tools.demo_models.speech.voices import training_delivery


def test_words_written_as_said_take_their_times() -> None:
    starts = written_word_starts("Nega febre.", "Nega febre.", [(0, 0.1), (5, 0.5)], 1.0)
    assert starts == pytest.approx((0.1, 0.5))


def test_a_sign_lies_between_its_neighbours() -> None:
    spoken = "Usa losartana 50 miligramas à noite."
    events = [(0, 0.0), (4, 0.3), (14, 0.9), (17, 1.2), (28, 1.9), (30, 2.0)]
    starts = written_word_starts("Usa losartana 50 mg à noite.", spoken, events, 2.5)
    assert starts[:3] == pytest.approx((0.0, 0.3, 0.9))
    assert 0.9 < starts[3] < 1.9
    assert starts[4:] == pytest.approx((1.9, 2.0))


def test_nothing_in_common_is_spread_evenly() -> None:
    assert written_word_starts("a b", "x y z", [], 1.0) == pytest.approx((0.0, 0.5))


def test_words_of_real_sentences_never_go_back_and_stay_inside() -> None:
    rng = random.Random(8)
    for sentence in consult(rng).sentences:
        made = utter(sentence, training_delivery(rng))
        assert len(made.starts) == len(sentence.text.split())
        assert list(made.starts) == sorted(made.starts)
        assert made.starts[0] >= 0.0
        assert made.starts[-1] < made.duration_s


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (16, "dezesseis"),
        (21, "vinte e um"),
        (100, "cem"),
        (101, "cento e um"),
        (385, "trezentos e oitenta e cinco"),
        (1000, "mil"),
        (2300, "dois mil trezentos"),
        (150000, "cento e cinquenta mil"),
    ],
)
def test_numbers_are_said_in_words(number: int, words: str) -> None:
    assert number_words(number) == words


def test_letters_spell_what_is_said() -> None:
    spelt = "".join(ALPHABET[index - 1] for index in letters("PA 12,5; Não, à noite!"))
    assert spelt == "pa doze vírgula cinco não à noite"


def test_every_letter_of_the_grammar_is_in_the_alphabet() -> None:
    rng = random.Random(2)
    spoken = " ".join(sentence.spoken for _ in range(300) for sentence in consult(rng).sentences).lower()
    left = {sign for sign in spoken if sign.isalpha()} - set(ALPHABET)
    assert left == set()
