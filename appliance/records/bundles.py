"""Transaction Bundles: all or nothing, with references between their entries resolved (FHIR R4 §3.1.0.11)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Final

from appliance.plugin_api.storage import Transaction
from appliance.records import repository
from appliance.records.bundle_entries import Entry, checked_entries
from appliance.records.conditional import only_match
from appliance.records.errors import IMMUTABLE
from appliance.records.issues import Issue, invalid, path_of
from appliance.records.references import references, require_targets, rewritten
from appliance.records.structure import reference_type

_ORDER: Final = ("DELETE", "POST", "PUT", "GET")
"""In which a transaction's entries are carried out (FHIR R4 §3.1.0.11.2)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one entry; ``resource`` is None after a deletion."""

    status: str
    type: str
    id: str
    version: int
    last_updated: str
    resource: dict[str, Any] | None


def load_transaction(
    tx: Transaction, bundle: dict[str, Any], *, now: str, author: str | None = None, from_client: bool = False
) -> list[Outcome]:
    """Carry out a transaction Bundle; an outcome for each entry, in the Bundle's order.

    ``urn:uuid`` and full-URL references between entries and conditional references (``Patient?identifier=…``) are replaced
    by real ones. ``from_client`` also refuses references to what does not exist, and the appliance's own seal.

    Raises:
        ProntuarioError: whatever fails first (nothing is kept then): ``fhir.invalid``, ``fhir.multiple_matches``, …
    """
    entries = checked_entries(bundle, "transaction")
    work = _Work(tx, now, author, from_client)
    work.assign(entries)
    done = {entry.index: work.carry_out(entry) for method in _ORDER for entry in entries if entry.method == method}
    if from_client:
        for outcome in done.values():
            if outcome.resource is not None:
                require_targets(tx, outcome.resource)
    return [done[entry.index] for entry in entries]


def refuse_seal(resource: dict[str, Any]) -> None:
    """Only the appliance seals a resource. Raises ``record.immutable`` 409."""
    if repository.carries_immutable_tag(resource):
        raise IMMUTABLE(field=f"{resource['resourceType']}.meta.tag", type=resource["resourceType"])


class _Work:
    def __init__(self, tx: Transaction, now: str, author: str | None, from_client: bool) -> None:
        self._tx = tx
        self._now = now
        self._author = author
        self._from_client = from_client
        self._addresses: dict[str, str] = {}
        self._ids: dict[int, str] = {}
        self._existing: dict[int, Outcome] = {}

    def assign(self, entries: list[Entry]) -> None:
        """Give every new resource its id before anything is written; find those that a condition says exist."""
        for entry in entries:
            if entry.resource is None:
                continue
            kind = entry.resource["resourceType"]
            resource_id = entry.id if entry.method == "PUT" else str(uuid.uuid4())
            match = only_match(self._tx, kind, entry.if_none_exist) if entry.if_none_exist else None
            if match is not None:
                resource_id = match.id
                found = Outcome("200 OK", kind, match.id, match.version, match.last_updated, match.resource())
                self._existing[entry.index] = found
            self._ids[entry.index] = resource_id
            if entry.full_url:
                self._addresses[entry.full_url] = f"{kind}/{resource_id}"

    def carry_out(self, entry: Entry) -> Outcome:
        if entry.index in self._existing:
            return self._existing[entry.index]
        if entry.method == "DELETE":
            version = repository.delete(
                self._tx, entry.type, entry.id, now=self._now, if_match=entry.if_match, author=self._author
            )
            return Outcome("204 No Content", entry.type, entry.id, version, self._now, None)
        if entry.resource is None:
            found = repository.read(self._tx, entry.type, entry.id)
            return _outcome("200 OK", found)
        resource = self._resolved(entry.resource, entry.index)
        if self._from_client:
            refuse_seal(resource)
        if entry.method == "PUT":
            resource = {**resource, "id": entry.id}
            updated = repository.update(self._tx, resource, now=self._now, if_match=entry.if_match, author=self._author)
            return _outcome("200 OK", updated)
        created = repository.create(
            self._tx, resource, now=self._now, author=self._author, resource_id=self._ids[entry.index]
        )
        return _outcome("201 Created", created)

    def _resolved(self, resource: dict[str, Any], index: int) -> dict[str, Any]:
        conditional: dict[str, str] = {}
        issues = []
        for location, text in references(resource):
            target = self._addresses.get(text) or self._condition(text)
            if target is not None:
                conditional[text] = target
            elif text.startswith("urn:") or _is_condition(text):
                where = path_of(f"Bundle.entry[{index}].resource", location)
                issues.append(
                    Issue(
                        where,
                        "not-found",
                        (
                            "A referência não leva a nada neste Bundle nem no prontuário.",
                            "The reference leads to nothing in this Bundle or record.",
                        ),
                    )
                )
        if issues:
            raise invalid(issues)
        known = self._addresses | conditional
        resolved: dict[str, Any] = rewritten(resource, known.get)
        return resolved

    def _condition(self, text: str) -> str | None:
        if not _is_condition(text):
            return None
        kind, _, condition = text.partition("?")
        match = only_match(self._tx, kind, condition)
        return f"{kind}/{match.id}" if match is not None else None


def _is_condition(text: str) -> bool:
    kind, mark, _ = text.partition("?")
    return bool(mark) and "/" not in kind and reference_type(text) == kind


def _outcome(status: str, resource: dict[str, Any]) -> Outcome:
    meta = resource["meta"]
    return Outcome(
        status, resource["resourceType"], resource["id"], int(meta["versionId"]), str(meta["lastUpdated"]), resource
    )
