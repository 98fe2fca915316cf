"""Searches over the index tables, page by page (FHIR R4 §3.1.1). Searchset Bundles, or their JSON text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from appliance.plugin_api.storage import Query, SqlValue
from appliance.records import json_text
from appliance.records.plan import Plan, plan
from appliance.records.search_request import CURSOR, Params, SearchRequest, parse
from appliance.records.stored import StoredVersion


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results, in order. ``next_cursor`` is None on the last one; ``total`` only when asked for."""

    request: SearchRequest
    matches: list[StoredVersion]
    total: int | None
    next_cursor: str | None


def search(q: Query, resource_type: str, params: Params, base_url: str, *, lenient: bool = False) -> dict[str, Any]:
    """A searchset Bundle with decoded resources; ``base_url`` is the service's, such as ``https://host/fhir/R4``.

    Raises:
        ProntuarioError: ``fhir.parameter_unknown``, ``fhir.parameter_invalid``, ``fhir.not_supported`` (400),
            ``fhir.type_unknown`` (404).
    """
    page = find(q, resource_type, params, base_url, lenient=lenient)
    bundle = searchset(page, base_url)
    for entry, match in zip(bundle.get("entry", []), page.matches, strict=True):
        entry["resource"] = match.resource()
    return bundle


def find(q: Query, resource_type: str, params: Params, base_url: str, *, lenient: bool = False) -> Page:
    """The page itself, resources as stored text. Raises as ``search``."""
    request = parse(resource_type, params, base_url, lenient=lenient)
    chosen = plan(q, request)
    total = _count(q, chosen) if request.total else None
    if request.only_total:
        return Page(request, [], total, None)
    rows = [] if chosen.empty else _rows(q, request, chosen)
    matches = [match for _, _, match in rows[: request.count]]
    following = None
    if len(rows) > request.count:
        sort_value, row, _ = rows[request.count - 1]
        following = request.cursor(sort_value if request.order.key else None, row)
    return Page(request, matches, total, following)


def searchset(page: Page, base_url: str) -> dict[str, Any]:
    """The Bundle of a page; its resources are raw JSON (``records.json_text.encode`` makes the text)."""
    resource_type = page.request.resource_type
    links = [{"relation": "self", "url": _url(base_url, resource_type, page.request.used)}]
    if page.next_cursor is not None:
        following = [pair for pair in page.request.used if pair[0] != CURSOR]
        links.append(
            {"relation": "next", "url": _url(base_url, resource_type, [*following, (CURSOR, page.next_cursor)])}
        )
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    bundle["link"] = links
    if page.matches:
        bundle["entry"] = [
            {
                "fullUrl": f"{base_url}/{match.type}/{match.id}",
                "resource": msgspec.Raw(match.body),
                "search": {"mode": "match"},
            }
            for match in page.matches
        ]
    return bundle


def search_json(
    q: Query, resource_type: str, params: Params, base_url: str, *, lenient: bool = False
) -> tuple[bytes, Page]:
    """The searchset as JSON text, and the page that it shows. Raises as ``search``."""
    page = find(q, resource_type, params, base_url, lenient=lenient)
    return json_text.encode(searchset(page, base_url)), page


def _rows(q: Query, request: SearchRequest, chosen: Plan) -> list[tuple[SqlValue, int, StoredVersion]]:
    column, direction = request.order.column, "DESC" if request.order.descending else "ASC"
    conditions, values = list(chosen.conditions), list(chosen.values)
    if request.after is not None:
        sign = "<" if request.order.descending else ">"
        value, row = request.after
        if request.order.key:
            conditions.append(f"({column}, h.row) {sign} (?, ?)")
            values += [value, row]
        else:
            conditions.append(f"h.row {sign} ?")
            values.append(row)
    where = f"FROM {chosen.source} WHERE {' AND '.join(conditions)}"
    columns = "h.row, h.id, h.version, h.last_updated, h.patient"
    limit = request.count + 1  # not a mark: SQLite compiles a statement anew whenever its LIMIT is bound again
    text = "(SELECT CAST(v.body AS BLOB) FROM record_version v WHERE v.seq = h.seq)"
    if request.order.key:  # may have to sort: only then fetch the bodies, for the page alone
        sql = (
            f"WITH h AS MATERIALIZED (SELECT {column} AS sort_value, {columns}, h.seq {where}"  # noqa: S608  fixed names
            f" ORDER BY {column} {direction}, h.row {direction} LIMIT {limit}) SELECT sort_value, {columns}, {text} FROM h"
        )
    else:
        sql = f"SELECT h.row, {columns}, {text} {where} ORDER BY h.row {direction} LIMIT {limit}"
    found = []
    for one in q.all(sql, values):
        sort_value, row, resource_id, version, moment, patient, body = cast(
            "tuple[SqlValue, int, str, int, str, str | None, bytes]", tuple(one)
        )
        stored = StoredVersion(request.resource_type, resource_id, version, moment, False, patient, body)
        found.append((sort_value, row, stored))
    return found


def _count(q: Query, chosen: Plan) -> int:
    if chosen.empty:
        return 0
    sql = f"SELECT COUNT(*) FROM {chosen.source} WHERE {' AND '.join(chosen.conditions)}"  # noqa: S608  fixed names
    found = q.one(sql, chosen.values)
    return cast("int", found[0]) if found is not None else 0


def _url(base_url: str, resource_type: str, params: list[tuple[str, str]]) -> str:
    query = f"?{urlencode(params)}" if params else ""
    return f"{base_url}/{resource_type}{query}"
