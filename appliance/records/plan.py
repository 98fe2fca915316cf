"""From a search to SQL whose cost is known: which index drives it is chosen here, not left to chance.

A criterion with few matches drives the query; one with many is only tested on candidates. Whether it has few is asked
of the index itself (a bounded count). With no driver, candidates come in the order wanted, and the page stops early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from appliance.plugin_api.storage import Query, SqlValue
from appliance.records.criteria import Criterion
from appliance.records.search_request import SearchRequest

FEW: Final = 1000
"""At most so many index entries are collected before the resources are looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``FROM … WHERE …`` and its values; rows are ``h``. ``empty``: an index has already said that nothing matches."""

    source: str
    conditions: tuple[str, ...]
    values: tuple[SqlValue, ...]
    empty: bool = False


def plan(q: Query, request: SearchRequest) -> Plan:
    """Choose how to run ``request``."""
    patient = next((one.patient for one in request.criteria if one.patient is not None), None)
    rows: set[int] | None = None
    conditions, values = ["h.deleted = 0", "h.type = ?"], list[SqlValue]([request.resource_type])
    if patient is not None:
        conditions.append("h.patient = ?")
        values.append(patient)
    for one in request.criteria:
        if one.patient is not None and one.patient == patient:
            continue
        few = _few_rows(q, one, patient) if one.selective and not request.ids else None
        if few is not None:
            rows = few if rows is None else rows & few
        else:
            conditions.append(_tested(one))
            values += one.values
    for sql, bound in request.head:
        conditions.append(f"({sql})")
        values += bound
    if rows is None:
        if request.order.key == "name":
            conditions.append("h.sort_name IS NOT NULL")
        return Plan(_source(request, patient), tuple(conditions), tuple(values))
    marks = _padded(sorted(rows))
    conditions.insert(0, f"h.row IN ({', '.join('?' * len(marks))})")
    return Plan("record_head h NOT INDEXED", tuple(conditions), (*marks, *values), empty=not rows)


def _source(request: SearchRequest, patient: str | None) -> str:
    if request.ids:
        return "record_head h"
    if patient is not None:
        return "record_head h INDEXED BY record_head_patient"
    if request.updated and not request.order.key:
        return "record_head h INDEXED BY record_head_updated"
    return f"record_head h INDEXED BY {request.order.index}"


def _tested(one: Criterion) -> str:
    found = f"EXISTS (SELECT 1 FROM {one.table} s INDEXED BY {one.by_row} WHERE s.row = h.row AND {one.condition})"  # noqa: S608  fixed names
    return f"NOT {found}" if one.negated else found


def _few_rows(q: Query, one: Criterion, patient: str | None) -> set[int] | None:
    """The resources that fulfil ``one``, or None if they are many (or only many others could tell)."""
    condition, values = one.condition, one.values
    if patient is not None:
        if one.table != "record_token":
            return None
        condition, values = f"{condition} AND s.patient = ?", (*values, patient)
    found = q.all(
        f"SELECT s.row FROM {one.table} s INDEXED BY {one.by_value} WHERE {condition} LIMIT {FEW + 1}",  # noqa: S608  fixed names
        values,
    )
    return None if len(found) > FEW else {cast("int", row[0]) for row in found}


def _padded(rows: list[int]) -> list[int]:
    """Repeats the last one up to a power of two, so that few different statements are ever prepared."""
    if not rows:
        return []
    size = 1
    while size < len(rows):
        size *= 2
    return rows + [rows[-1]] * (size - len(rows))
