"""The entries of a transaction or batch Bundle, checked before anything is done with them (FHIR R4 §2.36)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from appliance.records import tables
from appliance.records.errors import NOT_SUPPORTED
from appliance.records.issues import single
from appliance.records.validation import validate

MAX_ENTRIES: Final = 5000
_METHODS: Final = frozenset({"GET", "POST", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a Bundle. ``id`` is empty for a POST; ``resource`` is None for GET and DELETE."""

    index: int
    method: str
    type: str
    id: str
    full_url: str
    if_match: str | None
    if_none_exist: str | None
    resource: dict[str, Any] | None


def checked_entries(bundle: dict[str, Any], kind: str) -> list[Entry]:
    """The entries of a Bundle of type ``kind`` (``transaction`` or ``batch``).

    Raises:
        ProntuarioError: ``fhir.invalid`` 422, ``fhir.not_supported`` 400.
    """
    validate(bundle)
    if bundle.get("resourceType") != "Bundle" or bundle.get("type") != kind:
        raise single(
            "Bundle.type",
            "value",
            (
                f"Esperava-se um Bundle do tipo {kind}.",
                f"Expected a Bundle of type {kind}.",
            ),
        )
    raw = bundle.get("entry", [])
    if len(raw) > MAX_ENTRIES:
        raise single(
            "Bundle.entry",
            "too-costly",
            (
                f"No máximo {MAX_ENTRIES} entradas.",
                f"At most {MAX_ENTRIES} entries.",
            ),
        )
    entries = [_entry(one, index) for index, one in enumerate(raw)]
    _refuse_repeats(entries)
    return entries


def _entry(raw: dict[str, Any], index: int) -> Entry:
    where = f"Bundle.entry[{index}]"
    request = raw.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("url"), str):
        raise single(
            f"{where}.request",
            "required",
            ("Cada entrada precisa de request com url.", "Every entry needs a request with a url."),
        )
    method, resource = request.get("method"), raw.get("resource")
    if method not in _METHODS:
        raise NOT_SUPPORTED(field=f"{where}.request.method", what="request.method")
    url = request["url"].lstrip("/")
    if "?" in url:
        raise NOT_SUPPORTED(field=f"{where}.request.url", what=f"{method} …?")
    kind, _, resource_id = url.partition("/")
    writes = method in {"POST", "PUT"}
    if writes != isinstance(resource, dict):
        raise single(
            f"{where}.resource",
            "required" if writes else "structure",
            ("Só POST e PUT levam um recurso.", "Only POST and PUT carry a resource."),
        )
    if bool(resource_id) == (method == "POST") or "/" in resource_id:
        raise single(
            f"{where}.request.url",
            "value",
            (
                "Um POST indica um tipo; os demais, um tipo e um id.",
                "A POST names a type, any other request a type and an id.",
            ),
        )
    if isinstance(resource, dict) and resource.get("resourceType") != kind:
        raise single(
            f"{where}.request.url",
            "value",
            ("O endereço e o tipo do recurso diferem.", "The address and the resource's type differ."),
        )
    if writes and kind in tables.NOT_WRITABLE:
        raise NOT_SUPPORTED(field=f"{where}.request.url", what=f"{method} {kind}")
    full_url, if_match, if_none_exist = raw.get("fullUrl", ""), request.get("ifMatch"), request.get("ifNoneExist")
    return Entry(index, method, kind, resource_id, full_url, if_match, if_none_exist, resource)


def _refuse_repeats(entries: list[Entry]) -> None:
    """FHIR R4 §3.1.0.11.2: a transaction names each resource once."""
    addresses: set[str] = set()
    for entry in entries:
        own = {f"{entry.type}/{entry.id}"} if entry.id and entry.method != "GET" else set()
        own |= {entry.full_url} if entry.full_url and entry.resource is not None else set()
        if own & addresses:
            raise single(
                f"Bundle.entry[{entry.index}]",
                "duplicate",
                ("Duas entradas tratam do mesmo recurso.", "Two entries concern the same resource."),
            )
        addresses |= own
