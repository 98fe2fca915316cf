"""The tables, parsed once: terms by name, each with its systems and what else its line says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tools.demo_models.grammar import tables_clinical as clinical
from tools.demo_models.grammar import tables_numbers as numbers


@dataclass(frozen=True, slots=True)
class Table:
    """The terms of one kind; ``rest`` holds the further cells of each term's line."""

    kind: str
    names: tuple[str, ...]
    by_system: Mapping[str, tuple[str, ...]]
    rest: Mapping[str, tuple[str, ...]]


def _table(kind: str, text: str) -> Table:
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    by_system = {
        system: tuple(row[0] for row in rows if system in row[1].split() or row[1] == "*") for system in numbers.SYSTEMS
    }
    return Table(kind, tuple(row[0] for row in rows), by_system, {row[0]: tuple(row[2:]) for row in rows})


def _plain(kind: str, names: tuple[str, ...]) -> Table:
    return Table(kind, names, dict.fromkeys(numbers.SYSTEMS, names), dict.fromkeys(names, ()))


SYMPTOMS: Final = _table("symptom", clinical.SYMPTOMS)
LATERAL_SYMPTOMS: Final = _table("lateral symptom", clinical.LATERAL_SYMPTOMS)
DIAGNOSES: Final = _table("diagnosis", clinical.DIAGNOSES)
EXAMS: Final = _table("exam", clinical.EXAMS)
FINDINGS: Final = _table("finding", clinical.FINDINGS)
SPECIALTIES: Final = _table("specialty", clinical.SPECIALTIES)
ADVICE: Final = _table("advice", clinical.ADVICE)
DRUGS: Final = _table("drug", numbers.DRUGS)
ALLERGENS: Final = _plain("allergen", clinical.ALLERGENS)
REACTIONS: Final = _plain("reaction", clinical.REACTIONS)
SURGERIES: Final = _plain("surgery", clinical.SURGERIES)


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A laboratory value: its shapes, the fact's unit and the unit as it is said."""

    shapes: tuple[str, ...]
    unit: str
    said: str


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";"))


def doses(drug: str) -> tuple[str, ...]:
    """The doses in which a drug of the table is given."""
    return _split(DRUGS.rest[drug][0])


def frequencies(drug: str) -> tuple[str, ...]:
    """The keys of ``FREQUENCIES`` at which a drug of the table is given."""
    return tuple(DRUGS.rest[drug][1].split())


LABORATORY: Final = {
    name: Laboratory(_split(cells[0]), cells[1], cells[2])
    for name, cells in (
        (row[0], row[1:])
        for row in ([c.strip() for c in line.split("|")] for line in numbers.LABORATORY.strip().splitlines())
    )
}
