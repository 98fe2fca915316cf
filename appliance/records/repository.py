"""Resources in the store: create, read, update, delete, versions (FHIR R4 §3.1.0).

Every function works on a transaction or query given by the caller; ``now`` is a FHIR instant from the caller's clock.
Every version ever committed stays readable: triggers of the schema keep it so.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any, Final, cast

from appliance.plugin_api.storage import Query, Row, Transaction
from appliance.records import index, json_text, tables
from appliance.records.errors import (
    ALREADY_EXISTS,
    IMMUTABLE,
    RESOURCE_DELETED,
    RESOURCE_UNKNOWN,
    STILL_REFERENCED,
    VERSION_CONFLICT,
)
from appliance.records.extraction import IndexValues, extract
from appliance.records.history import history
from appliance.records.issues import single
from appliance.records.stored import StoredVersion
from appliance.records.validation import validate

__all__ = [
    "IMMUTABLE_TAG",
    "StoredVersion",
    "carries_immutable_tag",
    "create",
    "delete",
    "history",
    "parse_version",
    "read",
    "read_stored",
    "read_version",
    "stamped",
    "update",
]

IMMUTABLE_TAG: Final = "urn:prontuario:immutable"
"""A resource with a ``meta.tag`` of this system can be neither updated nor deleted (signed documents)."""
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_HEAD: Final = "SELECT row, seq, version, last_updated, deleted, patient FROM record_head WHERE type = ? AND id = ?"


@dataclass(frozen=True, slots=True)
class _Head:
    row: int
    seq: int
    version: int
    last_updated: str
    deleted: bool
    patient: str | None


def create(
    tx: Transaction,
    resource: dict[str, Any],
    *,
    now: str,
    author: str | None = None,
    resource_id: str | None = None,
) -> dict[str, Any]:
    """Keep a new resource; returns it with the server's ``id``, ``meta.versionId`` and ``meta.lastUpdated``.

    An ``id`` inside ``resource`` is ignored (FHIR R4 §3.1.0.8); ``resource_id`` sets one on purpose.

    Raises:
        ProntuarioError: ``fhir.invalid`` 422, ``fhir.exists`` 409 (that id is or was in use).
    """
    validate(resource)
    new_id = resource_id or str(uuid.uuid4())
    if not _ID.fullmatch(new_id):
        raise single(
            f"{resource['resourceType']}.id",
            "value",
            ("Um id tem de 1 a 64 letras, dígitos, '-' ou '.'.", "An id has 1 to 64 letters, digits, '-' or '.'."),
        )
    if _head(tx, resource["resourceType"], new_id) is not None:
        raise ALREADY_EXISTS(type=resource["resourceType"])
    return _write(tx, stamped(resource, new_id, 1, now), None, author)


def read(q: Query, resource_type: str, resource_id: str) -> dict[str, Any]:
    """The current version.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404, ``fhir.gone`` 410, ``fhir.type_unknown`` 404.
    """
    return read_stored(q, resource_type, resource_id).resource()


def read_stored(q: Query, resource_type: str, resource_id: str) -> StoredVersion:
    """The current version as stored text, without decoding it. Raises as ``read``."""
    found = q.one(
        "SELECT h.version, h.last_updated, h.deleted, h.patient, CAST(v.body AS BLOB)"
        " FROM record_head h JOIN record_version v ON v.seq = h.seq WHERE h.type = ? AND h.id = ?",
        (resource_type, resource_id),
    )
    if found is None:
        tables.require_served(resource_type)
        raise RESOURCE_UNKNOWN(type=resource_type)
    version, last_updated, deleted, patient, body = cast("tuple[int, str, int, str | None, bytes]", tuple(found))
    if deleted:
        raise RESOURCE_DELETED(type=resource_type)
    return StoredVersion(resource_type, resource_id, version, last_updated, False, patient, body)


def read_version(q: Query, resource_type: str, resource_id: str, version: int) -> StoredVersion:
    """One version, current or not.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404; ``fhir.gone`` 410 when that version is the deletion.
    """
    found = q.one(
        "SELECT v.version, v.last_updated, v.deleted, h.patient, CAST(v.body AS BLOB)"
        " FROM record_version v JOIN record_head h ON h.type = v.type AND h.id = v.id"
        " WHERE v.type = ? AND v.id = ? AND v.version = ?",
        (resource_type, resource_id, version),
    )
    if found is None:
        tables.require_served(resource_type)
        raise RESOURCE_UNKNOWN(type=resource_type)
    number, last_updated, deleted, patient, body = cast("tuple[int, str, int, str | None, bytes]", tuple(found))
    if deleted:
        raise RESOURCE_DELETED(type=resource_type)
    return StoredVersion(resource_type, resource_id, number, last_updated, False, patient, body)


def update(
    tx: Transaction,
    resource: dict[str, Any],
    *,
    now: str,
    if_match: str | None,
    author: str | None = None,
) -> dict[str, Any]:
    """Keep a new version of the resource with ``resource["id"]``; a deleted one comes back to life.

    ``if_match`` is the version the caller has seen (``W/"3"`` or ``3``); None means: whatever is there.

    Raises:
        ProntuarioError: ``fhir.invalid`` 422, ``fhir.not_found`` 404 (no creation by update), ``fhir.version_conflict``
            412, ``record.immutable`` 409.
    """
    validate(resource)
    resource_type = resource["resourceType"]
    head = _existing(tx, resource_type, str(resource.get("id", "")))
    _require_version(head, resource_type, if_match)
    _require_mutable(tx, head, resource_type)
    moment = max(now, head.last_updated)  # the wall clock may step back; a resource's history must not
    return _write(tx, stamped(resource, resource["id"], head.version + 1, moment), head, author)


def delete(
    tx: Transaction,
    resource_type: str,
    resource_id: str,
    *,
    now: str,
    if_match: str | None = None,
    author: str | None = None,
) -> int:
    """Mark a resource as deleted; returns the version of the deletion. Deleting twice is harmless.

    Raises:
        ProntuarioError: ``fhir.not_found`` 404, ``fhir.version_conflict`` 412, ``record.immutable`` 409,
            ``fhir.referenced`` 409 (a patient with records).
    """
    head = _existing(tx, resource_type, resource_id)
    if head.deleted:
        return head.version
    _require_version(head, resource_type, if_match)
    _require_mutable(tx, head, resource_type)
    if resource_type == "Patient" and _has_records(tx, resource_id):
        raise STILL_REFERENCED(type=resource_type)
    moment = max(now, head.last_updated)
    seq = _append(tx, (resource_type, resource_id, head.version + 1, moment, 1, author, ""))
    tx.execute(
        "UPDATE record_head SET seq = ?, version = ?, last_updated = ?, deleted = 1 WHERE row = ?",
        (seq, head.version + 1, moment, head.row),
    )
    index.remove(tx, head.row)
    return head.version + 1


def patient_of_stored(q: Query, resource_type: str, resource_id: str) -> str | None:
    """The id of the patient whose resource this is, also once it is deleted; None: nobody's, or it was never there."""
    head = _head(q, resource_type, resource_id)
    return None if head is None else head.patient


