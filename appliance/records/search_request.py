"""A search as the client asked for it: criteria, order, page (FHIR R4 §3.1.1.3, §3.1.1.5)."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from appliance.plugin_api.storage import SqlValue
from appliance.records import tables
from appliance.records.criteria import Criterion, criterion, date_condition, prefixed_range, split_alternatives
from appliance.records.errors import NOT_SUPPORTED, PARAMETER_INVALID, PARAMETER_UNKNOWN
from appliance.records.extraction import sort_date_parameter
from appliance.records.instants import instant_of

DEFAULT_COUNT: Final = 20
MAX_COUNT: Final = 200
CURSOR: Final = "_cursor"
Params = Sequence[tuple[str, str]]
_RESULT_PARAMETERS: Final = ("_id", "_lastUpdated", "_sort", "_count", "_total", "_summary", "_format", CURSOR)
_FORMATS: Final = frozenset({"json", "application/json", "application/fhir+json", "application/fhir json"})
_INDEXES: Final = {
    "": ("h.row", "record_head_created"),
    "_lastUpdated": ("h.last_updated", "record_head_updated"),
    "date": ("h.sort_date", "record_head_date"),
    "name": ("h.sort_name", "record_head_name"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """By which column results come; ``key`` is what the client wrote, without its sign."""

    key: str = ""
    descending: bool = False

    @property
    def column(self) -> str:
        return _INDEXES[self.key][0]

    @property
    def index(self) -> str:
        return _INDEXES[self.key][1]


@dataclass(slots=True)
class SearchRequest:
    """What to look for. ``head`` are conditions on ``record_head`` itself, as (SQL, values)."""

    resource_type: str
    criteria: list[Criterion] = field(default_factory=list)
    head: list[tuple[str, tuple[SqlValue, ...]]] = field(default_factory=list)
    ids: bool = False
    updated: bool = False
    order: Order = Order()
    count: int = DEFAULT_COUNT
    total: bool = False
    only_total: bool = False
    after: tuple[SqlValue, int] | None = None
    used: list[tuple[str, str]] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """What a cursor is bound to: everything but the cursor and the page's size."""
        kept = [pair for pair in self.used if pair[0] not in {CURSOR, "_count"}]
        return hashlib.sha256(msgspec.json.encode([self.resource_type, kept])).hexdigest()[:12]

    def cursor(self, sort_value: SqlValue, row: int) -> str:
        """Where the next page begins, as an opaque word."""
        packed = msgspec.json.encode([self.fingerprint, sort_value, row])
        return base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=")


def parse(resource_type: str, params: Params, base_url: str, *, lenient: bool = False) -> SearchRequest:
    """Read a query string.

    Raises:
        ProntuarioError: ``fhir.parameter_unknown`` (400, naming the nearest; not if ``lenient``),
            ``fhir.parameter_invalid`` 400, ``fhir.not_supported`` 400, ``fhir.type_unknown`` 404.
    """
    tables.require_served(resource_type)
    request = SearchRequest(resource_type)
    cursor = ""
    for full_name, value in params:
        name, _, modifier = full_name.partition(":")
        if name == CURSOR:
            cursor = value
        elif name in tables.search_parameters()[resource_type]:
            request.criteria.append(criterion(resource_type, name, modifier, value, base_url))
        elif full_name in _HANDLERS:
            _HANDLERS[full_name](request, value)
        elif lenient:
            continue
        else:
            raise _unknown(resource_type, full_name)
        request.used.append((full_name, value))
    if cursor:
        request.after = _position(request, cursor)
    return request


def known_names(resource_type: str) -> list[str]:
    """Every parameter that a search of this type takes."""
    return [*tables.search_parameters()[resource_type], *(name for name in _RESULT_PARAMETERS if name != CURSOR)]


