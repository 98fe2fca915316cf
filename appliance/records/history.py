"""Versions of a resource or of a type, newest first (FHIR R4 §3.1.0.13)."""

from __future__ import annotations

from typing import Any, Final, cast

from appliance.plugin_api.storage import Query, Row
from appliance.records import tables
from appliance.records.errors import RESOURCE_UNKNOWN
from appliance.records.stored import StoredVersion

_COLUMNS: Final = (
    "SELECT v.seq, v.type, v.id, v.version, v.last_updated, v.deleted, h.patient, CAST(v.body AS BLOB)"
    " FROM record_version v JOIN record_head h ON h.type = v.type AND h.id = v.id"
)


def history(q: Query, resource_type: str, resource_id: str) -> list[dict[str, Any]]:
    """Every version of one resource, newest first; a deletion is ``{"resourceType", "id", "meta"}`` with its tag.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404, ``fhir.type_unknown`` 404.
    """
    return [
        {
            "resourceType": one.type,
            "id": one.id,
            "meta": {"versionId": str(one.version), "lastUpdated": one.last_updated},
        }
        if one.deleted
        else one.resource()
        for _, one in versions(q, resource_type, resource_id)
    ]


def versions(
    q: Query,
    resource_type: str,
    resource_id: str | None = None,
    *,
    before: int | None = None,
    since: str = "",
    limit: int = 1 << 31,
) -> list[tuple[int, StoredVersion]]:
    """(place in the order of commits, version) pairs, newest first.

    ``before`` continues below a place; ``since`` is the earliest ``lastUpdated``. Without ``resource_id``: of the type.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404 for a resource that never was, ``fhir.type_unknown`` 404.
    """
    tables.require_served(resource_type)
    below = before if before is not None else 1 << 62
    if resource_id is None:
        where, values = "v.type = ?", [resource_type]
    else:
        where, values = "v.type = ? AND v.id = ?", [resource_type, resource_id]
    sql = f"{_COLUMNS} WHERE {where} AND v.seq < ? AND v.last_updated >= ? ORDER BY v.seq DESC LIMIT ?"
    found = q.all(sql, (*values, below, since, limit))
    if not found and resource_id is not None and before is None and not since:
        raise RESOURCE_UNKNOWN(type=resource_type)
    return [_version(row) for row in found]


def _version(row: Row) -> tuple[int, StoredVersion]:
    seq, kind, resource_id, version, last_updated, deleted, patient, body = cast(
        "tuple[int, str, str, int, str, int, str | None, bytes]", tuple(row)
    )
    return seq, StoredVersion(kind, resource_id, version, last_updated, bool(deleted), patient, body)
