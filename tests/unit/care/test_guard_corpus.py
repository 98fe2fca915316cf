"""The guard against a small grammar of consults: what is said in words, what a model writes in signs, and planted errors."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from appliance.care.guard import check_sentence
from tests.unit.care.test_guard_numbers import spoken

DRUGS = ["losartana", "metformina", "omeprazol", "sinvastatina", "amoxicilina", "dipirona", "prednisona", "sertralina"]
SYMPTOMS = ["febre", "tosse seca", "dor torácica", "dispneia aos esforços", "náuseas", "cefaleia", "tontura", "prurido"]
SIDED = ["dor no joelho", "dor no ombro", "dor no quadril", "dor no punho"]
DIAGNOSES = ["pneumonia comunitária", "enxaqueca", "gastrite", "infecção urinária", "asma", "diabetes tipo 2"]
UNITS = ["dias", "semanas", "meses", "anos"]
HOURS = [4, 6, 8, 12]


@dataclass(frozen=True)
class Saying:
    """What was said, what a model writes of it, and the values that the writing carries."""

    said: str
    written: str
    values: dict[str, str]

    def rewritten(self, name: str, value: str) -> str:
        """The writing with one value swapped."""
        return self.written.format(**(self.values | {name: value}))

    def honest(self) -> str:
        return self.written.format(**self.values)


def prescription(r: random.Random) -> Saying:
    drug, dose, hours, days = r.choice(DRUGS), r.randint(2, 900), r.choice(HOURS), r.randint(2, 20)
    verb = r.choice(["Prescrevo", "Inicio", "Iniciar"])
    said = (
        f"{verb} {drug} {spoken(dose)} miligramas de {spoken(hours)} em {spoken(hours)} horas por {spoken(days)} dias."
    )
    written = "Iniciar {drug} {dose} {unit} {hours}/{hours}h por {days} dias."
    values = {"drug": drug, "dose": str(dose), "unit": "mg", "hours": str(hours), "days": str(days)}
    return Saying(said, written, values)


def in_use(r: random.Random) -> Saying:
    drug, dose, times = r.choice(DRUGS), r.randint(2, 900), r.choice([2, 3, 4])
    often = {2: "duas", 3: "três", 4: "quatro"}[times]
    said = f"{r.choice(['Usa', 'Toma', 'Faz uso de'])} {drug} {spoken(dose)} miligramas {often} vezes ao dia."
    return Saying(
        said, "Em uso de {drug} {dose} mg {times} vezes ao dia.", {"drug": drug, "dose": str(dose), "times": str(times)}
    )


def pressure(r: random.Random) -> Saying:
    high, low = r.randrange(100, 200), r.randrange(40, 99)
    said = f"Pressão arterial {r.choice(['', 'de '])}{spoken(high)} por {spoken(low)}{r.choice(['', ' milímetros de mercúrio'])}."
    return Saying(said, "PA {high}/{low} mmHg.", {"high": str(high), "low": str(low)})


def two_vitals(r: random.Random) -> Saying:
    rate, oxygen = r.randint(48, 80), r.randint(84, 99)
    said = f"Frequência cardíaca {spoken(rate)} e saturação {spoken(oxygen)} por cento."
    return Saying(said, "FC {rate} bpm, SatO2 {oxygen}%.", {"rate": str(rate), "oxygen": str(oxygen)})


def temperature(r: random.Random) -> Saying:
    whole, tenth = r.randint(35, 40), r.randint(1, 9)
    said = f"Temperatura axilar {spoken(whole)} vírgula {spoken(tenth)} graus."
    return Saying(said, "Temperatura axilar {value} °C.", {"value": f"{whole},{tenth}"})


def complaint(r: random.Random) -> Saying:
    what, number, unit = r.choice(SYMPTOMS), r.randint(2, 20), r.choice(UNITS)
    said = f"{r.choice(['Relata', 'Apresenta', 'Queixa-se de', 'Refere'])} {what} há {spoken(number)} {unit}."
    return Saying(
        said, "{verb} {what} há {number} {unit}.", {"verb": "Refere", "what": what, "number": str(number), "unit": unit}
    )


def sided(r: random.Random) -> Saying:
    what, side, number = r.choice(SIDED), r.choice(["direito", "esquerdo"]), r.randint(2, 20)
    said = f"Refere {what} {side} há {spoken(number)} dias."
    return Saying(said, "Refere {what} {side} há {number} dias.", {"what": what, "side": side, "number": str(number)})


def denial(r: random.Random) -> Saying:
    first, second = r.sample(SYMPTOMS, 2)
    said = f"{r.choice(['Nega', 'Sem', 'Não refere'])} {first} ou {second}."
    return Saying(said, "{verb} {first} ou {second}.", {"verb": "Nega", "first": first, "second": second})


def diagnosis(r: random.Random) -> Saying:
    what = r.choice(DIAGNOSES)
    said = f"{r.choice(['Hipótese diagnóstica de', 'Quadro compatível com', 'Suspeita de'])} {what}."
    return Saying(said, "Hipótese de {what}.", {"what": what})


def change(r: random.Random) -> Saying:
    drug, (heard, action) = r.choice(DRUGS), r.choice([("Suspendo", "Suspender"), ("Mantenho", "Manter")])
    return Saying(f"{heard} {drug}.", "{action} {drug}.", {"action": action, "drug": drug})


GRAMMAR: list[Callable[[random.Random], Saying]] = [
    prescription, in_use, pressure, two_vitals, temperature, complaint, sided, denial, diagnosis, change,
]  # fmt: skip


def wrong_value(r: random.Random, name: str, value: str) -> str | None:
    """Another value of the same kind; None where this name has none."""
    choices = {
        "drug": DRUGS, "unit": ["mcg", "g"] if value == "mg" else UNITS, "what": [*SYMPTOMS, *DIAGNOSES],
        "first": SYMPTOMS, "side": ["direito", "esquerdo"], "verb": ["Nega", "Refere"], "action": ["Suspender", "Manter"],
    }.get(name)  # fmt: skip
    if choices is None:
        shift = r.choice([-1, 1, 2, 5])
        return str(int(value) + shift) if value.isdigit() and int(value) + shift > 1 else None
    others = [choice for choice in choices if choice != value and not set(choice.split()) & set(value.split())]
    return r.choice(others) if others else None


@pytest.mark.parametrize("seed", range(6))
def test_honest_writing_raises_no_alarm(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(120):
        saying = r.choice(GRAMMAR)(r)
        verdict = check_sentence(saying.honest(), [1], {1: saying.said})
        assert verdict.supported, (saying, verdict)


@pytest.mark.parametrize("seed", range(6))
def test_every_planted_error_is_caught(seed: int) -> None:
    r = random.Random(seed)
    caught: Counter[str] = Counter()
    for _ in range(120):
        saying = r.choice(GRAMMAR)(r)
        name = r.choice(sorted(saying.values))
        value = wrong_value(r, name, saying.values[name])
        if value is None or value in saying.values.values():
            continue
        sentence = saying.rewritten(name, value)
        verdict = check_sentence(sentence, [1], {1: saying.said})
        assert not verdict.supported, (sentence, saying.said)
        caught[verdict.problems[0].code] += 1
    assert len(caught) >= 5, caught


@pytest.mark.parametrize("seed", range(3))
def test_swapped_figures_of_two_vital_signs_are_caught(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(40):
        saying = two_vitals(r)
        rate, oxygen = saying.values["rate"], saying.values["oxygen"]
        swapped = replace(saying, values={"rate": oxygen, "oxygen": rate})
        assert not check_sentence(swapped.honest(), [1], {1: saying.said}).supported


@pytest.mark.parametrize("seed", range(3))
def test_a_sentence_that_cites_somebody_elses_words_is_caught(seed: int) -> None:
    r = random.Random(seed)
    misses = 0
    for _ in range(120):
        saying, other = r.choice(GRAMMAR)(r), r.choice(GRAMMAR)(r)
        if set(saying.values.values()) & set(other.values.values()) or saying.written == other.written:
            continue
        misses += check_sentence(saying.honest(), [2], {1: saying.said, 2: other.said}).supported
    assert misses == 0


@pytest.mark.parametrize("seed", range(3))
def test_two_sayings_in_one_breath_support_both_and_nothing_mixed(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(60):
        first, second = prescription(r), in_use(r)
        if first.values["drug"] == second.values["drug"] or first.values["dose"] == second.values["dose"]:
            continue
        speech = {1: f"{first.said} {second.said}"}
        assert check_sentence(first.honest(), [1], speech).supported
        assert check_sentence(second.honest(), [1], speech).supported
        mixed = check_sentence(first.rewritten("dose", second.values["dose"]), [1], speech)
        if second.values["dose"] not in (first.values["hours"], first.values["days"], first.values["dose"]):
            assert not mixed.supported, (first, second)
