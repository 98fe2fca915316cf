"""What a resource is found by: the values of its search parameters (FHIR R4 §3.1.1), its patient, its sort keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from appliance.records import tables
from appliance.records.dates import EARLIEST, LATEST, Range, date_range, period_range
from appliance.records.folding import fold, word_starts
from appliance.records.structure import reference_type
from appliance.records.tables import SearchParameter, SearchPath

MAX_INDEXED_LENGTH: Final = 200
"""Longer texts are indexed by their beginning: an index entry is not a place to keep a book."""
_SORT_DATES: Final = (
    "date",
    "authoredon",
    "recorded-date",
    "onset-date",
    "recorded",
    "started",
    "authored",
    "created",
    "issued",
)
_PATIENT_PARAMETERS: Final = ("patient", "subject", "beneficiary", "target")
_CHOICE_TYPES: Final = (
    "DateTime", "Date", "Instant", "Period", "Timing", "CodeableConcept", "Reference", "String", "Boolean", "Age", "Range",
)  # fmt: skip


@dataclass(slots=True)
class IndexValues:
    """Values by kind; ``param`` is the parameter's code."""

    tokens: set[tuple[str, str, str]] = field(default_factory=set)
    """(param, system, code)"""
    strings: set[tuple[str, str, str | None]] = field(default_factory=set)
    """(param, folded, exact)"""
    dates: set[tuple[str, int, int]] = field(default_factory=set)
    references: set[tuple[str, str]] = field(default_factory=set)
    patient: str | None = None
    sort_date: int = EARLIEST
    sort_name: str | None = None


def extract(resource: dict[str, Any]) -> IndexValues:
    """All index values of a valid resource."""
    resource_type = resource["resourceType"]
    found = IndexValues()
    for code, parameter in tables.search_parameters()[resource_type].items():
        for value in values_of(resource, parameter):
            _ADD[parameter.kind](found, code, value)
    found.patient = patient_of(resource)
    main = sort_date_parameter(resource_type)
    if main is not None:
        found.sort_date = min((low for code, low, _ in found.dates if code == main), default=EARLIEST)
    if "name" in tables.search_parameters()[resource_type]:
        found.sort_name = _sort_name(resource)
    return found


@cache
def sort_date_parameter(resource_type: str) -> str | None:
    """The parameter that ``_sort=date`` means for a type: its clinically relevant time."""
    parameters = tables.search_parameters()[resource_type]
    return next((code for code in _SORT_DATES if code in parameters and parameters[code].kind == "date"), None)


def patient_of(resource: dict[str, Any]) -> str | None:
    """The id of the patient whose record this resource belongs to, for compartments and audit."""
    if resource["resourceType"] == "Patient":
        return resource.get("id")
    parameters = tables.search_parameters()[resource["resourceType"]]
    for code in _PATIENT_PARAMETERS:
        if code in parameters:
            for value in values_of(resource, parameters[code]):
                target = _target(value)
                if target is not None and target.startswith("Patient/"):
                    return target.removeprefix("Patient/")
    security = resource.get("securityContext")  # Binary
    target = _target(security) if security else None
    return target.removeprefix("Patient/") if target and target.startswith("Patient/") else None


def values_of(resource: dict[str, Any], parameter: SearchParameter) -> Iterator[Any]:
    """The elements that a parameter looks at."""
    for path in parameter.paths:
        for value in _follow(resource, path.steps, path):
            if path.where is not None and not (isinstance(value, dict) and value.get(path.where[0]) == path.where[1]):
                continue
            if path.target is not None and not (isinstance(value, dict) and _names(value, path.target)):
                continue
            yield value


def local_target(reference: str) -> str:
    """``Patient/12/_history/3`` → ``Patient/12``; anything else as it is."""
    return reference.partition("/_history/")[0]


def _follow(value: Any, steps: tuple[str, ...], path: SearchPath) -> Iterator[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _follow(item, steps, path)
    elif not steps:
        yield value
    elif isinstance(value, dict):
        step = steps[0]
        if step in value:
            yield from _follow(value[step], steps[1:], path)
        elif len(steps) == 1:
            wanted = (_capital(path.as_type),) if path.as_type else _CHOICE_TYPES
            for kind in wanted:
                if step + kind in value:
                    yield from _follow(value[step + kind], (), path)


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]


def _names(value: dict[str, Any], resource_type: str) -> bool:
    reference = value.get("reference")
    return isinstance(reference, str) and reference_type(reference) == resource_type


def _target(value: Any) -> str | None:
    reference = value.get("reference") if isinstance(value, dict) else None
    return local_target(reference) if isinstance(reference, str) and not reference.startswith("#") else None


def _add_token(found: IndexValues, param: str, value: Any) -> None:
    if isinstance(value, bool):
        found.tokens.add((param, "", "true" if value else "false"))
    elif isinstance(value, str):
        found.tokens.add((param, "", value[:MAX_INDEXED_LENGTH]))
    elif isinstance(value, dict):
        for coding in value.get("coding", [value]):
            code = coding.get("code", coding.get("value"))
            if isinstance(code, str):
                system = "" if "use" in coding and "rank" in coding else coding.get("system", "")
                found.tokens.add((param, system[:MAX_INDEXED_LENGTH], code[:MAX_INDEXED_LENGTH]))


def _add_string(found: IndexValues, param: str, value: Any) -> None:
    for written in _texts(value):
        for start, folded in enumerate(word_starts(fold(written)[:MAX_INDEXED_LENGTH])):
            found.strings.add((param, folded, written[:MAX_INDEXED_LENGTH] if start == 0 else None))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and ("family" in value or "given" in value or "text" in value):
        parts = [*value.get("given", []), value["family"]] if "family" in value else value.get("given", [])
        yield " ".join(part for part in parts if isinstance(part, str))
        yield from (
            part for part in (value.get("family"), *value.get("given", []), value.get("text")) if isinstance(part, str)
        )
    elif isinstance(value, dict):  # Address
        yield from (part for part in value.get("line", []) if isinstance(part, str))
        yield from (value[name] for name in ("city", "district", "state", "postalCode", "country") if name in value)


def _add_date(found: IndexValues, param: str, value: Any) -> None:
    for low, high in _ranges(value):
        found.dates.add((param, low, high))


def _ranges(value: Any) -> Iterator[Range]:
    if isinstance(value, str):
        yield date_range(value)
    elif isinstance(value, dict) and ("start" in value or "end" in value):
        yield period_range(value.get("start"), value.get("end"))
    elif isinstance(value, dict) and value.get("event"):  # Timing: from the first event to the last
        events = [date_range(event) for event in value["event"]]
        yield min(low for low, _ in events), max(high for _, high in events)
    elif isinstance(value, dict) and "repeat" in value:
        bounds = value["repeat"].get("boundsPeriod")
        yield period_range(bounds.get("start"), bounds.get("end")) if bounds else (EARLIEST, LATEST)


def _add_reference(found: IndexValues, param: str, value: Any) -> None:
    target = _target(value)
    if target is not None:
        found.references.add((param, target[:MAX_INDEXED_LENGTH]))


_ADD: Final = {"token": _add_token, "string": _add_string, "date": _add_date, "reference": _add_reference}


def _sort_name(resource: dict[str, Any]) -> str:
    name = resource.get("name", "")
    first = name[0] if isinstance(name, list) and name else name
    if isinstance(first, dict):
        given = " ".join(part for part in first.get("given", []) if isinstance(part, str))
        first = f"{first.get('family', '')} {given}".strip() or first.get("text", "")
    return fold(first)[:MAX_INDEXED_LENGTH]
