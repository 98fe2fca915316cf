"""A document's pages into a report: each stated value with what it would mean, and every doubt about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from appliance.plugin_api.paper import Doubt, LabReport, LabValue, PaperPage
from plugins.document_reader.lab.figures import exact, figure_of
from plugins.document_reader.lab.folding import folded
from plugins.document_reader.lab.printed import birth_of, collection_of, patient_of
from plugins.document_reader.lab.rows import Row, box_of, rows_of, text_of
from plugins.document_reader.lab.table import Analyte, Table
from plugins.document_reader.lab.values import Statement, is_result, statements_of

SURE: Final = 0.8
"""Below this the recogniser itself has its doubts."""
MOST_VALUES: Final = 2000
_OTHER_SPECIMEN: Final = re.compile(
    r"\b(urina|urinaria|urinario|eas|liquor|liquido|fezes|parasitologico|secrecao|escarro)\b"
)
_BLOOD: Final = re.compile(
    r"\b(hemograma|eritrograma|leucograma|bioquimica|sangue|soro|plasma|hormonios?"
    r"|lipidograma|perfil lipidico|eletrolitos|coagulograma)\b"
)
_WHOLE: Final = frozenset({"/uL"})
"""Cells are counted whole: a point in such a number can only mean thousands."""
_HEADING_REACH: Final = 4
"""A heading counts for a result so many rows below it at most."""
_LOW_HIGH: Final = re.compile(r"(\d[\d.,]*)(?:a|-|–|até|ate)(\d[\d.,]*)")
_UP_TO: Final = re.compile(r"(?:até|ate|inferiora|menorque|<=?|≤)(\d[\d.,]*)")
_FROM: Final = re.compile(r"(?:superiora|maiorque|>=?|≥)(\d[\d.,]*)")


def report_of(pages: Sequence[PaperPage], table: Table) -> LabReport:
    """Everything that the pages state. Pure."""
    rows = [(page.number, row) for page in pages for row in rows_of(page.words)]
    values: list[LabValue] = []
    for number, row, said, elsewhere in _statements(rows, table):
        if len(values) == MOST_VALUES:
            break
        values.append(_value(number, row, said, elsewhere=elsewhere))
    return LabReport(tuple(values), patient_of(rows), birth_of(rows), collection_of(rows))


def _statements(rows: Sequence[tuple[int, Row]], table: Table) -> Iterator[tuple[int, Row, Statement, bool]]:
    elsewhere = False
    heading, reach = "", 0
    for number, row in rows:
        reach -= 1
        text = folded(text_of(row))
        if not any(figure_of(word.text) for word in row):
            elsewhere = bool(_OTHER_SPECIMEN.search(text)) or (elsewhere and not _BLOOD.search(text))
            if table.analyte(text_of(row)) is not None or reach <= 0:
                heading, reach = text_of(row), _HEADING_REACH
            continue
        for said in statements_of(row, table):
            if not is_result(said.name):
                yield number, row, said, elsewhere
            elif reach > 0 and heading:
                yield number, row, _under(heading, said, table), elsewhere


def _under(heading: str, said: Statement, table: Table) -> Statement:
    analyte = table.analyte(heading)
    return Statement(
        heading,
        analyte,
        said.figure,
        said.comparator,
        said.unit,
        said.unit_code,
        said.reference,
        said.sight,
        said.carriers,
    )


def _value(number: int, row: Row, said: Statement, *, elsewhere: bool) -> LabValue:
    doubts: list[Doubt] = []
    analyte = _analyte(said, doubts, elsewhere=elsewhere)
    ucum, converted = _unit(said, analyte, doubts)
    fits = analyte is not None and ucum in analyte.units
    confidence = min(word.confidence for word in said.carriers)
    value = _number(said, analyte if fits else None, ucum, doubts, seen_twice=said.sight > 0)
    if confidence < SURE:
        doubts.append("low_confidence")
    low, high = _bounds(said.reference)
    return LabValue(
        page=number,
        box=box_of(row),
        row=text_of(row),
        printed_name=said.name,
        printed_value=f"{said.comparator if not said.figure.comparator else ''}{said.figure.printed}",
        printed_unit=said.unit,
        printed_reference=said.reference,
        confidence=round(confidence, 3),
        value=value,
        comparator=said.comparator,
        ucum=ucum,
        loinc=analyte.loinc if analyte is not None and fits else "",
        display=analyte.display if analyte is not None and fits else "",
        low=low,
        high=high,
        converted=converted,
        doubts=tuple(doubts),
    )


def _analyte(said: Statement, doubts: list[Doubt], *, elsewhere: bool) -> Analyte | None:
    if said.analyte is None:
        doubts.append("analyte_unknown")
        return None
    if elsewhere:
        doubts.append("other_specimen")
        return None
    return said.analyte


def _unit(said: Statement, analyte: Analyte | None, doubts: list[Doubt]) -> tuple[str, str]:
    """(UCUM code to propose, the printed one where that is another name for it)."""
    if said.unit_code is None:
        doubts.append("unit_unknown" if said.unit else "unit_missing")
        return "", ""
    code, misread = said.unit_code
    if misread:
        doubts.append("unit_misread")
    if analyte is None or code in analyte.units:
        return code, ""
    if code in analyte.same:
        return analyte.same[code], code
    doubts.append("unit_unexpected")
    return code, ""


def _number(said: Statement, analyte: Analyte | None, ucum: str, doubts: list[Doubt], *, seen_twice: bool) -> str:
    """The figure to propose; empty when a person has to read it."""
    figure = said.figure
    if not figure.value or not seen_twice:
        doubts.append("digits_unsure")
        return ""
    if analyte is None:
        return figure.value
    believed = analyte.believes(ucum, exact(figure.value))
    if figure.other and ucum not in _WHOLE and analyte.believes(ucum, exact(figure.other)):
        doubts.append("separator_unsure")
        return ""
    if not believed:
        doubts.append("implausible")
        return ""
    return figure.value


def _bounds(reference: str) -> tuple[str, str]:
    """(low, high) of a reference in a form that leaves no doubt; else empty."""
    text = "".join(reference.lower().split())
    pair = _LOW_HIGH.search(text)
    if pair is not None:
        low, high = figure_of(pair[1]), figure_of(pair[2])
        if low and high and low.value and high.value and exact(low.value) < exact(high.value):
            return low.value, high.value
        return "", ""
    return _one(_FROM, text), _one(_UP_TO, text)


def _one(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    figure = figure_of(found[1]) if found else None
    return figure.value if figure else ""
