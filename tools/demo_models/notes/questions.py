"""Questions about a transcript with their answers, each citing its segments; what was not said is said to be absent."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tools.demo_models.grammar.types import Fact
from tools.demo_models.grammar.vocabulary import SYMPTOMS
from tools.demo_models.notes.hearing import Scene
from tools.demo_models.notes.made_up import Renamer


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, its answer, and what kind of question it is."""

    kind: str
    question: str
    answer: str


Numbered = tuple[Fact, tuple[int, ...]]


def _cited(numbers: tuple[int, ...]) -> str:
    return "".join(f" [{number}]" for number in numbers)


def _facts(heard: Scene, kind: str) -> list[Numbered]:
    return [(fact, numbers) for said, numbers in heard.items for fact in said.facts if fact.kind == kind]


def _listed(parts: list[str], absent: str) -> str:
    return "; ".join(parts) + "." if parts else absent


def _with_values(heard: Scene, kind: str, absent: str) -> str:
    return _listed([f"{fact.name} {fact.value}{_cited(at)}" for fact, at in _facts(heard, kind)], absent)


def _names(heard: Scene, kind: str, absent: str) -> str:
    return _listed([f"{fact.name}{_cited(at)}" for fact, at in _facts(heard, kind) if not fact.negated], absent)


def _medicines(heard: Scene) -> str:
    return _with_values(heard, "medication", "Não há menção a medicamentos.")


def _vitals(heard: Scene) -> str:
    return _with_values(heard, "vital", "Não há menção a sinais vitais.")


def _allergies(heard: Scene) -> str:
    found = _facts(heard, "allergy")
    if not found:
        return "Não há menção a alergias."
    fact, at = found[0]
    if fact.negated:
        return f"Nega alergias{_cited(at)}."
    return f"Sim, alergia a {fact.name}{f', com {fact.value}' if fact.value else ''}{_cited(at)}."


def _diagnoses(heard: Scene) -> str:
    return _names(heard, "diagnosis", "Não há menção a diagnóstico.")


def _orders(heard: Scene) -> str:
    return _names(heard, "order", "Não há menção a exames.")


def _return(heard: Scene) -> str:
    parts = [
        f"retorno {'' if (fact.value or '').startswith('se ') else 'em '}{fact.value}{_cited(at)}"
        for fact, at in _facts(heard, "followup")
    ]
    return _listed(parts, "Não há menção a retorno.")


def _denied(heard: Scene) -> str:
    parts = [f"{fact.name}{_cited(at)}" for fact, at in _facts(heard, "symptom") if fact.negated]
    return "Nega " + "; ".join(parts) + "." if parts else "Não há menção a negativas."


def _complaint(heard: Scene) -> str:
    found = [(fact, at) for fact, at in _facts(heard, "symptom") if not fact.negated]
    if not found:
        return "Não há menção a queixa."
    fact, at = found[0]
    side = f", lado {fact.laterality}" if fact.laterality else ""
    return f"{fact.name}{side}{f', {fact.value}' if fact.value else ''}{_cited(at)}."


def _sentences(heard: Scene, section: str) -> list[str]:
    return [said.note[:-1] + _cited(at) + "." for said, at in heard.items if said.section == section]


def _summary(heard: Scene) -> str:
    parts = _sentences(heard, "S")[:2] + _sentences(heard, "A")[:1] + _sentences(heard, "P")[:2]
    return " ".join(parts) or "Não há o que resumir."


def _plan(heard: Scene) -> str:
    return " ".join(_sentences(heard, "P")) or "Não há menção a conduta."


_ABOUT: Final[tuple[tuple[str, Callable[[Scene], str], float, tuple[str, ...]], ...]] = (
    ("medicines", _medicines, 3, (
        "quais medicamentos?", "quais medicamentos foram citados?", "que remédios ele usa?", "liste os medicamentos",
        "medicações?", "e os remédios?", "quais os medicamentos em uso?",
    )),
    ("allergies", _allergies, 2.5, (
        "há alergias?", "tem alergia?", "o paciente tem alguma alergia?", "alergias?", "é alérgico a algo?",
    )),
    ("summary", _summary, 2, ("resuma", "resuma a consulta", "faça um resumo", "resumo?", "me dê um resumo do caso")),
    ("vitals", _vitals, 1.5, ("quais os sinais vitais?", "sinais vitais?", "como estão os sinais vitais?")),
    ("diagnoses", _diagnoses, 1.5, ("qual a hipótese?", "qual o diagnóstico?", "hipóteses diagnósticas?")),
    ("return", _return, 1, ("quando é o retorno?", "retorno?", "quando ele volta?")),
    ("orders", _orders, 1, ("quais exames foram pedidos?", "exames?", "que exames pedi?")),
    ("denied", _denied, 1, ("o que o paciente nega?", "negativas?", "o que ele negou?")),
    ("complaint", _complaint, 1, ("qual a queixa principal?", "queixa?", "do que se queixa?")),
    ("plan", _plan, 1.2, ("qual a conduta?", "conduta?", "qual o plano?")),
)  # fmt: skip
_HAS: Final = ("tem {}?", "o paciente tem {}?", "refere {}?", "há {}?", "ele refere {}?")
_ELSEWHERE: Final = (
    "qual a capital da França?", "conte uma piada", "quem ganhou o jogo?", "como está o tempo?", "escreva um poema",
    "qual o seu nome?", "2 mais 2?", "que dia é hoje?", "fale sobre futebol", "quem é o presidente?",
)  # fmt: skip


def _has(heard: Scene, rng: random.Random) -> Answered:
    said = [(fact, at) for fact, at in _facts(heard, "symptom") if fact.laterality is None]
    if said and rng.random() < 0.6:
        fact, at = rng.choice(said)
        answer = f"Sim, {fact.name}{f', {fact.value}' if fact.value else ''}{_cited(at)}."
        if fact.negated:
            answer = f"Não, nega {fact.name}{_cited(at)}."
        return Answered("has", rng.choice(_HAS).format(fact.name), answer)
    known = {fact.name for fact, _ in said}
    name = rng.choice([each for each in SYMPTOMS.names if each not in known])
    name = Renamer(rng, 0.3)("symptom", name)
    return Answered("has", rng.choice(_HAS).format(name), f"Não há menção a {name}.")


def _one(heard: Scene, rng: random.Random) -> Answered:
    kind = rng.random()
    if kind < 0.05:
        return Answered("elsewhere", rng.choice(_ELSEWHERE), "Só respondo sobre esta consulta.")
    if kind < 0.25:
        return _has(heard, rng)
    name, answer, _, asked = rng.choices(_ABOUT, [each[2] for each in _ABOUT])[0]
    return Answered(name, rng.choice(asked), answer(heard))


def questions(heard: Scene, rng: random.Random) -> list[Answered]:
    """Two to five questions about a scene."""
    return [_cased(_one(heard, rng), rng) for _ in range(rng.randint(2, 5))]


def _cased(asked: Answered, rng: random.Random) -> Answered:
    question, kind = asked.question, rng.random()
    if kind < 0.5:
        question = question[0].upper() + question[1:]
    elif kind > 0.85:
        question = question.rstrip("?")
    return Answered(asked.kind, question, asked.answer)
