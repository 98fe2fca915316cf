"""A part of the audit log as a file that proves itself, and the check that anybody can make of it without the appliance.

Each event comes as the exact leaf that was logged, with its audit path (RFC 6962 §2.1.1) to a tree head that the appliance
signed (Ed25519 over ``audit_heads.head_text``). So every event was in the log when the head was signed, and was not changed
since. What the file can't prove is that nothing was left out by its filter; a file without a person or patient has every
number between its first and its last, which is seen at once (``gaps``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from appliance.plugin_api.storage import Query, SqlValue
from appliance.security import audit
from appliance.security.audit import AuditEvent, as_int, decode_body
from appliance.security.audit_heads import Report, SignedHead, verify_head
from appliance.security.merkle import leaf_hash, verify_inclusion

FORMAT: Final = "prontuario/audit-export/1"
MAX_EVENTS: Final = 10_000
"""In one file; a longer answer is continued by ``before``."""


class Filter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked for. ``since`` (included) and ``until`` (excluded) are FHIR instants; ``before`` a sequence number."""

    patient: str | None = None
    user_id: str | None = None
    since: str | None = None
    until: str | None = None
    before: int | None = None


class ProvenEvent(msgspec.Struct, frozen=True):
    """The exact leaf and its audit path, hashes in hex."""

    seq: int
    body: str
    proof: tuple[str, ...]


class AuditExport(msgspec.Struct, frozen=True, kw_only=True):
    """The file. ``check`` is what the appliance found reading its whole log then; ``names`` explain ids, and are not proven.

    ``complete``: every event that the filter lets pass, up to the head, is here; otherwise the next file goes on ``before``
    the smallest sequence number of this one.
    """

    format: str = FORMAT
    made_at: str
    made_by: str
    hospital: str = ""
    wanted: Filter
    head: SignedHead
    check: Report
    complete: bool
    events: tuple[ProvenEvent, ...]
    names: dict[str, str] = {}


class Verdict(msgspec.Struct, frozen=True):
    """What a check of a file found. ``gaps``: numbers missing between its first and last event (a filter leaves some)."""

    ok: bool
    events: int
    gaps: int
    key_id: str
    signed_at: str
    problems: tuple[str, ...]


def select(q: Query, wanted: Filter, size: int, limit: int = MAX_EVENTS) -> list[tuple[int, str]]:
    """(number, leaf) of what ``wanted`` lets pass among the first ``size`` events, newest first, at most ``limit``."""
    conditions: list[str] = ["seq <= ?"]
    values: list[SqlValue] = [size]
    if wanted.before is not None:
        conditions.append("seq < ?")
        values.append(wanted.before)
    for column, sign, value in (
        ("user_id", "=", wanted.user_id),
        ("at", ">=", wanted.since),
        ("at", "<", wanted.until),
    ):
        if value is not None:
            conditions.append(f"{column} {sign} ?")
            values.append(value)
    if wanted.patient is not None:
        conditions.append("(patient = ? OR seq IN (SELECT seq FROM audit_patient WHERE patient = ?))")
        values += [wanted.patient, wanted.patient]
    sql = f"SELECT seq, body FROM audit_event WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT ?"  # noqa: S608  fixed texts
    return [(as_int(row[0]), str(row[1])) for row in q.all(sql, [*values, limit])]


def prove(q: Query, rows: Sequence[tuple[int, str]], size: int) -> list[ProvenEvent]:
    """Each row with its audit path to the tree of ``size`` events."""
    return [ProvenEvent(seq, body, audit.prove_inclusion(q, seq, size).hashes) for seq, body in rows]


def verify_export(content: bytes, key_id: str | None = None) -> Verdict:
    """Check a file. ``key_id``: the signing key that the reader trusts, from the hospital's papers; None trusts any.

    Raises:
        ValueError: it is no such file.
    """
    try:
        export = msgspec.json.decode(content, type=AuditExport)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not an audit export: {error}") from error
    problems = [*_head_problems(export, key_id), *_event_problems(export)]
    numbers = [event.seq for event in export.events]
    gaps = numbers[0] - numbers[-1] + 1 - len(numbers) if numbers else 0
    return Verdict(not problems, len(numbers), max(gaps, 0), export.head.key_id, export.head.signed_at, tuple(problems))


def _head_problems(export: AuditExport, key_id: str | None) -> Iterator[str]:
    if export.format != FORMAT:
        yield f"the format {export.format!r} is not known"
    if not verify_head(export.head):
        yield "the signature of the tree head is wrong"
    if key_id is not None and export.head.key_id != key_id:
        yield f"the head was signed by {export.head.key_id}, not by the key that you trust"
    if not export.check.ok:
        yield from (f"the appliance itself found: {problem}" for problem in export.check.problems)


def _event_problems(export: AuditExport) -> Iterator[str]:
    try:
        root = bytes.fromhex(export.head.root)
    except ValueError:
        yield "the root is not in hex"
        return
    last = export.head.size + 1
    for event in export.events:
        if event.seq >= last:
            yield f"event {event.seq} is out of order"
        last = event.seq
        try:
            path = [bytes.fromhex(part) for part in event.proof]
            known = decode_body(event.body)
        except (ValueError, msgspec.MsgspecError):
            yield f"event {event.seq} can't be read"
            continue
        if not verify_inclusion(event.seq - 1, export.head.size, leaf_hash(event.body.encode()), path, root):
            yield f"event {event.seq} is not in the signed log"
        elif not _passes(known, export.wanted):
            yield f"event {event.seq} is not what was asked for"


def _passes(event: AuditEvent, wanted: Filter) -> bool:
    return (
        (wanted.patient is None or wanted.patient == event.patient or wanted.patient in event.patients)
        and (wanted.user_id is None or wanted.user_id == event.user_id)
        and (wanted.since is None or event.at >= wanted.since)
        and (wanted.until is None or event.at < wanted.until)
    )
