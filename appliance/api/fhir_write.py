"""FHIR writes: create, update, delete, transactions and batches. Each is one durable change, once per Idempotency-Key."""

from __future__ import annotations

from typing import Any

from appliance.api.fhir_bundle import batch_requests, outcome_entry
from appliance.api.fhir_outcome import FHIR_JSON, outcome
from appliance.api.fhir_replies import (
    base_url,
    json_body,
    preferences,
    require_type,
    resource_type,
    version_headers,
)
from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_api.http import Reply, Request
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.records import bundles, conditional, json_text, repository
from appliance.records.bundle_entries import Entry, checked_entries
from appliance.records.bundles import Outcome, refuse_seal
from appliance.records.extraction import patient_of
from appliance.records.issues import single
from appliance.records.references import require_targets
from appliance.telemetry.clock import Clock, instant

VERSION_REQUIRED = define(
    "fhir.version_required",
    428,
    pt=("Falta dizer qual versão você viu.", "Leia o recurso e envie If-Match com o ETag recebido."),
    en=("It is not said which version you have seen.", "Read the resource and send If-Match with its ETag."),
)


class WriteHandlers:
    """Handlers over a store; ``clock`` dates the versions."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, request: Request) -> Reply:
        kind, resource = resource_type(request, "write"), await json_body(request)
        _require_same_type(resource, kind)
        condition = request.headers.get("if-none-exist")
        now, author = instant(self._clock.now()), request.principal.user_id

        def change(tx: Transaction) -> Reply:
            refuse_seal(resource)
            if condition is None:
                made = conditional.Created(repository.create(tx, resource, now=now, author=author), new=True)
            else:
                made = conditional.create_if_none(tx, resource, condition, now=now, author=author)
            if made.new:
                require_targets(tx, made.resource)
            _about(request, made.resource)
            return _written(request, made.resource, 201 if made.new else 200)

        return await request.commit(change)

    async def update(self, request: Request) -> Reply:
        kind, resource = resource_type(request, "write"), await json_body(request)
        resource_id, if_match = request.parameters["id"], request.headers.get("if-match")
        request.about(resource=f"{kind}/{resource_id}")
        _require_same_type(resource, kind)
        if resource.get("id") != resource_id:
            raise single(f"{kind}.id", "value", ("O id difere do endereço.", "The id differs from the address."))
        if if_match is None:
            raise VERSION_REQUIRED(field="If-Match")
        now, author = instant(self._clock.now()), request.principal.user_id

        def change(tx: Transaction) -> Reply:
            refuse_seal(resource)
            updated = repository.update(tx, resource, now=now, if_match=if_match, author=author)
            require_targets(tx, updated)
            _about(request, updated)
            return _written(request, updated, 200)

        return await request.commit(change)

    async def delete(self, request: Request) -> Reply:
        kind, resource_id = resource_type(request, "write"), request.parameters["id"]
        if_match, author = request.headers.get("if-match"), request.principal.user_id
        request.about(resource=f"{kind}/{resource_id}")
        now = instant(self._clock.now())

        def change(tx: Transaction) -> Reply:
            version = repository.delete(tx, kind, resource_id, now=now, if_match=if_match, author=author)
            request.about(patient=_owner(tx, kind, resource_id))
            return Reply(204, None, {"etag": f'W/"{version}"'}, FHIR_JSON)

        return await request.commit(change)

    async def bundle(self, request: Request) -> Reply:
        body = await json_body(request)
        kind = body.get("type") if isinstance(body, dict) else None
        if kind == "batch":
            return await self._batch(request, body)
        return await self._transaction(request, body)

    async def _transaction(self, request: Request, body: Any) -> Reply:
        entries = checked_entries(body, "transaction") if isinstance(body, dict) else []
        for entry in entries:
            require_type(request, entry.type, "read" if entry.method == "GET" else "write")
        now, author = instant(self._clock.now()), request.principal.user_id
        full = preferences(request).get("return") != "minimal"

        def change(tx: Transaction) -> Reply:
            done = bundles.load_transaction(tx, body, now=now, author=author, from_client=True)
            _about_outcomes(request, done)
            _about_deleted(request, tx, done)
            answers = [outcome_entry(base_url(request), one, full=full) for one in done]
            return _bundle_reply("transaction-response", answers)

        return await request.commit(change)

    async def _batch(self, request: Request, body: dict[str, Any]) -> Reply:
        """Each entry on its own: one that fails hurts no other (FHIR R4 §3.1.0.11.1)."""
        answers: list[dict[str, Any]] = []
        read: list[Outcome] = []
        for alone in batch_requests(body):
            try:
                (entry,) = checked_entries(alone, "transaction")
                one = await self._alone(request, entry, alone)
            except ProntuarioError as error:
                failed = {"status": str(error.kind.status), "outcome": outcome(error, request.language)}
                answers.append({"response": failed})
            else:
                if entry.method == "GET":  # a write has named itself, in its own event
                    read.append(one)
                answers.append(outcome_entry(base_url(request), one, full=True))
        _about_outcomes(request, read)
        return _bundle_reply("batch-response", answers)

    async def _alone(self, request: Request, entry: Entry, bundle: dict[str, Any]) -> Outcome:
        require_type(request, entry.type, "read" if entry.method == "GET" else "write")
        now, author = instant(self._clock.now()), request.principal.user_id
        kept: list[Outcome] = []

        def change(tx: Transaction) -> Reply:
            (one,) = bundles.load_transaction(tx, bundle, now=now, author=author, from_client=True)
            _about_outcomes(request, [one])
            _about_deleted(request, tx, [one])
            kept.append(one)
            return Reply(200, msgspec_outcome(one), {}, FHIR_JSON)

        if entry.method == "GET":
            return await self._store.read(lambda q: read_outcome(q, entry))
        reply = await request.commit(change)
        return kept[0] if kept else outcome_of(reply.body)


def read_outcome(q: Query, entry: Entry) -> Outcome:
    """A GET entry of a batch."""
    stored = repository.read_stored(q, entry.type, entry.id)
    return Outcome("200 OK", entry.type, entry.id, stored.version, stored.last_updated, stored.resource())


def msgspec_outcome(one: Outcome) -> bytes:
    """An outcome as JSON, to be remembered for its Idempotency-Key."""
    return json_text.encode([one.status, one.type, one.id, one.version, one.last_updated, one.resource])


def outcome_of(text: bytes) -> Outcome:
    """The outcome that ``msgspec_outcome`` wrote."""
    return Outcome(*json_text.decode(text))


def _require_same_type(resource: Any, kind: str) -> None:
    if not isinstance(resource, dict) or resource.get("resourceType") != kind:
        text = (f"O corpo deve ser um recurso {kind}.", f"The body must be a resource of type {kind}.")
        raise single(f"{kind}.resourceType", "structure", text)


def _written(request: Request, resource: dict[str, Any], status: int) -> Reply:
    meta = resource["meta"]
    version = int(meta["versionId"])
    address = f"{base_url(request)}/{resource['resourceType']}/{resource['id']}/_history/{version}"
    headers = {**version_headers(version, str(meta["lastUpdated"])), "location": address}
    if preferences(request).get("return") == "minimal":
        return Reply(status, None, headers, FHIR_JSON)
    return Reply(status, json_text.encode_resource(resource).encode("utf-8"), headers, FHIR_JSON)


def _about(request: Request, resource: dict[str, Any]) -> None:
    patient = patient_of(resource)
    request.about(
        patient=f"Patient/{patient}" if patient else None, resource=f"{resource['resourceType']}/{resource['id']}"
    )


def _about_outcomes(request: Request, done: list[Outcome]) -> None:
    patients = {patient_of(one.resource): None for one in done if one.resource is not None}
    seen = " ".join(f"{one.type}/{one.id}" for one in done)
    request.about(patient=[f"Patient/{patient}" for patient in patients if patient], resource=seen[:20_000])


def _about_deleted(request: Request, q: Query, done: list[Outcome]) -> None:
    """Whose resources are gone now: an outcome without a resource does not say it."""
    owners = (_owner(q, one.type, one.id) for one in done if one.resource is None)
    request.about(patient=[owner for owner in owners if owner is not None])


def _owner(q: Query, kind: str, resource_id: str) -> str | None:
    """The patient whose resource this is, or was before it was deleted."""
    patient = repository.patient_of_stored(q, kind, resource_id)
    return f"Patient/{patient}" if patient else None


def _bundle_reply(kind: str, entries: list[dict[str, Any]]) -> Reply:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind}
    if entries:
        bundle["entry"] = entries
    return Reply(200, json_text.encode(bundle), {}, FHIR_JSON)