def parse_version(if_match: str) -> int:
    """The version of an ETag (``W/"3"``, ``"3"``, ``3``); -1 when it is none of ours, which matches nothing."""
    text = if_match.strip().removeprefix("W/").strip('"')
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else -1  # noqa: PLR2004  fits SQLite


def stamped(resource: dict[str, Any], resource_id: str, version: int, moment: str) -> dict[str, Any]:
    """A copy of ``resource`` with the server's own ``id``, ``meta.versionId`` and ``meta.lastUpdated``."""
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": moment}
    return {**resource, "id": resource_id, "meta": meta}


def _write(tx: Transaction, resource: dict[str, Any], head: _Head | None, author: str | None) -> dict[str, Any]:
    resource_type, resource_id = resource["resourceType"], resource["id"]
    version, moment = int(resource["meta"]["versionId"]), resource["meta"]["lastUpdated"]
    text = json_text.encode_resource(resource)
    seq = _append(tx, (resource_type, resource_id, version, moment, 0, author, text))
    values = extract(resource)
    row = _set_head(tx, resource, seq, head, values)
    index.add(tx, row, resource, values)
    return resource


def _append(tx: Transaction, values: tuple[str, str, int, str, int, str | None, str]) -> int:
    added = tx.one(
        "INSERT INTO record_version (seq, type, id, version, last_updated, deleted, author, body)"
        " VALUES ((SELECT COALESCE(MAX(seq), 0) + 1 FROM record_version), ?, ?, ?, ?, ?, ?, ?) RETURNING seq",
        values,
    )
    return _number(added)


def _set_head(tx: Transaction, resource: dict[str, Any], seq: int, head: _Head | None, values: IndexValues) -> int:
    current = (seq, int(resource["meta"]["versionId"]), str(resource["meta"]["lastUpdated"]))
    found = (values.patient, values.sort_date, values.sort_name)
    if head is None:
        added = tx.one(
            "INSERT INTO record_head (type, id, seq, version, last_updated, deleted, patient, sort_date, sort_name)"
            " VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?) RETURNING row",
            (resource["resourceType"], resource["id"], *current, *found),
        )
        return _number(added)
    tx.execute(
        "UPDATE record_head SET seq = ?, version = ?, last_updated = ?, deleted = 0, patient = ?, sort_date = ?,"
        " sort_name = ? WHERE row = ?",
        (*current, *found, head.row),
    )
    index.remove(tx, head.row)
    return head.row


def _number(row: Row | None) -> int:
    assert row is not None  # noqa: S101  RETURNING always answers
    return cast("int", row[0])


def _head(q: Query, resource_type: str, resource_id: str) -> _Head | None:
    found = q.one(_HEAD, (resource_type, resource_id))
    if found is None:
        return None
    row, seq, version, last_updated, deleted, patient = cast("tuple[int, int, int, str, int, str | None]", tuple(found))
    return _Head(row, seq, version, last_updated, bool(deleted), patient)


def _existing(q: Query, resource_type: str, resource_id: str) -> _Head:
    tables.require_served(resource_type)
    head = _head(q, resource_type, resource_id)
    if head is None:
        raise RESOURCE_UNKNOWN(type=resource_type)
    return head


def _require_version(head: _Head, resource_type: str, if_match: str | None) -> None:
    if if_match is not None and parse_version(if_match) != head.version:
        raise VERSION_CONFLICT(type=resource_type, current=head.version)


def _require_mutable(q: Query, head: _Head, resource_type: str) -> None:
    found = q.one("SELECT CAST(body AS BLOB) FROM record_version WHERE seq = ?", (head.seq,))
    body = cast("bytes", found[0]) if found is not None else b""
    if IMMUTABLE_TAG.encode() in body and carries_immutable_tag(json_text.decode(body)):
        raise IMMUTABLE(type=resource_type)


def carries_immutable_tag(resource: dict[str, Any]) -> bool:
    """Whether ``resource`` is sealed by the appliance."""
    return any(tag.get("system") == IMMUTABLE_TAG for tag in resource.get("meta", {}).get("tag", []))


def _has_records(q: Query, patient_id: str) -> bool:
    sql = "SELECT 1 FROM record_head WHERE patient = ? AND deleted = 0 AND type <> 'Patient' LIMIT 1"
    return q.one(sql, (patient_id,)) is not None
