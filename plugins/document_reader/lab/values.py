"""One row of a report into the values that it states: name, figure, unit, reference, as far as they are there."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from appliance.plugin_api.paper import PaperWord
from plugins.document_reader.lab.figures import Comparator, Figure, comparator_of, figure_of
from plugins.document_reader.lab.folding import name_of
from plugins.document_reader.lab.rows import text_of
from plugins.document_reader.lab.table import Analyte, Table

Words = tuple[PaperWord, ...]
_RESULT: Final = frozenset({"resultado", "resultado obtido", "valor", "valor encontrado", "valor obtido"})
_NEUTRAL: Final = frozenset(
    {"soro", "serico", "serica", "plasma", "sangue", "sanguinea", "resultado", "dosagem", "de", "no"}
)
"""Words around a name that do not change what was measured: every line of the table means blood, serum or plasma."""
_NO_ANALYTES: Final = re.compile(
    r"(valor(es)? (de )?referencia|(intervalo|faixa) de|referencia|ref|resultado anterior|anterior|data|idade|crm|crbm|crf"
    r"|pagina|pag|pedido|protocolo|telefone|fone|cep|rg|cpf|cns|nascimento|data de nascimento|coleta|coletado|liberado|emitido"
    r"|otimo|alto|baixo|muito alto|normal|desejavel|limitrofe|adult|crianca|homens|mulheres|masculino|feminino|risco"
    r"|pre diabetes|diabetes|meta|ate|acima|abaixo|inferior|superior|menor|maior|nota|obs|metodo|rua|av|avenida)\b"
)
_FILLER: Final = re.compile(r"[\W_]*(resultado\W*)?", re.IGNORECASE)
_LINK: Final = frozenset({"a", "que", "ou", "igual"})
_RANGE: Final = frozenset({"a", "-", "–", "até", "ate"})
_LONGEST_UNIT: Final = 3
_LONGEST_NAME: Final = 8


class Statement(msgspec.Struct, frozen=True):
    """Words of a row by what they are. ``unit`` is the printed one; ``unit_code`` (UCUM, misread) where the table has it."""

    name: str
    analyte: Analyte | None
    figure: Figure
    comparator: Comparator
    unit: str
    unit_code: tuple[str, bool] | None
    reference: str
    sight: float
    """The confidence of the figure alone; 0: a second look saw other digits."""
    carriers: Words
    """The words that carry the figure and its unit."""


def is_result(name: str) -> bool:
    """Whether ``name`` only says that a result follows; what was measured stands above it."""
    return name_of(name) in _RESULT


def statements_of(row: Words, table: Table) -> list[Statement]:
    """Every value that ``row`` states, from left to right."""
    found: list[Statement] = []
    start = 0
    while start < len(row):
        end, analyte = _name(row, start, table)
        name = row[start:end]
        said = _stated(row, end, text_of(name), analyte, table)
        if said is None or (not name and not found):
            break
        found += said[0]
        start = said[1]
    return [one for one in found if one.analyte is not None or _is_analyte(one)]


def _is_analyte(said: Statement) -> bool:
    """A name that the table lacks counts only with a unit that it has, and if it is no caption."""
    name = name_of(said.name)
    letters = sum(sign.isalpha() for sign in name)
    return (
        said.unit_code is not None
        and letters > 1
        and len(name.split()) <= _LONGEST_NAME
        and (name in _RESULT or not _NO_ANALYTES.match(name))
    )


def _name(row: Words, start: int, table: Table) -> tuple[int, Analyte | None]:
    """Where the name ends that begins at ``start``, and what it stands for."""
    for length in range(min(table.longest_name, len(row) - start), 0, -1):
        if comparator_of(row[start + length - 1].text):
            continue  # a sign is never part of a name, however little of it folding leaves
        analyte = table.analyte(text_of(row[start : start + length]))
        if analyte is not None and _may_end(row, start + length):
            return start + length, analyte
    end = start
    while end < len(row) and (end == start or not _begins_value(row[end].text)):
        end += 1
    named = [word.text for word in row[start:end] if name_of(word.text) not in _NEUTRAL]
    return end, table.analyte(" ".join(named)) if named else None


def _may_end(row: Words, place: int) -> bool:
    """Whether the word there can follow a whole name: a figure or a filler, not one more word of a longer name."""
    return place == len(row) or _begins_value(row[place].text) or _FILLER.fullmatch(row[place].text) is not None


def _begins_value(word: str) -> bool:
    return figure_of(word) is not None or comparator_of(word) != ""


def _stated(
    row: Words, place: int, name: str, analyte: Analyte | None, table: Table
) -> tuple[list[Statement], int] | None:
    """The values after a name, and where the next name may begin; None when no figure follows."""
    while place < len(row) and not _begins_value(row[place].text) and _FILLER.fullmatch(row[place].text):
        place += 1
    first = _value(row, place, name, analyte, table)
    if first is None:
        return None
    said, place = [first[0]], first[1]
    second = _value(row, place, name, analyte, table)
    if second is not None and second[0].unit_code not in (None, first[0].unit_code) and not _is_range(row, second[1]):
        said.append(second[0])
        place = second[1]
    end = _reference_end(row, place, table)
    reference = text_of(row[place:end])
    return [*said[:-1], msgspec.structs.replace(said[-1], reference=reference)], end


def _is_range(row: Words, place: int) -> bool:
    return place < len(row) and row[place].text.lower() in _RANGE


def _value(row: Words, place: int, name: str, analyte: Analyte | None, table: Table) -> tuple[Statement, int] | None:
    first = place
    comparator: Comparator = ""
    while place < len(row) and figure_of(row[place].text) is None:
        sign = comparator_of(row[place].text)
        if not sign and not (comparator and row[place].text.lower() in _LINK):
            return None
        comparator, place = sign or comparator, place + 1
    if place == len(row):
        return None
    figure = figure_of(row[place].text)
    assert figure is not None  # noqa: S101  the loop ended at one
    unit, code, end = _unit(row, place, figure, table)
    return Statement(
        name, analyte, figure, figure.comparator or comparator, unit, code, "", row[place].confidence, row[first:end]
    ), end


def _unit(row: Words, place: int, figure: Figure, table: Table) -> tuple[str, tuple[str, bool] | None, int]:
    """(as printed, UCUM code, where it ends): the longest run of words that is a unit, else the next word if it looks like one."""
    after = place + 1
    for length in range(_LONGEST_UNIT, -1, -1):
        printed = " ".join([figure.rest, *(word.text for word in row[after : after + length])]).strip()
        code = table.unit(printed) if printed and after + length <= len(row) else None
        if code is not None:
            return printed, code, after + length
    if figure.rest:
        return figure.rest, None, after
    if after < len(row) and _looks_like_unit(row[after].text):
        return row[after].text, None, after + 1
    return "", None, after


def _looks_like_unit(word: str) -> bool:
    return ("/" in word or "%" in word) and figure_of(word) is None


def _reference_end(row: Words, place: int, table: Table) -> int:
    """As far as the next analyte's name in the same row, for reports in two columns."""
    for end in range(place + 1, len(row)):
        if row[end - 1].text.lower() not in _RANGE and _name(row, end, table)[1] is not None:
            return end
    return len(row)
