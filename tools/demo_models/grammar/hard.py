"""Consults outside the grammar: number words, unknown drugs and diagnoses, and a dialogue with questions.

The demonstration models were not made for these. The evaluation looks that what they then write is marked or refused and
never a fact that nobody said.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from tools.demo_models.grammar.consults import consult
from tools.demo_models.grammar.draft import Renaming
from tools.demo_models.grammar.number_words import in_words
from tools.demo_models.grammar.types import Fact, Sentence

Hardness = Literal["number_words", "unknown_names", "dialogue"]
HARDNESSES: Final[tuple[Hardness, ...]] = ("number_words", "unknown_names", "dialogue")
# Real names that no table of the grammar has.
UNKNOWN_DRUGS: Final = (
    "lisinopril", "bisoprolol", "fenitoína", "lorazepam", "candesartana", "nifedipino", "ticagrelor", "risperidona",
    "quetiapina", "venlafaxina", "pregabalina", "famotidina", "bromoprida", "cetoprofeno", "nimesulida", "doxiciclina",
    "claritromicina", "fluconazol", "aciclovir", "oseltamivir", "empagliflozina", "sitagliptina",
)  # fmt: skip
UNKNOWN_DIAGNOSES: Final = (
    "esclerose múltipla", "hepatite autoimune", "tireoidite de Hashimoto", "miastenia gravis", "endometriose",
    "doença celíaca", "sarcoidose", "pericardite aguda", "otite média aguda", "celulite infecciosa", "glaucoma agudo",
    "herpes zóster", "leptospirose", "tuberculose pulmonar", "pneumotórax espontâneo", "retocolite ulcerativa",
)  # fmt: skip
QUESTIONS: Final = (
    "Tem febre?", "Teve vômitos?", "Sente dor no peito?", "Tem alergia a algum remédio?", "Está com falta de ar?",
    "Toma algum remédio todo dia?", "Já operou alguma vez?", "Alguém na família tem diabetes?", "O senhor fuma?",
    "A senhora bebe?", "Desde quando está assim?", "Dói quando eu aperto aqui?", "Tem tontura?", "Perdeu peso?",
)  # fmt: skip
SMALL_TALK: Final = (
    "Bom dia, doutora.", "Pode sentar.", "Hum, entendi.", "Vou examinar agora.", "Respira fundo.", "Obrigado, doutor.",
    "Deixa eu ver aqui.", "Pode ficar tranquilo.", "Qualquer coisa me liga.", "Está bem.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HardConsult:
    """Numbered transcript lines and the only facts that they carry, each with its line (from 1)."""

    hardness: Hardness
    lines: tuple[str, ...]
    facts: tuple[tuple[Fact, int], ...]


def hard_consult(rng: random.Random, hardness: Hardness) -> HardConsult:
    """A held-out consult made hard in one way."""
    sentences = consult(rng, "held_out", _unknown(rng) if hardness == "unknown_names" else None).sentences
    if hardness == "number_words":
        lines = tuple(in_words(each.text) for each in sentences)
        return HardConsult(hardness, lines, _numbered(sentences, range(1, len(lines) + 1)))
    if hardness == "unknown_names":
        return HardConsult(
            hardness, tuple(each.text for each in sentences), _numbered(sentences, range(1, len(sentences) + 1))
        )
    return _dialogue(rng, sentences)


def _unknown(rng: random.Random) -> Renaming:
    names = {"drug": UNKNOWN_DRUGS, "diagnosis": UNKNOWN_DIAGNOSES}

    def rename(kind: str, name: str) -> str:
        return rng.choice(names[kind]) if kind in names else name

    return rename


def _dialogue(rng: random.Random, sentences: tuple[Sentence, ...]) -> HardConsult:
    lines: list[str] = []
    places: list[int] = []
    for each in sentences:
        if rng.random() < 0.5:
            lines.append(rng.choice(QUESTIONS if rng.random() < 0.6 else SMALL_TALK))
        lines.append(each.text)
        places.append(len(lines))
    return HardConsult("dialogue", tuple(lines), _numbered(sentences, places))


def _numbered(sentences: Sequence[Sentence], places: Iterable[int]) -> tuple[tuple[Fact, int], ...]:
    return tuple((fact, place) for each, place in zip(sentences, places, strict=True) for fact in each.facts)
