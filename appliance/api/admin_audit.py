"""Entries of the audit log, newest first, with the names of people and devices in place of their ids."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from appliance.api.admin_shapes import AccessRow
from appliance.plugin_api.storage import Query
from appliance.security.audit import AuditRow, decode_body, size_of
from appliance.security.audit_export import Filter, select

_PEOPLE = "SELECT id, username, role FROM security_user WHERE id IN (SELECT value FROM json_each(?))"
_DEVICES = "SELECT id, name FROM security_device WHERE id IN (SELECT value FROM json_each(?))"


def accesses(q: Query, wanted: Filter, limit: int) -> list[AccessRow]:
    """What ``wanted`` lets pass, newest first. An id that no longer has a name stays an id."""
    rows = [AuditRow(seq, decode_body(body)) for seq, body in select(q, wanted, size_of(q), limit)]
    people = {str(row[0]): (str(row[1]), str(row[2])) for row in q.all(_PEOPLE, (_ids(r.event.user_id for r in rows),))}
    devices = {str(row[0]): str(row[1]) for row in q.all(_DEVICES, (_ids(r.event.device_id for r in rows),))}
    return [_named(row, people, devices) for row in rows]


def _named(row: AuditRow, people: dict[str, tuple[str, str]], devices: dict[str, str]) -> AccessRow:
    event = row.event
    user, role = people.get(event.user_id, (event.user_id, ""))
    return AccessRow(
        seq=row.seq,
        at=event.at,
        action=event.action,
        user=user,
        role=role,
        device=devices.get(event.device_id, event.device_id),
        status=event.status,
        method=event.method,
        route=event.route,
        patient=event.patient or " ".join(event.patients),
        resource=event.resource,
        detail_code=event.detail_code,
    )


def _ids(values: Iterable[str]) -> str:
    return msgspec.json.encode(sorted({value for value in values if value})).decode()
