"""FHIR reads: one resource, a version, histories, searches, everything about a patient."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from appliance.api.errors import BODY_MALFORMED, BODY_TYPE
from appliance.api.fhir_outcome import FHIR_JSON
from appliance.api.fhir_replies import about, base_url, preferences, resource_reply, resource_type
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_api.storage import Store
from appliance.records import json_text, repository, search
from appliance.records.criteria import prefixed_range
from appliance.records.errors import PARAMETER_INVALID, PARAMETER_UNKNOWN, RESOURCE_UNKNOWN
from appliance.records.everything import everything
from appliance.records.history import versions
from appliance.records.instants import instant_of
from appliance.records.search_request import CURSOR, DEFAULT_COUNT, MAX_COUNT
from appliance.records.stored import StoredVersion

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_DIGITS: Final = 17


class ReadHandlers:
    """Handlers over a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, request: Request) -> Reply:
        kind, resource_id = resource_type(request, "read"), request.parameters["id"]
        request.about(resource=f"{kind}/{resource_id}")
        stored = await self._store.read(partial(repository.read_stored, resource_type=kind, resource_id=resource_id))
        about(request, stored)
        return resource_reply(request, stored)

    async def read_version(self, request: Request) -> Reply:
        kind, resource_id = resource_type(request, "read"), request.parameters["id"]
        request.about(resource=f"{kind}/{resource_id}")
        version = request.parameters["version"]
        if not (version.isascii() and version.isdigit() and len(version) <= _MAX_DIGITS):
            raise RESOURCE_UNKNOWN(type=kind)
        stored = await self._store.read(lambda q: repository.read_version(q, kind, resource_id, int(version)))
        about(request, stored)
        return resource_reply(request, stored)

    async def search(self, request: Request) -> Reply:
        params = list(request.query_items)
        kind = resource_type(request, "read")
        if request.method == "POST":
            params += await _form(request)
        lenient = preferences(request).get("handling") == "lenient"
        base = base_url(request)
        text, page = await self._store.read(lambda q: search.search_json(q, kind, params, base, lenient=lenient))
        _about_page(request, kind, page.matches)
        return Reply(200, text, {}, FHIR_JSON)

    async def history(self, request: Request) -> Reply:
        kind, resource_id = resource_type(request, "read"), request.parameters.get("id")
        request.about(resource=f"{kind}/{resource_id or '_history'}")
        count, before, since = _history_parameters(request)
        found = await self._store.read(
            lambda q: versions(q, kind, resource_id, before=before, since=since, limit=count + 1)
        )
        shown = found[:count]
        _about_page(request, kind, [one for _, one in shown])
        address = "/".join(part for part in (base_url(request), kind, resource_id, "_history") if part)
        following = shown[-1][0] if len(found) > count else None
        bundle = _bundle("history", address, request, following)
        if shown:
            bundle["entry"] = [_history_entry(base_url(request), one) for _, one in shown]
        return Reply(200, json_text.encode(bundle), {}, FHIR_JSON)

    async def everything(self, request: Request) -> Reply:
        patient_id = request.parameters["id"]
        request.about(patient=f"Patient/{patient_id}", resource=f"Patient/{patient_id}")
        count, after, _ = _history_parameters(request, takes_since=False)
        found = await self._store.read(lambda q: everything(q, patient_id, after=after or 0, limit=count + 1))
        shown = found[:count]
        base = base_url(request)
        following = shown[-1][0] if len(found) > count else None
        bundle = _bundle("searchset", f"{base}/Patient/{patient_id}/$everything", request, following)
        if shown:
            bundle["entry"] = [
                {
                    "fullUrl": f"{base}/{one.type}/{one.id}",
                    "resource": msgspec.Raw(one.body),
                    "search": {"mode": "match" if one.patient is not None else "include"},
                }
                for _, one in shown
            ]
        return Reply(200, json_text.encode(bundle), {}, FHIR_JSON)


def _about_page(request: Request, kind: str, shown: list[StoredVersion]) -> None:
    """Every patient of whom the page shows something."""
    patients = {one.patient: None for one in shown if one.patient is not None}
    request.about(patient=[f"Patient/{patient}" for patient in patients], resource=kind)


async def _form(request: Request) -> list[tuple[str, str]]:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared not in {_FORM, ""}:
        raise BODY_TYPE(expected=_FORM)
    try:
        return parse_qsl((await request.raw_body()).decode("utf-8"), keep_blank_values=True)
    except (UnicodeDecodeError, ValueError) as error:
        raise BODY_MALFORMED() from error


def _history_parameters(request: Request, *, takes_since: bool = True) -> tuple[int, int | None, str]:
    """(page size, place to continue from, earliest instant)."""
    count, place, since = DEFAULT_COUNT, None, ""
    for name, value in request.query_items:
        if name == "_count" and value.isascii() and value.isdigit() and 0 < len(value) < _MAX_DIGITS:
            count = min(max(int(value), 1), MAX_COUNT)
        elif name == CURSOR and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS:
            place = int(value)
        elif name == "_since" and takes_since:
            since = instant_of(prefixed_range("_since", value)[1][0])
        elif name in {"_count", CURSOR}:
            raise PARAMETER_INVALID(field=name, name=name, reason="digits")
        elif name != "_format":
            nearest = "_since" if takes_since else "_count"
            raise PARAMETER_UNKNOWN(field=name[:80], type="_history", name=name[:80], nearest=nearest)
    return count, place, since


def _bundle(kind: str, address: str, request: Request, following: int | None) -> dict[str, Any]:
    params = list(request.query_items)
    links = [{"relation": "self", "url": f"{address}?{urlencode(params)}" if params else address}]
    if following is not None:
        rest = [pair for pair in params if pair[0] != CURSOR]
        links.append({"relation": "next", "url": f"{address}?{urlencode([*rest, (CURSOR, str(following))])}"})
    return {"resourceType": "Bundle", "type": kind, "link": links}


def _history_entry(base: str, one: StoredVersion) -> dict[str, Any]:
    address = f"{one.type}/{one.id}"
    if one.deleted:
        method, status = "DELETE", "204 No Content"
    else:
        method, status = ("POST", "201 Created") if one.version == 1 else ("PUT", "200 OK")
    entry: dict[str, Any] = {"fullUrl": f"{base}/{address}"}
    if not one.deleted:
        entry["resource"] = msgspec.Raw(one.body)
    entry["request"] = {"method": method, "url": one.type if method == "POST" else address}
    entry["response"] = {"status": status, "etag": f'W/"{one.version}"', "lastModified": one.last_updated}
    return entry
