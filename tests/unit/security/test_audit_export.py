"""A file of audit events proves itself to somebody who has nothing but the file, and shows every change made to it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_export import AuditExport, Filter, prove, select, verify_export
from appliance.security.audit_heads import HeadSigner, check_log
from appliance.store.database import Database

SIGNER = HeadSigner(Ed25519PrivateKey.generate())
COUNT = 37
EVERYTHING = Filter()


def event(number: int) -> AuditEvent:
    several = ("Patient/1", "Patient/9") if number % 10 == 0 else ()
    return AuditEvent(
        at=f"2026-03-{1 + number // 10:02}T12:00:{number:02}.000Z",
        action="record.read",
        user_id=f"u{number % 3}",
        patient=None if several else f"Patient/{number % 5}",
        patients=several,
    )


async def export(db: Database, wanted: Filter = EVERYTHING, limit: int = 100) -> AuditExport:
    def append(tx: Transaction) -> None:
        for number in range(COUNT):
            audit.append(tx, event(number))

    if not await db.read(audit.size_of):
        await db.write(append)
    head = SIGNER.sign(await db.read(audit.head), "2026-03-09T00:00:00.000Z")
    rows = await db.read(lambda q: select(q, wanted, head.size, limit))
    return AuditExport(
        made_at="2026-03-09T00:00:00.000Z",
        made_by="rita",
        wanted=wanted,
        head=head,
        check=await check_log(db),
        complete=True,
        events=tuple(await db.read(lambda q: prove(q, rows, head.size))),
    )


def as_file(made: AuditExport) -> bytes:
    return msgspec.json.encode(made)


async def test_everything_proves_itself_without_gaps(db: Database) -> None:
    verdict = verify_export(as_file(await export(db)), SIGNER.key_id)
    assert (verdict.ok, verdict.events, verdict.gaps, verdict.problems) == (True, COUNT, 0, ())


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(patient="Patient/1"),
        Filter(patient="Patient/9"),
        Filter(user_id="u2"),
        Filter(since="2026-03-02T00:00:00.000Z", until="2026-03-03T00:00:00.000Z"),
        Filter(patient="Patient/1", user_id="u1", since="2026-03-02T00:00:00.000Z"),
        Filter(before=10),
        Filter(patient="Patient/none"),
    ],
)
async def test_a_filter_gives_exactly_what_it_lets_pass(db: Database, wanted: Filter) -> None:
    made = await export(db, wanted)
    expected = [
        number + 1
        for number in reversed(range(COUNT))
        if (wanted.patient is None or wanted.patient in (event(number).patient, *event(number).patients))
        and wanted.user_id in (None, event(number).user_id)
        and (wanted.since is None or event(number).at >= wanted.since)
        and (wanted.until is None or event(number).at < wanted.until)
        and (wanted.before is None or number + 1 < wanted.before)
    ]
    assert [one.seq for one in made.events] == expected
    assert verify_export(as_file(made), SIGNER.key_id).ok


def edited(made: AuditExport, **changes: object) -> AuditExport:
    """With its second event changed."""
    first, second, *rest = made.events
    return msgspec.structs.replace(made, events=(first, msgspec.structs.replace(second, **changes), *rest))


FORGERIES: dict[str, tuple[Callable[[AuditExport], AuditExport], str]] = {
    "another person": (
        lambda made: edited(made, body=made.events[1].body.replace('"u', '"x')),
        "not in the signed log",
    ),
    "another number": (lambda made: edited(made, seq=made.events[1].seq - 5), "out of order|not in the signed log"),
    "the same event twice": (
        lambda made: msgspec.structs.replace(made, events=(made.events[0], *made.events)),
        "out of order",
    ),
    "no proof": (lambda made: edited(made, proof=()), "not in the signed log"),
    "a proof that is none": (lambda made: edited(made, proof=("zz",)), "can't be read"),
    "an event that nobody asked for": (
        lambda made: msgspec.structs.replace(made, wanted=Filter(patient="Patient/3")),
        "not what was asked for",
    ),
    "another root": (
        lambda made: msgspec.structs.replace(made, head=msgspec.structs.replace(made.head, root="00" * 32)),
        "signature",
    ),
    "a later signature": (
        lambda made: msgspec.structs.replace(made, head=msgspec.structs.replace(made.head, signed_at="2027")),
        "signature",
    ),
    "a finding that was hushed up": (
        lambda made: msgspec.structs.replace(
            made, check=msgspec.structs.replace(made.check, ok=False, problems=("event 3 differs",))
        ),
        "event 3 differs",
    ),
    "another format": (lambda made: msgspec.structs.replace(made, format="x/2"), "not known"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_every_change_shows(db: Database, forgery: str) -> None:
    change, told = FORGERIES[forgery]
    verdict = verify_export(as_file(change(await export(db))), SIGNER.key_id)
    assert not verdict.ok
    assert any(any(part in problem for part in told.split("|")) for problem in verdict.problems)


async def test_a_whole_file_signed_by_somebody_else_is_not_trusted(db: Database) -> None:
    made = await export(db)
    forger = HeadSigner(Ed25519PrivateKey.generate())
    head = forger.sign(audit.TreeHead(made.head.size, made.head.root), made.head.signed_at)
    forged = as_file(msgspec.structs.replace(made, head=head))
    assert not verify_export(forged, SIGNER.key_id).ok
    assert verify_export(forged).key_id == forger.key_id  # without a trusted key one has to look


async def test_a_dropped_event_leaves_a_gap_that_is_told(db: Database) -> None:
    made = await export(db)
    less = msgspec.structs.replace(made, events=(*made.events[:4], *made.events[5:]))
    assert verify_export(as_file(less), SIGNER.key_id).gaps == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"format":"prontuario/audit-export/1"}'])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not an audit export"):
        verify_export(content)
