"""Conditional interactions: what matches a search decides (FHIR R4 §3.1.0.8.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from appliance.plugin_api.storage import Query, Transaction
from appliance.records import repository, search
from appliance.records.errors import MULTIPLE_MATCHES, PARAMETER_INVALID
from appliance.records.stored import StoredVersion


@dataclass(frozen=True, slots=True)
class Created:
    """What a (conditional) create led to."""

    resource: dict[str, Any]
    new: bool


def create_if_none(
    tx: Transaction, resource: dict[str, Any], condition: str, *, now: str, author: str | None = None
) -> Created:
    """Create ``resource`` unless one already matches ``condition`` (an ``If-None-Exist`` query string).

    Raises:
        ProntuarioError: ``fhir.multiple_matches`` 412, ``fhir.invalid`` 422, search errors 400.
    """
    existing = only_match(tx, str(resource.get("resourceType", "")), condition)
    if existing is not None:
        return Created(existing.resource(), new=False)
    return Created(repository.create(tx, resource, now=now, author=author), new=True)


def only_match(q: Query, resource_type: str, condition: str) -> StoredVersion | None:
    """The one resource that matches the query string ``condition``, or None.

    Raises:
        ProntuarioError: ``fhir.multiple_matches`` 412, search errors 400.
    """
    params = parse_qsl(condition.lstrip("?"), keep_blank_values=True)
    if not params or any(name in {"_count", "_sort", "_cursor", "_summary", "_total"} for name, _ in params):
        raise PARAMETER_INVALID(field="If-None-Exist", name="If-None-Exist", reason="search parameters")
    matches = search.find(q, resource_type, [*params, ("_count", "2")], "").matches
    if len(matches) > 1:
        raise MULTIPLE_MATCHES(type=resource_type)
    return matches[0] if matches else None
