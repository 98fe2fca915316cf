"""The audit log: who saw what. Append-only rows that are the leaves of an RFC 6962 Merkle tree.

A row's ``body`` is the exact leaf, and inner nodes are stored as they become complete, so an append writes about two small
rows and reads about one: nothing is kept in memory that a rollback or a ``kill -9`` could make wrong. Rewriting an old row
changes every later root; signed heads (kept by the other Mac as soon as there is one) make that visible.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from appliance.plugin_api.errors import NOT_FOUND
from appliance.plugin_api.storage import Query, SqlValue, Transaction
from appliance.security.merkle import (
    completed_by,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    subtree_root,
)


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One access. Identifiers only, never a name or a text. ``at`` is a FHIR instant, ``status`` the HTTP status.

    ``patient`` and ``resource`` are relative references (``Patient/12``); ``patients`` is set instead of ``patient`` when the
    access showed several. ``detail_code`` is one short stable word.
    """

    at: str
    action: str
    user_id: str = ""
    device_id: str = ""
    session_id: str = ""
    method: str = ""
    route: str = ""
    resource: str = ""
    patient: str | None = None
    patients: tuple[str, ...] = ()
    status: int = 0
    detail_code: str = ""


class AuditRow(msgspec.Struct, frozen=True):
    """An event and its place: ``seq`` counts from 1."""

    seq: int
    event: AuditEvent


class TreeHead(msgspec.Struct, frozen=True):
    """The tree's size in events and its root in lower-case hex."""

    size: int
    root: str


class Proof(msgspec.Struct, frozen=True):
    """Hashes in hex, from the leaf upwards (RFC 6962 §2.1.1 and §2.1.2)."""

    size: int
    hashes: tuple[str, ...]


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(AuditEvent)
_SIZE: Final = "SELECT coalesce(max(seq), 0) FROM audit_event"
_LAST: Final = "SELECT seq, body FROM audit_event ORDER BY seq DESC LIMIT 1"
_INSERT: Final = "INSERT INTO audit_event (seq, body) VALUES (?, ?)"
_INSERT_PATIENT: Final = "INSERT INTO audit_patient (patient, seq) VALUES (?, ?)"
_INSERT_NODE: Final = "INSERT INTO audit_node (level, position, hash) VALUES (?, ?, ?)"


def append(tx: Transaction, event: AuditEvent) -> int:
    """Write ``event`` as the next leaf; its sequence number, from 1. Fails the whole transaction if it can't."""
    last = tx.one(_LAST)
    size = 0 if last is None else as_int(last[0])
    body = _encoder.encode(event).decode()
    tx.execute(_INSERT, (size + 1, body))
    if event.patients:
        tx.execute_many(_INSERT_PATIENT, [(patient, size + 1) for patient in event.patients])
    if last is not None and size & 1:
        # The left neighbour was just read: half of all appends need no other node.
        pair = node_hash(leaf_hash(str(last[1]).encode()), leaf_hash(body.encode()))
        tx.execute(_INSERT_NODE, (1, size >> 1, pair))
        for level, position, value in completed_by(size >> 1, pair, _Above(tx)):
            tx.execute(_INSERT_NODE, (level + 1, position, value))
    return size + 1


def head(q: Query) -> TreeHead:
    """The tree as it stands in this transaction."""
    size = size_of(q)
    return TreeHead(size, subtree_root(0, size, _Nodes(q)).hex())


def root_at(q: Query, size: int) -> bytes:
    """The root of the tree's first ``size`` events."""
    return subtree_root(0, size, _Nodes(q))


def prove_inclusion(q: Query, seq: int, size: int | None = None) -> Proof:
    """That event ``seq`` is in the tree of ``size`` events (now, if None).

    Raises:
        ProntuarioError: ``not_found`` when there is no such event within ``size``.
    """
    whole = size_of(q) if size is None else _bounded(q, size)
    if not 1 <= seq <= whole:
        raise NOT_FOUND(what=f"audit/{seq}")
    return Proof(whole, tuple(part.hex() for part in inclusion_proof(seq - 1, whole, _Nodes(q))))


