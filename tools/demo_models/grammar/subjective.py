"""The templates of what the patient tells."""

from __future__ import annotations

from tools.demo_models.grammar import tables_clinical as words
from tools.demo_models.grammar.draft import Draft, sentence
from tools.demo_models.grammar.template import Template
from tools.demo_models.grammar.types import Fact, Sentence
from tools.demo_models.grammar.vocabulary import ALLERGENS, DIAGNOSES, REACTIONS, SURGERIES, SYMPTOMS

_ANY_SYSTEM = 0.4
OPENINGS = (
    "Paciente {noun} de {age} anos com {said} há {time}.",
    "Paciente {noun} de {age} anos, refere {said} há {time}.",
    "Paciente de {age} anos com queixa de {said} há {time}.",
    "{person} de {age} anos, refere {said} há {time}.",
    "{person} de {age} anos com {said} há {time}.",
)
AGES = range(18, 93)
COMPLAINTS = ("Refere {} há {}.", "Relata {} há {}.", "Apresenta {} há {}.", "Queixa-se de {} há {}.")
TAKING = ("Em uso de {} {} {}.", "Usa {} {} {}.", "Faz uso de {} {} {}.", "Toma {} {} {}.")


def opening(draft: Draft) -> Sentence:
    """Who the patient is and why they came."""
    rng = draft.rng
    age, time = rng.choice(AGES), draft.duration()
    said, fact = draft.symptom(time)
    form = rng.choice(OPENINGS)
    man = draft.sex == "M"
    text = form.format(
        noun="masculino" if man else "feminina", person="Homem" if man else "Mulher", age=age, said=said, time=time
    )
    name = "paciente" if form.startswith("Paciente de") else "masculino" if man else "feminino"
    return sentence("S", text, Fact("patient", name, f"{age} anos"), fact)


def _complaint(draft: Draft) -> Sentence:
    rng = draft.rng
    kind = rng.random()
    if kind < 0.45:
        time = draft.duration()
        said, fact = draft.symptom(time)
        return sentence("S", rng.choice(COMPLAINTS).format(said, time), fact)
    if kind < 0.65:
        intensity = rng.choice(words.INTENSITIES)
        said, fact = draft.symptom(intensity)
        return sentence("S", f"{rng.choice(('Refere', 'Relata'))} {said} de intensidade {intensity}.", fact)
    if kind < 0.85:
        worse = rng.choice(words.WORSE)
        said, fact = draft.symptom(f"piora {worse}")
        return sentence("S", f"{rng.choice(('Refere', 'Relata'))} {said} que piora {worse}.", fact)
    (said, fact), (other_said, other) = draft.symptom(), draft.symptom()
    return sentence("S", f"Refere também {said} e {other_said}.", fact, other)


def _course(draft: Draft) -> Sentence:
    worse, better = draft.rng.choice(words.WORSE), draft.rng.choice(words.BETTER)
    fact = Fact("modifier", "quadro", f"piora {worse}, melhora {better}")
    return sentence("S", f"O quadro piora {worse} e melhora {better}.", fact)


def _denial(draft: Draft) -> Sentence:
    names = [draft.pick(SYMPTOMS) for _ in range(draft.rng.choice((1, 2, 2, 3)))]
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " ou " + names[-1]
    verb = draft.rng.choice(("Nega", "Nega", "Sem", "Não refere"))
    return sentence("S", f"{verb} {listed}.", *(Fact("symptom", name, negated=True) for name in names))


def _history(draft: Draft) -> Sentence:
    name, time = draft.pick(DIAGNOSES, _ANY_SYSTEM), draft.duration("anos")
    if draft.rng.random() < 0.6:
        verb = draft.rng.choice(("Tem diagnóstico de", "Portador de" if draft.sex == "M" else "Portadora de"))
        return sentence("S", f"{verb} {name} há {time}.", Fact("history", name, time))
    form = draft.rng.choice(("Antecedente de {}.", "História prévia de {}."))
    return sentence("S", form.format(name), Fact("history", name))


def _no_history(draft: Draft) -> Sentence:
    name = draft.pick(DIAGNOSES, _ANY_SYSTEM)
    form = draft.rng.choice(("Nega história de {}.", "Nega diagnóstico prévio de {}."))
    return sentence("S", form.format(name), Fact("history", name, negated=True))


def _taking(draft: Draft) -> Sentence:
    drug = draft.prescription()
    return sentence("S", draft.rng.choice(TAKING).format(drug.name, drug.dose, drug.said), drug.fact())


def _allergy(draft: Draft) -> Sentence:
    name = draft.pick(ALLERGENS)
    form = draft.rng.choice(("Alergia a {}", "Tem alergia a {}", "Refere alergia a {}"))
    if draft.rng.random() < 0.45:
        return sentence("S", form.format(name) + ".", Fact("allergy", name))
    reaction = draft.pick(REACTIONS)
    return sentence("S", f"{form.format(name)}, com {reaction}.", Fact("allergy", name, reaction))


def _no_allergy(draft: Draft) -> Sentence:
    text = draft.rng.choice(("Nega alergias.", "Nega alergia a medicamentos.", "Sem alergias conhecidas."))
    return sentence("S", text, Fact("allergy", "alergias", negated=True))


def _smoking(draft: Draft) -> Sentence:
    count = draft.rng.choice((5, 8, 10, 12, 15, 20, 30, 40))
    time = draft.duration("anos")
    return sentence("S", f"Fuma {count} cigarros por dia há {time}.", Fact("habit", "tabagismo", f"{count}/dia"))


def _habit(draft: Draft) -> Sentence:
    kind = draft.rng.random()
    if kind < 0.7:
        text = draft.rng.choice(("Nega tabagismo e etilismo.", "Nega tabagismo."))
        return sentence("S", text, Fact("habit", "tabagismo", negated=True))
    return sentence("S", "Etilismo social.", Fact("habit", "etilismo social"))


def _surgery(draft: Draft) -> Sentence:
    name, time = draft.pick(SURGERIES), draft.duration("anos", "anos", "meses")
    verb = draft.rng.choice(("Realizou", "Fez"))
    return sentence("S", f"{verb} {name} há {time}.", Fact("surgery", name, time))


def _family(draft: Draft) -> Sentence:
    relative = draft.rng.choice(words.RELATIVES)
    name = draft.pick(DIAGNOSES, _ANY_SYSTEM)
    return sentence("S", f"{relative} com {name}.", Fact("family", name, relative.lower()))


SUBJECTIVE = (
    Template(_complaint, 6, repeats=True),
    Template(_course, 1),
    Template(_denial, 5),
    Template(_history, 3),
    Template(_no_history, 1),
    Template(_taking, 5, repeats=True),
    Template(_allergy, 2),
    Template(_no_allergy, 1, few=True),
    Template(_smoking, 1),
    Template(_habit, 1, few=True),
    Template(_surgery, 1),
    Template(_family, 1),
)
