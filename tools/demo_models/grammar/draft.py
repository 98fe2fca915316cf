"""The state of one consult in the making: its system, its sex and what was already said."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from tools.demo_models.grammar.canonical import canonical, spoken
from tools.demo_models.grammar.tables_numbers import DURATIONS, FREQUENCIES, SYSTEMS
from tools.demo_models.grammar.types import Fact, Laterality, Section, Sentence
from tools.demo_models.grammar.vocabulary import (
    DRUGS,
    LATERAL_SYMPTOMS,
    SYMPTOMS,
    Table,
    doses,
    frequencies,
)

# Given the kind of a term and the term: another name to use for it, or the same. The notes training makes names up
# with it, so that the model learns to copy what it hears and not to choose from a list.
Renaming = Callable[[str, str], str]
_OWN_SYSTEM: Final = 0.8
_TRIES: Final = 30
_LATERAL: Final = 1 / 6
_LATERAL_ORTHOPAEDIC: Final = 0.4


def _same(_kind: str, name: str) -> str:
    return name


@dataclass(frozen=True, slots=True)
class Prescription:
    """A drug with a dose and a frequency, as it is said and in its canonical form."""

    name: str
    dose: str
    said: str
    frequency: str

    def fact(self) -> Fact:
        """The fact of taking it."""
        return Fact("medication", self.name, f"{self.dose} {self.frequency}")


@dataclass(slots=True)
class Draft:
    """What the templates of one consult share."""

    rng: random.Random
    rename: Renaming = _same
    system: str = ""
    sex: Literal["M", "F"] = "F"
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.system = self.rng.choice(SYSTEMS)
        self.sex = self.rng.choice(("M", "F"))

    def term(self, table: Table, own: float = _OWN_SYSTEM) -> str:
        """A term not said before, mostly of the consult's own system."""
        name = ""
        for _ in range(_TRIES):
            of_system = table.by_system[self.system]
            name = self.rng.choice(of_system if of_system and self.rng.random() < own else table.names)
            if name not in self.used:
                break
        self.used.add(name)
        return name

    def pick(self, table: Table, own: float = _OWN_SYSTEM) -> str:
        """A term, perhaps under another name."""
        return self.rename(table.kind, self.term(table, own))

    def duration(self, *units: str) -> str:
        """A duration such as "3 dias"."""
        unit = self.rng.choice(units or ("dias", "dias", "semanas", "meses", "horas", "anos"))
        singular, longest = DURATIONS[unit]
        count = self.rng.randint(1, longest)
        return f"1 {singular}" if count == 1 else f"{count} {unit}"

    def symptom(self, value: str | None = None) -> tuple[str, Fact]:
        """A symptom as it is said, and its fact; one in six names a side."""
        lateral = self.rng.random() < (_LATERAL_ORTHOPAEDIC if self.system == "orto" else _LATERAL)
        if not lateral:
            name = self.pick(SYMPTOMS)
            return name, Fact("symptom", name, value)
        term = self.term(LATERAL_SYMPTOMS)
        feminine = LATERAL_SYMPTOMS.rest[term][0] == "f"
        name = self.rename(LATERAL_SYMPTOMS.kind, term)
        side = self.side()
        said = side[:-1] + "a" if feminine else side
        return f"{name} {said}", Fact("symptom", name, value, laterality=side)

    def side(self) -> Laterality:
        """A side, in the masculine form that facts use."""
        return "direito" if self.rng.random() < 0.5 else "esquerdo"

    def prescription(self) -> Prescription:
        """A drug with a dose and a frequency of its table."""
        term = self.term(DRUGS)
        dose = self.rng.choice(doses(term))
        said, frequency = FREQUENCIES[self.rng.choice(frequencies(term))]
        return Prescription(self.rename(DRUGS.kind, term), dose, said, frequency)


def sentence(section: Section, text: str, *facts: Fact) -> Sentence:
    """A sentence from its transcript form and its facts."""
    return Sentence(text, spoken(text), canonical(text), section, facts)


def capital(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[0].upper() + text[1:]
