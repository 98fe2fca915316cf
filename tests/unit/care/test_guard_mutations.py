"""A supported sentence with one thing changed is never supported: numbers, units, drugs, negations, sides, dates, frequencies.

The sentences are held-out ones of the demonstration's grammar, some hundred wordings; the changes are drawn by hypothesis.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.care.guard import check_sentence
from appliance.care.guard.evidence import is_drug
from appliance.care.guard.lexicon import ALIASES, DRUGS
from appliance.care.guard.numbers import fold
from tests.unit.care.test_guard_numbers import spoken
from tools.demo_models.evaluation.judge import numbers
from tools.demo_models.grammar import Sentence, consult
from tools.demo_models.grammar.hard import hard_consult

SEEDS = st.integers(0, 2**32)
NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*")
WORD = re.compile(r"[^\W\d_]+")
OTHER_SIDE = {"direito": "esquerdo", "direita": "esquerda", "esquerdo": "direito", "esquerda": "direita"}
UNIT = {"mg": ("mcg", "g", "ml"), "dias": ("semanas", "meses"), "semanas": ("dias", "anos"), "meses": ("dias", "anos")}
TURNED = {"nega": "Refere", "refere": "Nega", "sem": "com"}
KNOWN_BY_TWO_NAMES = {word for pattern, name in ALIASES for word in (*WORD.findall(pattern.replace(r"\b", " ")), name)}
Change = Callable[[random.Random, str, str], Iterator[str]]
"""(random, what was written, what was said) → the writing with one thing changed, for each place where it can be."""


def put(text: str, found: re.Match[str], other: str) -> str:
    return text[: found.start()] + other + text[found.end() :]


def other_number(r: random.Random, written: str, said: str) -> Iterator[str]:
    for found in NUMBER.finditer(written):
        other = str(r.randint(2, 999))
        if other not in numbers(said):
            yield put(written, found, other)


def other_unit(r: random.Random, written: str, said: str) -> Iterator[str]:
    for found in WORD.finditer(written):
        choices = [unit for unit in UNIT.get(found[0], ()) if unit not in WORD.findall(said)]
        if choices:
            yield put(written, found, r.choice(choices))


def other_drug(r: random.Random, written: str, said: str) -> Iterator[str]:
    for found in WORD.finditer(written):
        other = r.choice(sorted(DRUGS - KNOWN_BY_TWO_NAMES))
        if is_drug(fold(found[0])) and other not in WORD.findall(fold(said)):
            yield put(written, found, other)


def other_polarity(_r: random.Random, written: str, _said: str) -> Iterator[str]:
    for found in WORD.finditer(written):
        if found[0].lower() in TURNED:
            yield put(written, found, TURNED[found[0].lower()])


def other_side(_r: random.Random, written: str, _said: str) -> Iterator[str]:
    for found in WORD.finditer(written):
        if found[0].lower() in OTHER_SIDE:
            yield put(written, found, OTHER_SIDE[found[0].lower()])


CHANGES: dict[str, Change] = {
    "number": other_number,
    "unit": other_unit,
    "drug": other_drug,
    "negation": other_polarity,
    "side": other_side,
}


def pairs(seed: int) -> list[tuple[str, Sentence]]:
    """(what was said, its sentence) of two consults: one that speaks in figures, the same one in number words."""
    plain = consult(random.Random(str(seed)), "held_out").sentences
    words = hard_consult(random.Random(str(seed)), "number_words").lines
    return [(each.text, each) for each in plain] + list(zip(words, plain, strict=True))


@pytest.mark.parametrize("kind", CHANGES)
@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_one_thing_changed_in_a_supported_sentence_is_always_marked(kind: str, seed: int) -> None:
    r = random.Random(seed)
    for said, each in pairs(seed):
        assert check_sentence(each.note, [1], {1: said}).supported, (said, each.note)
        for changed in CHANGES[kind](r, each.note, said):
            assert not check_sentence(changed, [1], {1: said}).supported, (said, changed)


def test_the_changes_reach_every_kind() -> None:
    """Or the property above would hold of nothing."""
    r, made = random.Random(0), Counter[str]()
    for seed in range(40):
        for said, each in pairs(seed):
            made.update({kind: len(list(change(r, each.note, said))) for kind, change in CHANGES.items()})
    assert min(made.values()) >= 20, made


DAY, MONTH = st.integers(1, 28), st.integers(1, 12)
MONTHS = "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()  # noqa: SIM905


@settings(deadline=None, max_examples=50)
@given(day=DAY, month=MONTH, other_day=DAY, other_month=MONTH, year=st.integers(1990, 2030))
def test_a_date_is_the_date_that_was_said(day: int, month: int, other_day: int, other_month: int, year: int) -> None:
    said = {1: f"Cirurgia em {spoken(day)} de {MONTHS[month - 1]} de {year}."}
    assert check_sentence(f"Cirurgia em {day}/{month}/{year}.", [1], said).supported
    verdict = check_sentence(f"Cirurgia em {other_day}/{other_month}/{year}.", [1], said)
    assert verdict.supported is ((day, month) == (other_day, other_month))
    assert not check_sentence(f"Cirurgia em {day}/{month}/{year + 1}.", [1], said).supported


@pytest.mark.parametrize("first", ["um", "primeiro", "1º"])
def test_the_first_of_a_month(first: str) -> None:
    assert check_sentence("Consulta em 01/05/2024.", [1], {1: f"Consulta em {first} de maio de 2024."}).supported
    assert not check_sentence("Consulta em 02/05/2024.", [1], {1: f"Consulta em {first} de maio de 2024."}).supported


TIMES = {2: ("duas", 12), 3: ("três", 8), 4: ("quatro", 6)}


@settings(deadline=None, max_examples=50)
@given(times=st.sampled_from(sorted(TIMES)), written=st.sampled_from([4, 6, 8, 12, 24]))
def test_a_frequency_is_the_one_that_was_said(times: int, written: int) -> None:
    words, hours = TIMES[times]
    said = {1: f"Tomar dipirona {words} vezes ao dia."}
    assert check_sentence(f"Dipirona {written}/{written}h.", [1], said).supported is (written == hours)
    assert check_sentence(f"Dipirona {times}x/dia.", [1], said).supported


@settings(deadline=None, max_examples=50)
@given(drops=st.integers(2, 60), other=st.integers(2, 60))
def test_drops_are_counted_and_gout_is_not(drops: int, other: int) -> None:
    said = {1: f"Dipirona {spoken(drops)} gotas se dor."}
    assert check_sentence(f"Dipirona {other} gotas se dor.", [1], said).supported is (drops == other)
    assert check_sentence(f"Dipirona {drops} gts se dor.", [1], said).supported
    assert not check_sentence(f"Dipirona {drops} comprimidos se dor.", [1], said).supported


@pytest.mark.parametrize(
    ("said", "written", "supported"),
    [
        ("Tenho gota há três anos.", "Refere gota há 3 anos.", True),
        ("Hipótese diagnóstica de crise de gota.", "Crise de gota.", True),
        ("Nega gota e diabetes.", "Refere gota.", False),
        ("Refere dor no joelho.", "Refere gota.", False),
        ("Uma gota em cada olho.", "1 gota em cada olho.", True),
        ("Uma gota em cada olho.", "2 gotas em cada olho.", False),
        ("Tenho gota e tomo alopurinol 300 miligramas.", "Gota, em uso de alopurinol 300 mg.", True),
    ],
)
def test_gout_is_a_disease_and_a_drop_is_a_unit(said: str, written: str, supported: bool) -> None:
    assert check_sentence(written, [1], {1: said}).supported is supported


@pytest.mark.parametrize(
    ("said", "written", "supported"),
    [
        ("Glicemia capilar 266.", "Glicemia capilar 266 mg/dl.", True),
        ("Glicemia capilar 266.", "Glicemia capilar 266 g/dl.", False),
        ("Hemoglobina doze.", "Hemoglobina 12 g/dl.", True),
        ("Hemoglobina doze.", "Hemoglobina 12 mg/dl.", False),
        ("Potássio quatro.", "Potássio 4 mg/dl.", False),
        ("Frequência cardíaca oitenta.", "FC 80 irpm.", False),
        ("Febre de 39.", "Febre de 39 °C.", True),
    ],
)
def test_a_unit_left_out_is_that_of_its_figure(said: str, written: str, supported: bool) -> None:
    assert check_sentence(written, [1], {1: said}).supported is supported
