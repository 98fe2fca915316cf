"""The templates of what the doctor finds."""

from __future__ import annotations

from tools.demo_models.grammar import tables_clinical as words
from tools.demo_models.grammar.draft import Draft, capital, sentence
from tools.demo_models.grammar.template import Template
from tools.demo_models.grammar.types import Fact, Sentence
from tools.demo_models.grammar.vocabulary import FINDINGS, LABORATORY


def _vital(name: str, value: str) -> Fact:
    return Fact("vital", name, value)


def _pressure(draft: Draft) -> Sentence:
    rng = draft.rng
    systolic = rng.randrange(90, 200, 10 if rng.random() < 0.6 else 2)
    diastolic = min(systolic - 20, rng.randrange(50, 120, 10 if rng.random() < 0.6 else 2))
    form = rng.choice((
        "Pressão arterial {} por {}.", "Pressão arterial de {} por {}.",
        "Pressão arterial de {} por {} milímetros de mercúrio.",
    ))  # fmt: skip
    return sentence("O", form.format(systolic, diastolic), _vital("pressão arterial", f"{systolic}/{diastolic}"))


def _heart_rate(draft: Draft) -> Sentence:
    rate = draft.rng.randint(48, 138)
    of = draft.rng.choice(("", "de "))
    return sentence(
        "O", f"Frequência cardíaca {of}{rate} batimentos por minuto.", _vital("frequência cardíaca", str(rate))
    )


def _breathing(draft: Draft) -> Sentence:
    rate = draft.rng.randint(11, 34)
    of = draft.rng.choice(("", "de "))
    text = f"Frequência respiratória {of}{rate} incursões por minuto."
    return sentence("O", text, _vital("frequência respiratória", str(rate)))


def _saturation(draft: Draft) -> Sentence:
    percent = draft.rng.randint(84, 100)
    of = draft.rng.choice(("", "de "))
    return sentence("O", f"Saturação de oxigênio {of}{percent}% em ar ambiente.", _vital("saturação", f"{percent}%"))


def _temperature(draft: Draft) -> Sentence:
    value = f"{draft.rng.randint(35, 39)},{draft.rng.randint(1, 9)}"
    of = draft.rng.choice(("", "de "))
    return sentence("O", f"Temperatura axilar {of}{value} graus.", _vital("temperatura", value))


def _glucose(draft: Draft) -> Sentence:
    value = draft.rng.randint(62, 390)
    of = draft.rng.choice(("", "de "))
    return sentence("O", f"Glicemia capilar {of}{value}.", _vital("glicemia capilar", str(value)))


def _weight(draft: Draft) -> Sentence:
    weight, height = draft.rng.randint(42, 130), draft.rng.randint(50, 95)
    return sentence("O", f"Peso {weight} kg, altura 1,{height} m.", _vital("peso", f"{weight} kg"))


def _rate_and_saturation(draft: Draft) -> Sentence:
    rate, percent = draft.rng.randint(48, 138), draft.rng.randint(84, 100)
    facts = _vital("frequência cardíaca", str(rate)), _vital("saturação", f"{percent}%")
    return sentence("O", f"Frequência cardíaca {rate} e saturação {percent}%.", *facts)


def _finding(draft: Draft) -> Sentence:
    form = draft.pick(FINDINGS)
    side, crosses = draft.side(), draft.rng.randint(1, 4)
    crossed = f"{crosses} cruz" if crosses == 1 else f"{crosses} cruzes"
    said = form.format(f=side[:-1] + "a", m=side, c=crossed)
    lateral = "{f}" in form or "{m}" in form
    return sentence("O", capital(said) + ".", Fact("finding", said, laterality=side if lateral else None))


def _state(draft: Draft) -> Sentence:
    first, second = draft.rng.sample(words.GENERAL_STATES, 2)
    return sentence("O", f"{capital(first)}, {second}.", Fact("finding", first), Fact("finding", second))


def _laboratory(draft: Draft) -> Sentence:
    rng = draft.rng
    name = rng.choice(tuple(LABORATORY))
    kind = LABORATORY[name]
    value = rng.choice(kind.shapes).format(d=rng.randint(1, 9), D=rng.randint(3, 9))
    return sentence("O", f"{capital(name)} de {value}{kind.said}.", Fact("lab", name, f"{value} {kind.unit}"))


OBJECTIVE = (
    Template(_pressure, 5),
    Template(_heart_rate, 3),
    Template(_breathing, 2),
    Template(_saturation, 3, few=True),
    Template(_temperature, 3),
    Template(_glucose, 2),
    Template(_weight, 1),
    Template(_rate_and_saturation, 1),
    Template(_finding, 6, repeats=True, few=True),
    Template(_state, 2, few=True),
    Template(_laboratory, 3, repeats=True),
)
