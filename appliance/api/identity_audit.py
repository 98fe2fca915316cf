"""The audit log, as an auditor reads and checks it."""

from __future__ import annotations

import asyncio
from typing import Any

from appliance.api.audit_export import AuditExporter, patient_asked_for
from appliance.api.identity_query import parse_number, whole_number
from appliance.api.identity_shapes import AuditPage, ConsistencyProof, InclusionProof
from appliance.plugin_api.errors import BUSY, NOT_FOUND
from appliance.plugin_api.http import Reply, Request, Route
from appliance.plugin_api.storage import Query, Store
from appliance.security import audit
from appliance.security.audit_heads import HeadSigner, Report, SignedHead
from appliance.security.merkle import leaf_hash
from appliance.telemetry.clock import Clock, instant

TAG = "audit"
_READ = "audit.read"
_PAGE = 500


class _AuditApi:
    def __init__(self, store: Store, signer: HeadSigner, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._checking = asyncio.Lock()

    async def list(self, request: Request) -> Reply:
        limit, before = whole_number(request, "limit", 100, _PAGE), whole_number(request, "before", (1 << 62) - 1)
        user_id, patient = request.query.get("user"), patient_asked_for(request)
        request.about(patient=patient, resource="audit")
        found = await self._store.read(
            lambda q: audit.read_events(q, before=before, limit=limit, user_id=user_id, patient=patient)
        )
        return Reply(body=AuditPage(found, found[-1].seq if len(found) == limit else None))

    async def head(self, request: Request) -> Reply:
        request.about(resource="audit")
        now = instant(self._clock.now())
        return Reply(body=self._signer.sign(await self._store.read(audit.head), now))

    async def proof(self, request: Request) -> Reply:
        seq = parse_number("seq", request.parameters["seq"])
        size = whole_number(request, "size") if "size" in request.query else None
        request.about(resource=f"audit/{seq}")

        def find(q: Query) -> InclusionProof:
            proof = audit.prove_inclusion(q, seq, size)
            body = _body_of(q, seq)
            root = audit.root_at(q, proof.size).hex()
            return InclusionProof(seq, body, leaf_hash(body.encode()).hex(), proof.size, root, proof.hashes)

        return Reply(body=await self._store.read(find))

    async def consistency(self, request: Request) -> Reply:
        old = whole_number(request, "old")
        new = whole_number(request, "new") if "new" in request.query else None
        request.about(resource="audit")

        def find(q: Query) -> ConsistencyProof:
            proof = audit.prove_consistency(q, old, new)
            roots = audit.root_at(q, old).hex(), audit.root_at(q, proof.size).hex()
            return ConsistencyProof(old, roots[0], proof.size, roots[1], proof.hashes)

        return Reply(body=await self._store.read(find))

    async def fhir(self, request: Request) -> Reply:
        seq = parse_number("seq", request.parameters["seq"])
        request.about(resource=f"audit/{seq}")
        body = await self._store.read(lambda q: _body_of(q, seq))
        resource = audit.as_fhir(audit.AuditRow(seq, audit.decode_body(body)))
        return Reply(body=resource, content_type="application/fhir+json")

    async def check(self, request: Request) -> Reply:
        request.about(resource="audit")
        if self._checking.locked():
            raise BUSY(what="audit", waiting=1, retry_after=10.0)
        async with self._checking:
            return Reply(body=await self._signer.check(self._store))


def audit_routes(store: Store, signer: HeadSigner, clock: Clock) -> list[Route]:
    """Routes below ``/api/audit``."""
    api = _AuditApi(store, signer, clock)
    return [
        Route("GET", "/api/audit", _READ, api.list, "Who saw what, newest first", None, AuditPage, TAG),
        Route("GET", "/api/audit/head", _READ, api.head, "The signed head of the audit tree", None, SignedHead, TAG),
        Route("GET", "/api/audit/check", _READ, api.check, "Read the whole log again and check it", None, Report, TAG),
        Route(
            "GET", "/api/audit/consistency", _READ, api.consistency, "Proof that the log only grew",
            None, ConsistencyProof, TAG,
        ),
        Route(
            "GET", "/api/audit/{seq}/proof", _READ, api.proof, "Proof that an event is in the log",
            None, InclusionProof, TAG,
        ),
        Route(
            "GET", "/api/audit/{seq}/fhir", _READ, api.fhir, "An event as a FHIR R4 AuditEvent",
            None, dict[str, Any], TAG,
        ),
        *AuditExporter(store, signer, clock).routes(),
    ]  # fmt: skip


def _body_of(q: Query, seq: int) -> str:
    row = q.one("SELECT body FROM audit_event WHERE seq = ?", (seq,))
    if row is None:
        raise NOT_FOUND(what=f"audit/{seq}")
    return str(row[0])
