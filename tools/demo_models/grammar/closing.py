"""The templates of what the doctor thinks and does: assessment and plan."""

from __future__ import annotations

from tools.demo_models.grammar import tables_clinical as words
from tools.demo_models.grammar.draft import Draft, capital, sentence
from tools.demo_models.grammar.template import Template
from tools.demo_models.grammar.types import Fact, Sentence
from tools.demo_models.grammar.vocabulary import ADVICE, DIAGNOSES, EXAMS, SPECIALTIES, SYMPTOMS

_MOSTLY_OWN = 0.9
STARTING = ("Prescrevo", "Iniciar", "Inicio")
TREATMENT_TIMES = ("dias", "dias", "semanas")


def _diagnosis(draft: Draft) -> Sentence:
    rng = draft.rng
    name = draft.pick(DIAGNOSES, _MOSTLY_OWN)
    kind = rng.random()
    if kind < 0.6:
        form = rng.choice((
            "Hipótese diagnóstica de {}.", "Quadro compatível com {}.", "Hipótese de {}.", "Suspeita de {}.",
            "Impressão de {}.",
        ))  # fmt: skip
        return sentence("A", form.format(name), Fact("diagnosis", name))
    if kind < 0.8:
        status = rng.choice(words.STATUSES)
        return sentence("A", f"{capital(name)} em {status}.", Fact("diagnosis", name, status))
    other = draft.pick(DIAGNOSES, _MOSTLY_OWN)
    text = f"Hipótese de {name}, diagnóstico diferencial com {other}."
    return sentence("A", text, Fact("diagnosis", name), Fact("diagnosis", other, "diferencial"))


def _ruled_out(draft: Draft) -> Sentence:
    name = draft.pick(DIAGNOSES, _MOSTLY_OWN)
    form = draft.rng.choice(("Sem sinais de {} no momento.", "Descartada hipótese de {}."))
    return sentence("A", form.format(name), Fact("diagnosis", name, negated=True))


def _start(draft: Draft) -> Sentence:
    drug = draft.prescription()
    verb = draft.rng.choice(STARTING)
    said = f"{verb} {drug.name} {drug.dose} {drug.said}"
    time = f" por {draft.duration(*TREATMENT_TIMES)}" if draft.rng.random() < 0.6 else ""
    return sentence("P", f"{said}{time}.", drug.fact())


def _change(draft: Draft) -> Sentence:
    rng, drug = draft.rng, draft.prescription()
    kind = rng.random()
    if kind < 0.45:
        text = f"{rng.choice(('Manter', 'Mantenho'))} {drug.name} {drug.dose} {drug.said}."
        return sentence("P", text, drug.fact())
    if kind < 0.8:
        verb = rng.choice(("Aumento", "Aumentar", "Reduzo", "Reduzir"))
        return sentence("P", f"{verb} {drug.name} para {drug.dose}.", Fact("medication", drug.name, drug.dose))
    verb = rng.choice(("Suspendo", "Suspender"))
    return sentence("P", f"{verb} {drug.name}.", Fact("medication", drug.name, "suspenso"))


def _order(draft: Draft) -> Sentence:
    name, verb = draft.pick(EXAMS), draft.rng.choice(("Solicito", "Solicitar", "Peço"))
    if draft.rng.random() < 0.5:
        return sentence("P", f"{verb} {name}.", Fact("order", name))
    other = draft.pick(EXAMS)
    return sentence("P", f"{verb} {name} e {other}.", Fact("order", name), Fact("order", other))


def _referral(draft: Draft) -> Sentence:
    name = draft.pick(SPECIALTIES, _MOSTLY_OWN)
    verb = draft.rng.choice(("Encaminho para", "Encaminhar para"))
    return sentence("P", f"{verb} {name}.", Fact("referral", name))


def _advice(draft: Draft) -> Sentence:
    name = draft.pick(ADVICE, _MOSTLY_OWN)
    return sentence("P", f"{draft.rng.choice(('Oriento', 'Recomendo', 'Orientar'))} {name}.", Fact("advice", name))


def _certificate(draft: Draft) -> Sentence:
    days = draft.rng.randint(2, 15)
    return sentence("P", f"Atestado de {days} dias.", Fact("certificate", "atestado", f"{days} dias"))


def _alarm(draft: Draft) -> Sentence:
    first, second = draft.pick(SYMPTOMS), draft.pick(SYMPTOMS)
    text = f"Retornar se {first} ou {second}."
    return sentence("P", text, Fact("followup", "retorno", f"se {first} ou {second}"))


def follow_up(draft: Draft) -> Sentence:
    """When the patient comes back."""
    time = draft.duration("dias", "semanas", "meses")
    form = draft.rng.choice(("Retorno em {}.", "Retornar em {}.", "Retorno em {} com exames."))
    return sentence("P", form.format(time), Fact("followup", "retorno", time))


ASSESSMENT = (Template(_diagnosis, 8), Template(_ruled_out, 1))
PLAN = (
    Template(_start, 6, repeats=True),
    Template(_change, 4),
    Template(_order, 4),
    Template(_referral, 2, few=True),
    Template(_advice, 2, few=True),
    Template(_certificate, 1, few=True),
    Template(_alarm, 2),
)
