"""Whose and of when a document says it is: what stands behind the labels that Brazilian laboratories use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from appliance.plugin_api.paper import PaperWord, PrintedFact
from plugins.document_reader.lab.folding import folded
from plugins.document_reader.lab.rows import Row, box_of, text_of

_NAME: Final = ("nome do paciente", "nome da paciente", "paciente", "cliente", "nome")
_BIRTH: Final = (
    "data de nascimento",
    "data nascimento",
    "dt nascimento",
    "dt. nascimento",
    "nascimento",
    "dn",
    "nasc",
    "nasc.",
)
_COLLECTED: Final = (
    "data da coleta", "data de coleta", "data coleta", "coletado em", "coletada em", "coleta em", "coleta", "colhido em",
)  # fmt: skip
_DATE: Final = re.compile(r"\d{2}/\d{2}/\d{4}")
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:['’.-][^\W\d_]+)*\.?")
_PARTICLE: Final = frozenset({"da", "de", "do", "das", "dos", "e"})
_ENDS: Final = frozenset(
    {
        "idade", "sexo", "data", "nasc", "nascimento", "dn", "rg", "cpf", "cns", "medico", "medica", "solicitante", "convenio",
        "pedido", "protocolo", "codigo", "atendimento", "prontuario", "registro", "coleta", "dr", "dra", "sr", "sra",
    }
)  # fmt: skip
"""The next label in the same row ends a name."""
_FEWEST_NAMES: Final = 2
_MOST_NAMES: Final = 10

Rows = Sequence[tuple[int, Row]]


def patient_of(rows: Rows) -> PrintedFact | None:
    """The patient's name: the first label with at least two words of letters behind it."""
    for number, row in rows:
        behind = _behind(row, _NAME)
        name: list[int] = []
        for place in behind:
            word = row[place].text.strip(",;")
            if not _LETTERS.fullmatch(word) or folded(word).strip(".") in _ENDS or len(name) == _MOST_NAMES:
                break
            name.append(place)
        if sum(folded(row[place].text) not in _PARTICLE for place in name) >= _FEWEST_NAMES:
            return _fact(number, [row[place] for place in name])
    return None


def birth_of(rows: Rows) -> PrintedFact | None:
    """The patient's date of birth, as printed."""
    return _date(rows, _BIRTH)


def collection_of(rows: Rows) -> PrintedFact | None:
    """The date on which the sample was taken, as printed."""
    return _date(rows, _COLLECTED)


def _date(rows: Rows, labels: Sequence[str]) -> PrintedFact | None:
    for number, row in rows:
        behind = _behind(row, labels)
        if behind and (found := _DATE.match(row[behind[0]].text)):
            word = row[behind[0]]
            return PrintedFact(found[0], number, word.box, word.confidence)
    return None


def _behind(row: Row, labels: Sequence[str]) -> range:
    """Places of the words behind the first of ``labels`` in ``row``; the longest label that fits counts."""
    plain = [folded(word.text).rstrip(":").rstrip() for word in row]
    for start in range(len(row)):
        for label in labels:
            parts = label.split()
            end = start + len(parts)
            if plain[start:end] == parts:
                while end < len(row) and not plain[end]:
                    end += 1
                return range(end, len(row))
    return range(0)


def _fact(number: int, words: Sequence[PaperWord]) -> PrintedFact:
    return PrintedFact(text_of(words).strip(",;"), number, box_of(words), min(word.confidence for word in words))
