"""Faces as an administrator sees them: who is enrolled and on what terms, and how attempts ended. Never a picture or a template."""

from __future__ import annotations

from typing import Final

import msgspec

from appliance.plugin_api.storage import Query
from appliance.security.audit import AuditEvent, decode_body, size_of

LOOKED_THROUGH: Final = 20_000
"""Events of the audit log, counted from its end: about a day of a busy hospital."""
ATTEMPTS: Final = {"/api/faces/enrol": "enrol", "/api/faces/verify": "verify"}
_ENROLLED: Final = """
SELECT u.id, u.username, u.display_name, u.role, u.disabled_at, t.model_version, t.enrolled_at,
    coalesce(c.text_version, ''), coalesce(c.language, ''), coalesce(c.given_at, '')
FROM security_face_template t JOIN security_user u ON u.id = t.user_id
LEFT JOIN security_face_consent c ON c.user_id = t.user_id AND c.withdrawn_at IS NULL
ORDER BY u.username
"""
_EVENTS: Final = """
SELECT seq, body FROM audit_event
WHERE seq > ? AND json_extract(body, '$.route') IN ('/api/faces/enrol', '/api/faces/verify') AND json_extract(body, '$.status') <> 202
ORDER BY seq DESC LIMIT ?
"""
"""202: the frames came in; what became of them is an event of its own."""
_PEOPLE: Final = "SELECT id, username FROM security_user"
_DEVICES: Final = "SELECT id, name FROM security_device"


class Enrolled(msgspec.Struct, frozen=True):
    """A person with a template: with which model, since when, and the consent in force. Instants are FHIR's."""

    user_id: str
    username: str
    display_name: str
    role: str
    disabled_at: str | None
    model_version: str
    enrolled_at: str
    consent_version: str
    consent_language: str
    consent_at: str


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment or a verification that ended. ``code`` is the refusal's, empty when it succeeded."""

    seq: int
    at: str
    kind: str
    username: str
    device: str
    status: int
    code: str


def enrolled(q: Query) -> list[Enrolled]:
    """Everybody with a template, by username."""
    rows = q.all(_ENROLLED)
    return [msgspec.convert(dict(zip(Enrolled.__struct_fields__, row, strict=True)), Enrolled) for row in rows]


def attempts(q: Query, limit: int) -> list[Attempt]:
    """The last attempts among the audit log's newest events, newest first."""
    found = [
        (int(str(row[0])), decode_body(str(row[1]))) for row in q.all(_EVENTS, (size_of(q) - LOOKED_THROUGH, limit))
    ]
    if not found:
        return []
    people = {str(row[0]): str(row[1]) for row in q.all(_PEOPLE)}
    devices = {str(row[0]): str(row[1]) for row in q.all(_DEVICES)}
    return [_attempt(seq, event, people, devices) for seq, event in found]


def _attempt(seq: int, event: AuditEvent, people: dict[str, str], devices: dict[str, str]) -> Attempt:
    return Attempt(
        seq=seq, at=event.at, kind=ATTEMPTS[event.route], username=people.get(event.user_id, event.user_id),
        device=devices.get(event.device_id, event.device_id), status=event.status, code=event.detail_code,
    )  # fmt: skip
