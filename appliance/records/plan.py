"""From a search to SQL whose cost is known: which index drives it is chosen here, not left to chance.

A criterion with few matches drives the query; one with many is only tested on candidates. Whether it has few is asked
of the index itself (a bounded count). With no driver, candidates come in the order wanted, and the page stops early.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from appliance.plugin_api.storage import Query, SqlValue
from appliance.records.criteria import Criterion
from appliance.records.search_request import SearchRequest

FEW: Final = 1000
"""At most so many index entries are collected before the resources are looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``FROM … WHERE …`` and its values; rows are ``h``."""

    source: str
    conditions: tuple[str, ...]
    values: tuple[SqlValue, ...]


def plan(q: Query, request: SearchRequest) -> Plan:
    """Choose how to run ``request``."""
    patient = next((one.patient for one in request.criteria if one.patient is not None), None)
    rest = [one for one in request.criteria if one.patient is None or one.patient != patient]
    drivers: list[Criterion] = []
    tested: list[Criterion] = []
    for one in rest:
        narrowed = _of_patient(one, patient)
        few = one.selective and not request.ids and (narrowed is not one or (patient is None and _has_few(q, one)))
        (drivers if few else tested).append(narrowed if few else one)
    source, conditions, values = _source(request, patient, drivers)
    for one in drivers:
        conditions.append(f"h.row IN (SELECT s.row FROM {one.table} s INDEXED BY {one.by_value} WHERE {one.condition})")  # noqa: S608  fixed names
        values += one.values
    for one in tested:
        found = f"EXISTS (SELECT 1 FROM {one.table} s INDEXED BY {one.by_row} WHERE s.row = h.row AND {one.condition})"  # noqa: S608  fixed names
        conditions.append(f"NOT {found}" if one.negated else found)
        values += one.values
    for sql, bound in request.head:
        conditions.append(f"({sql})")
        values += bound
    return Plan(source, tuple(conditions), tuple(values))


def _source(
    request: SearchRequest, patient: str | None, drivers: list[Criterion]
) -> tuple[str, list[str], list[SqlValue]]:
    conditions, values = ["h.deleted = 0", "h.type = ?"], list[SqlValue]([request.resource_type])
    if patient is not None:
        conditions.append("h.patient = ?")
        values.append(patient)
    if request.ids:
        return "record_head h", conditions, values
    if drivers:
        return "record_head h NOT INDEXED", conditions, values
    if patient is not None:
        return "record_head h INDEXED BY record_head_patient", conditions, values
    if request.order.key == "name":
        conditions.append("h.sort_name IS NOT NULL")
    if request.updated and not request.order.key:
        return "record_head h INDEXED BY record_head_updated", conditions, values
    return f"record_head h INDEXED BY {request.order.index}", conditions, values


def _of_patient(one: Criterion, patient: str | None) -> Criterion:
    """A token criterion within one patient's resources; any other as it is."""
    if patient is None or one.table != "record_token" or not one.selective:
        return one
    return replace(one, condition=f"{one.condition} AND s.patient = ?", values=(*one.values, patient))


def _has_few(q: Query, one: Criterion) -> bool:
    found = q.one(
        f"SELECT COUNT(*) FROM (SELECT 1 FROM {one.table} s INDEXED BY {one.by_value} WHERE {one.condition} LIMIT ?)",  # noqa: S608  fixed names
        (*one.values, FEW + 1),
    )
    return found is not None and int(found[0] or 0) <= FEW
