from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care.guard.form import canonical as guard_form
from tools.demo_models.grammar import is_held_out
from tools.demo_models.grammar.canonical import canonical, spoken
from tools.demo_models.grammar.hard import (
    HARDNESSES,
    QUESTIONS,
    SMALL_TALK,
    UNKNOWN_DIAGNOSES,
    UNKNOWN_DRUGS,
    hard_consult,
)
from tools.demo_models.grammar.number_words import cardinal, in_words
from tools.demo_models.grammar.vocabulary import DIAGNOSES, DRUGS


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Pressão arterial de 150 por 90 milímetros de mercúrio.", "PA 150/90 mmHg."),
        ("Frequência cardíaca 80 e saturação 97%.", "FC 80 bpm, SatO2 97%."),
        ("Temperatura axilar de 38,5 graus.", "Temperatura axilar 38,5 °C."),
        ("Prescrevo dipirona 1 g de 6 em 6 horas por 3 dias.", "Iniciar dipirona 1 g 6/6h por 3 dias."),
        ("Sem febre ou tosse seca.", "Nega febre ou tosse seca."),
        ("Sem sinais de dengue no momento.", "Sem sinais de dengue no momento."),
        ("Homem de 50 anos, refere azia há 2 dias.", "Paciente masculino de 50 anos, refere azia há 2 dias."),
        ("Toma losartana 50 mg 1 vez ao dia.", "Em uso de losartana 50 mg 1 vez ao dia."),
    ],
)
def test_the_note_has_one_wording_for_each_act(text: str, note: str) -> None:
    assert canonical(text) == note


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Usa metformina 500 mg 2 vezes ao dia.", "Usa metformina 500 miligramas duas vezes ao dia."),
        ("Retorno em 1 semana.", "Retorno em uma semana."),
        ("Refere azia há 22 semanas.", "Refere azia há vinte e duas semanas."),
        ("Refere azia há 12 semanas.", "Refere azia há 12 semanas."),
        ("Saturação de oxigênio 95% em ar ambiente.", "Saturação de oxigênio 95 por cento em ar ambiente."),
        ("Prescrevo dipirona 1 g de 6 em 6 horas.", "Prescrevo dipirona um grama de 6 em 6 horas."),
        ("Peso 70 kg, altura 1,72 m.", "Peso 70 quilos, altura 1,72."),
        ("Usa insulina glargina 20 UI à noite.", "Usa insulina glargina 20 unidades à noite."),
    ],
)
def test_units_are_spoken_out_and_feminine_numerals_agree(text: str, said: str) -> None:
    assert spoken(text) == said


@given(st.integers(0, 999_999))
def test_the_guard_reads_number_words_back(number: int) -> None:
    assert guard_form(f"peso {cardinal(number)} gramas") == guard_form(f"peso {number} gramas")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pressão arterial 120 por 80.", "Pressão arterial cento e vinte por oitenta."),
        ("Temperatura axilar 38,5 graus.", "Temperatura axilar trinta e oito vírgula cinco graus."),
        ("Usa digoxina 0,25 mg 2 vezes ao dia.", "Usa digoxina zero vírgula vinte e cinco mg duas vezes ao dia."),
        ("Creatinina de 1,05.", "Creatinina de um vírgula zero cinco."),
        ("Plaquetas de 150000.", "Plaquetas de cento e cinquenta mil."),
    ],
)
def test_numbers_become_words(text: str, words: str) -> None:
    assert in_words(text) == words


@pytest.mark.parametrize("hardness", HARDNESSES)
def test_a_hard_consult_names_the_line_of_each_fact(hardness: str) -> None:
    for seed in range(10):
        made = hard_consult(random.Random(seed), hardness)  # type: ignore[arg-type]
        assert made == hard_consult(random.Random(seed), hardness)  # type: ignore[arg-type]
        assert made.facts
        assert all(1 <= line <= len(made.lines) for _, line in made.facts)
        empty = {number for number, line in enumerate(made.lines, 1) if line in (*QUESTIONS, *SMALL_TALK)}
        assert not empty & {line for _, line in made.facts}
        if hardness == "number_words":
            assert not any(letter.isdigit() for line in made.lines for letter in line)


def test_unknown_names_are_in_no_table() -> None:
    assert not set(UNKNOWN_DRUGS) & set(DRUGS.names)
    assert not set(UNKNOWN_DIAGNOSES) & set(DIAGNOSES.names)
    made = [hard_consult(random.Random(seed), "unknown_names") for seed in range(30)]
    named = {fact.name for each in made for fact, _ in each.facts if fact.kind == "medication"}
    assert named
    assert named <= set(UNKNOWN_DRUGS)


def test_whether_a_sentence_is_held_out_hangs_on_its_words_alone() -> None:
    texts = [f"Retorno em {number} dias." for number in range(1, 400)]
    held = [text for text in texts if is_held_out(text)]
    assert held == [text for text in reversed(texts) if is_held_out(text)][::-1]
    assert 5 < len(held) < 45
