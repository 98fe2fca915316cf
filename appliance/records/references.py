"""References inside a resource: found, rewritten, checked (FHIR R4 §2.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from appliance.plugin_api.storage import Query
from appliance.records import tables
from appliance.records.extraction import local_target
from appliance.records.issues import Issue, invalid, path_of
from appliance.records.structure import Location, reference_type

_REWRITTEN: Final = ("reference", "url", "uri", "valueUri", "valueUrl")


def references(value: Any, location: Location = ()) -> Iterator[tuple[Location, str]]:
    """(where, text) of every literal reference in ``value``, contained resources included."""
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            yield (*location, "reference"), text
        for name, child in value.items():
            if isinstance(child, dict | list):
                yield from references(child, (*location, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from references(child, (*location, index))


def rewritten(value: Any, target_of: Callable[[str], str | None]) -> Any:
    """A copy of ``value`` with references and URLs replaced where ``target_of`` knows better."""
    if isinstance(value, dict):
        return {
            name: (target_of(child) or child)
            if name in _REWRITTEN and isinstance(child, str)
            else rewritten(child, target_of)
            for name, child in value.items()
        }
    return [rewritten(child, target_of) for child in value] if isinstance(value, list) else value


def require_targets(q: Query, resource: dict[str, Any]) -> None:
    """Refuse a reference to a resource of ours that does not exist or is deleted.

    Raises:
        ProntuarioError: ``fhir.invalid`` 422 with issues of code ``not-found``.
    """
    issues = []
    for location, text in references(resource):
        kind = reference_type(text)
        if kind not in tables.search_parameters() or "?" in text:
            continue
        target = local_target(text)
        if target.count("/") == 1 and not exists(q, kind, target.partition("/")[2]):
            where = path_of(resource["resourceType"], location)
            issues.append(
                Issue(
                    where,
                    "not-found",
                    ("O recurso referenciado não existe aqui.", "The referenced resource does not exist here."),
                )
            )
    if issues:
        raise invalid(issues)


def exists(q: Query, resource_type: str | None, resource_id: str) -> bool:
    """Whether there is such a resource, not deleted."""
    sql = "SELECT 1 FROM record_head WHERE type = ? AND id = ? AND deleted = 0"
    return q.one(sql, (resource_type, resource_id)) is not None
