"""Made-up names, so that the model learns to copy what it hears instead of choosing from a list it knows."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Final

from tools.demo_models.grammar import vocabulary
from tools.demo_models.notes.misspelling import misspelt

_ONSETS: Final = (
    "b", "c", "d", "f", "g", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "cl", "cr", "dr", "fl", "fr",
    "gl", "gr", "pl", "pr", "tr", "qu", "x", "h", "j", "st", "sc",
)  # fmt: skip
_VOWELS: Final = (*"aeiou" * 3, "á", "é", "í", "ó", "ú", "ã", "ia", "io", "eu", "ei", "ou")
_CODAS: Final = ("", "", "", "", "n", "r", "l", "s", "m")
_DRUG_ENDINGS: Final = (
    "ina", "ona", "ida", "ol", "il", "ato", "ino", "ano", "ax", "pam", "pril", "tana", "mab", "nibe", "cina",
    "zol", "mida", "xina", "dona", "tina", "sona", "prazol", "olol", "statina",
)  # fmt: skip
_ILLNESS_ENDINGS: Final = (
    "ite", "ose", "ia", "oma", "emia", "algia", "patia", "úria", "rreia", "ismo", "iase", "eia", "ção", "ez",
)  # fmt: skip
_TESTS: Final = (
    "dosagem de",
    "ultrassonografia de",
    "tomografia de",
    "ressonância de",
    "pesquisa de",
    "radiografia de",
)
_QUALITIES: Final = (
    "aguda", "crônica", "recorrente", "leve", "grave", "bilateral", "viral", "bacteriana", "primária", "intermitente",
    "difusa", "progressiva", "idiopática", "súbita",
)  # fmt: skip
_LEADS: Final = {
    "symptom": ("dor em", "sensação de", "falta de", "excesso de", "perda de", "inchaço em"),
    "diagnosis": ("síndrome de", "doença de", "infecção por", "transtorno de", "distúrbio de", "insuficiência de"),
    "finding": ("presença de", "ausência de", "dor à palpação de", "sinal de", "aumento de"),
    "advice": ("uso de", "evitar", "controle de", "dieta com", "redução de"),
    "surgery": ("cirurgia de", "retirada de", "biópsia de"),
    "specialty": ("clínica de", "cirurgia", "ambulatório de"),
    "exam": _TESTS,
}
_LATERAL_LEADS: Final = ("dor no", "inchaço no", "formigamento no", "fraqueza no", "queimação no")
_LATERAL_LEADS_FEMININE: Final = ("dor na", "inchaço na", "formigamento na", "fraqueza na", "queimação na")
_FORBIDDEN: Final = frozenset({"e", "ou", "que", "há", "em", "à", "nega", "sem", "por", "para"})


def word(rng: random.Random, endings: tuple[str, ...] = ()) -> str:
    """A word that does not exist, of two to five syllables, perhaps with one of ``endings``."""
    count = rng.randint(1, 3) if endings else rng.randint(2, 4)
    stem = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(count))
    return stem + rng.choice(endings) if endings else stem


@cache
def _real_words() -> tuple[str, ...]:
    tables = (
        vocabulary.SYMPTOMS, vocabulary.DIAGNOSES, vocabulary.EXAMS, vocabulary.FINDINGS, vocabulary.ADVICE,
        vocabulary.SURGERIES, vocabulary.ALLERGENS, vocabulary.SPECIALTIES, vocabulary.DRUGS,
    )  # fmt: skip
    words = {part for table in tables for name in table.names for part in name.split()}
    return tuple(sorted(w for w in words if w.isalpha() and len(w) > 3 and w not in _FORBIDDEN))


@dataclass(slots=True)
class Renamer:
    """A ``grammar.draft.Renaming``: gives a share of the terms another name, of the same shape."""

    rng: random.Random
    share: float
    misspelt_share: float = 0.03

    def __call__(self, kind: str, name: str) -> str:
        """The name to use in place of ``name``."""
        if "{" in name and self.rng.random() < 0.7:
            return name
        if self.rng.random() < self.share:
            return self._invented(kind, name)
        if self.rng.random() < self.misspelt_share and "{" not in name:
            parts = name.split(" ")
            place = max(range(len(parts)), key=lambda index: len(parts[index]))
            parts[place] = misspelt(parts[place], self.rng)
            return " ".join(parts)
        return name

    def _invented(self, kind: str, name: str) -> str:
        rng = self.rng
        if kind in ("drug", "allergen"):
            made = self._drug_like()
            return f"{made} {self._drug_like()}" if rng.random() < 0.08 else made
        if kind == "lateral symptom":
            leads = _LATERAL_LEADS_FEMININE if vocabulary.LATERAL_SYMPTOMS.rest[name][0] == "f" else _LATERAL_LEADS
            return f"{rng.choice(leads)} {self._core()}"
        form, core = rng.random(), self._core()
        if form < 0.35 and kind in _LEADS:
            core = f"{rng.choice(_LEADS[kind])} {core}"
        elif form < 0.5:
            core = f"{core} {self._core()}"
        elif form < 0.7:
            core = f"{core} {rng.choice(_QUALITIES)}"
        return f"{core} à {{f}}" if "{" in name else core

    def _core(self) -> str:
        kind = self.rng.random()
        if kind < 0.35:
            return self.rng.choice(_real_words())
        return word(self.rng, _ILLNESS_ENDINGS if kind < 0.7 else ())

    def _drug_like(self) -> str:
        kind = self.rng.random()
        if kind < 0.1:
            return self.rng.choice(_real_words())
        return word(self.rng, _DRUG_ENDINGS if kind < 0.75 else ())
