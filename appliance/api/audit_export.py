"""Asking the audit log by patient, person and time, and taking the answer away as a file that proves itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec

from appliance.api.identity_query import whole_number
from appliance.plugin_api.errors import BUSY, INVALID
from appliance.plugin_api.http import Reply, Request, Route
from appliance.plugin_api.storage import Query, Store
from appliance.security import audit, users
from appliance.security.audit import AuditEvent, decode_body
from appliance.security.audit_export import MAX_EVENTS, AuditExport, Filter, ProvenEvent, prove, select
from appliance.security.audit_heads import HeadSigner
from appliance.telemetry.clock import Clock, instant

_STEP: Final = 250
"""Proofs made in one go: a reader is held for some tens of milliseconds."""
_PATIENT: Final = "Patient/"


def filter_of(request: Request, q: Query) -> Filter:
    """``patient`` (``Patient/12`` or ``12``), ``user`` (an id or a username), ``from`` and ``to`` (dates or instants), ``before``.

    A date means its midnight in UTC.

    Raises:
        ProntuarioError: ``invalid`` 422 naming the parameter.
    """
    query = request.query
    user = query.get("user")
    return Filter(
        patient=patient_asked_for(request),
        user_id=_user_id(q, user) if user else None,
        since=_moment(query, "from"),
        until=_moment(query, "to"),
        before=whole_number(request, "before") if "before" in query else None,
    )


def patient_asked_for(request: Request) -> str | None:
    """The ``patient`` parameter as a reference."""
    patient = request.query.get("patient")
    return None if not patient else patient if "/" in patient else _PATIENT + patient


class AuditExporter:
    """``GET /api/audit/export``; one at a time, for it reads the whole log."""

    def __init__(self, store: Store, signer: HeadSigner, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._making = asyncio.Lock()

    async def export(self, request: Request) -> Reply:
        wanted = await self._store.read(lambda q: filter_of(request, q))
        limit = whole_number(request, "limit", MAX_EVENTS, MAX_EVENTS)
        request.about(patient=wanted.patient, resource="audit/export")
        if self._making.locked():
            raise BUSY(what="audit", waiting=1, retry_after=10.0)
        async with self._making:
            made = await self._make(wanted, limit, request.principal.username)
        name = f"prontuario-audit-{made.made_at[:19].replace(':', '')}.json"
        return Reply(body=made, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def _make(self, wanted: Filter, limit: int, by: str) -> AuditExport:
        check = await self._signer.check(self._store)
        now = instant(self._clock.now())
        head = self._signer.sign(await self._store.read(audit.head), now)
        rows = await self._store.read(lambda q: select(q, wanted, head.size, limit + 1))
        complete, rows = len(rows) <= limit, rows[:limit]
        events: list[ProvenEvent] = []
        for start in range(0, len(rows), _STEP):
            events += await self._store.read(partial(prove, rows=rows[start : start + _STEP], size=head.size))
        known = [decode_body(body) for _, body in rows]
        return AuditExport(
            made_at=now,
            made_by=by,
            wanted=wanted,
            head=head,
            check=check,
            complete=complete,
            events=tuple(events),
            names=await self._store.read(lambda q: _names(q, known)),
        )

    def routes(self) -> list[Route]:
        """Its route."""
        return [
            Route(
                "GET", "/api/audit/export", "audit.read", self.export,
                "Who saw what, by patient, person and time, as a file with its proofs", None, AuditExport, "audit",
            ),
        ]  # fmt: skip


def _names(q: Query, events: Iterable[AuditEvent]) -> dict[str, str]:
    """What people call the persons and devices in ``events``."""
    seen = list(events)
    people, devices = sorted({one.user_id for one in seen}), sorted({one.device_id for one in seen})
    named = q.all(
        "SELECT id, username || ' (' || role || ')' FROM security_user WHERE id IN (SELECT value FROM json_each(?))"
        " UNION ALL SELECT id, name FROM security_device WHERE id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(people).decode(), msgspec.json.encode(devices).decode()),
    )
    return {str(row[0]): str(row[1]) for row in named}


def _user_id(q: Query, text: str) -> str:
    found = users.find_by_name(q, text)
    return text if found is None else found.id


def _moment(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise INVALID(field=name, name=name, reason="2026-03-01 | 2026-03-01T08:00:00Z") from None
    return instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