def prove_consistency(q: Query, old: int, new: int | None = None) -> Proof:
    """That the tree of ``new`` events (now, if None) begins with the tree of ``old`` events."""
    whole = size_of(q) if new is None else _bounded(q, new)
    if not 0 < old <= whole:
        raise NOT_FOUND(what=f"audit tree of {old} events")
    return Proof(whole, tuple(part.hex() for part in consistency_proof(old, whole, _Nodes(q))))


def read_events(
    q: Query, *, before: int | None = None, limit: int = 100, user_id: str | None = None, patient: str | None = None
) -> list[AuditRow]:
    """Events, newest first, below sequence number ``before``; of a patient also those that showed several patients."""
    conditions, params = ["seq < ?"], [before if before is not None else (1 << 62)]
    arguments: list[SqlValue] = [*params]
    if user_id is not None:
        conditions.append("user_id = ?")
        arguments.append(user_id)
    if patient is not None:
        conditions.append("(patient = ? OR seq IN (SELECT seq FROM audit_patient WHERE patient = ?))")
        arguments += [patient, patient]
    where = " AND ".join(conditions)
    sql = f"SELECT seq, body FROM audit_event WHERE {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608  fixed column names
    return [AuditRow(as_int(row[0]), decode_body(str(row[1]))) for row in q.all(sql, [*arguments, limit])]


def decode_body(body: str) -> AuditEvent:
    """The event that a stored leaf holds."""
    return _decoder.decode(body)


def as_fhir(row: AuditRow) -> dict[str, Any]:
    """The event as a FHIR R4 AuditEvent (§6.2), for export to another system's audit repository."""
    event = row.event
    entity = [{"what": _what(reference)} for reference in (event.patient, *event.patients, event.resource) if reference]
    return {
        "resourceType": "AuditEvent",
        "id": f"audit-{row.seq}",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "urn:prontuario:audit-action", "code": event.action}],
        "action": {"GET": "R", "HEAD": "R", "POST": "C", "PUT": "U", "PATCH": "U", "DELETE": "D"}.get(
            event.method, "E"
        ),
        "recorded": event.at,
        "outcome": _outcome(event.status),
        "agent": [
            {
                "requestor": True,
                "who": {"identifier": {"system": "urn:prontuario:user", "value": event.user_id or "unknown"}},
                **({"network": {"address": event.device_id, "type": "5"}} if event.device_id else {}),
            }
        ],
        "source": {"observer": {"display": "Prontuário"}},
        **({"entity": entity} if entity else {}),
    }


def _what(reference: str) -> dict[str, Any]:
    """A FHIR reference (``Patient/12``); what is no FHIR resource (``user/12``) is named by an identifier."""
    if reference[:1].isupper():
        return {"reference": reference}
    return {"identifier": {"system": "urn:prontuario:resource", "value": reference}}


def _outcome(status: int) -> str:
    if status < 400:  # noqa: PLR2004  HTTP classes
        return "0"
    return "4" if status < 500 else "8"  # noqa: PLR2004  HTTP classes


class _Nodes:
    """Fetches nodes of the stored tree; level 0 is hashed from the bodies themselves."""

    def __init__(self, q: Query) -> None:
        self._q = q

    def __call__(self, level: int, position: int) -> bytes:
        if level == 0:
            row = self._q.one("SELECT body FROM audit_event WHERE seq = ?", (position + 1,))
            if row is None:
                raise LookupError(f"audit event {position + 1} is missing")
            return leaf_hash(str(row[0]).encode())
        row = self._q.one("SELECT hash FROM audit_node WHERE level = ? AND position = ?", (level, position))
        if row is None or not isinstance(row[0], bytes):
            # A perfect subtree whose node was lost can still be told from its halves.
            return node_hash(self(level - 1, 2 * position), self(level - 1, 2 * position + 1))
        return row[0]


class _Above(_Nodes):
    """The tree from level 1 upwards, whose leaves are pairs."""

    def __call__(self, level: int, position: int) -> bytes:
        return super().__call__(level + 1, position)


def size_of(q: Query) -> int:
    """How many events there are."""
    row = q.one(_SIZE)
    return as_int(row[0]) if row is not None else 0


def _bounded(q: Query, size: int) -> int:
    if not 0 < size <= size_of(q):
        raise NOT_FOUND(what=f"audit tree of {size} events")
    return size


def as_int(value: SqlValue) -> int:
    """A column that holds an integer."""
    if not isinstance(value, int):
        raise TypeError("the column holds no integer")
    return value