def _unknown(resource_type: str, full_name: str) -> Exception:
    name = full_name.partition(":")[0]
    if name in {"_include", "_revinclude", "_has", "_elements", "_filter", "_text", "_content", "_contained"}:
        return NOT_SUPPORTED(field=name, what=name)
    if "." in name and name.partition(".")[0] in tables.search_parameters()[resource_type]:
        return NOT_SUPPORTED(field=name[:80], what="chained search")
    known = known_names(resource_type)
    nearest = difflib.get_close_matches(name, known, 1, 0.4) or known[:1]
    return PARAMETER_UNKNOWN(field=name[:80], type=resource_type, name=name[:80], nearest=nearest[0])


def _ids(request: SearchRequest, value: str) -> None:
    ids = tuple(text for text in split_alternatives(value) if text)
    request.head.append((f"h.id IN ({', '.join('?' * len(ids))})", ids))
    request.ids = True


def _last_updated(request: SearchRequest, value: str) -> None:
    parts = []
    values: list[SqlValue] = []
    for text in split_alternatives(value):
        prefix, span = prefixed_range("_lastUpdated", text)
        # a stored instant is one millisecond wide: [t, t+1), so "high <= x" is "t < x" and "high > x" is "t >= x"
        sql, bound = date_condition(prefix, "t.low", "t.high", span)
        parts.append(sql.replace("t.high <= ?", "h.last_updated < ?").replace("t.high > ?", "h.last_updated >= ?")
                     .replace("t.low", "h.last_updated"))  # fmt: skip
        values += [instant_of(moment) for moment in bound]
    request.head.append((" OR ".join(f"({part})" for part in parts), tuple(values)))
    request.updated = True


def _sort(request: SearchRequest, value: str) -> None:
    key = value.removeprefix("-")
    offered = {"_lastUpdated"}
    if sort_date_parameter(request.resource_type):
        offered.add("date")
    if "name" in tables.search_parameters()[request.resource_type]:
        offered.add("name")
    if key not in offered:
        reason = " / ".join(sorted(offered))
        raise PARAMETER_INVALID(field="_sort", name="_sort", reason=reason)
    request.order = Order(key, value.startswith("-"))


def _count(request: SearchRequest, value: str) -> None:
    if not (value.isascii() and value.isdigit() and len(value) < 10):  # noqa: PLR2004  fits an integer
        raise PARAMETER_INVALID(field="_count", name="_count", reason=f"0..{MAX_COUNT}")
    request.count = min(int(value), MAX_COUNT)
    request.only_total = request.only_total or request.count == 0
    request.total = request.total or request.count == 0


def _total(request: SearchRequest, value: str) -> None:
    if value not in {"none", "estimate", "accurate"}:
        raise PARAMETER_INVALID(field="_total", name="_total", reason="none / estimate / accurate")
    request.total = request.total or value != "none"


def _summary(request: SearchRequest, value: str) -> None:
    if value not in {"count", "false"}:
        raise NOT_SUPPORTED(field="_summary", what="_summary")
    if value == "count":
        request.only_total = request.total = True


def _format(_request: SearchRequest, value: str) -> None:
    if value.lower() not in _FORMATS:
        raise NOT_SUPPORTED(field="_format", what="_format")


_HANDLERS: Final = {
    "_id": _ids,
    "_lastUpdated": _last_updated,
    "_sort": _sort,
    "_count": _count,
    "_total": _total,
    "_summary": _summary,
    "_format": _format,
}


def _position(request: SearchRequest, cursor: str) -> tuple[SqlValue, int]:
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        fingerprint, value, row = msgspec.json.decode(packed, type=tuple[str, str | int | None, int])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise PARAMETER_INVALID(field=CURSOR, name=CURSOR, reason="a link of an earlier page") from error
    wanted: Any = {"": type(None), "date": int}.get(request.order.key, str)
    if fingerprint != request.fingerprint or not isinstance(value, wanted):
        raise PARAMETER_INVALID(field=CURSOR, name=CURSOR, reason="a link of an earlier page of the same search")
    return value, row
