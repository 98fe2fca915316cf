from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pysqlite3 import dbapi2

from appliance.config.model import Config, Paths
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Transaction
from appliance.records.validation import validate
from appliance.security import audit, audit_heads
from appliance.security.audit import AuditEvent, AuditRow
from appliance.security.audit_heads import HeadSigner, check_log, key_id_of, verify_head
from appliance.security.head_memory import HeadMemory
from appliance.security.merkle import Frontier, leaf_hash, verify_consistency, verify_inclusion
from appliance.security.vault import Vault
from appliance.store.database import Database

AT = "2026-03-02T12:00:00.000Z"
TRIGGERS = ("audit_event_no_update", "audit_event_no_delete", "audit_event_next", "audit_node_no_update")


def event(number: int, **more: object) -> AuditEvent:
    return AuditEvent(at=AT, action="record.read", user_id=f"u{number % 7}", patient=f"Patient/{number}", **more)  # type: ignore[arg-type]


def append_many(count: int, first: int = 0) -> object:
    def change(tx: Transaction) -> int:
        return [audit.append(tx, event(number)) for number in range(first, first + count)][-1]

    return change


async def fill(db: Database, count: int, first: int = 0) -> int:
    return await db.write(append_many(count, first))  # type: ignore[arg-type]


def hashes(proof: audit.Proof) -> list[bytes]:
    return [bytes.fromhex(part) for part in proof.hashes]


async def body_of(db: Database, seq: int) -> bytes:
    row = await db.read(lambda q: q.one("SELECT body FROM audit_event WHERE seq = ?", (seq,)))
    assert row is not None
    return str(row[0]).encode()


async def test_the_stored_tree_is_the_tree_of_the_bodies(db: Database) -> None:
    tree = Frontier()
    assert await db.read(audit.head) == audit.TreeHead(0, tree.root().hex())
    for number in range(1, 38):
        assert await fill(db, 1, number) == number
        tree.add(leaf_hash(await body_of(db, number)))
        assert await db.read(audit.head) == audit.TreeHead(number, tree.root().hex())


async def test_inclusion_and_consistency_of_a_stored_log(db: Database) -> None:
    await fill(db, 41)
    root = bytes.fromhex((await db.read(audit.head)).root)
    for seq in (1, 2, 7, 32, 33, 40, 41):
        proof = await db.read(lambda q, seq=seq: audit.prove_inclusion(q, seq))
        assert verify_inclusion(seq - 1, proof.size, leaf_hash(await body_of(db, seq)), hashes(proof), root)
    for old in (1, 16, 27, 41):
        proof = await db.read(lambda q, old=old: audit.prove_consistency(q, old))
        old_root = await db.read(lambda q, old=old: audit.root_at(q, old))
        assert verify_consistency(old, 41, hashes(proof), old_root, root)


async def test_a_proof_for_an_older_size(db: Database) -> None:
    await fill(db, 20)
    proof = await db.read(lambda q: audit.prove_inclusion(q, 5, 11))
    root = await db.read(lambda q: audit.root_at(q, 11))
    assert proof.size == 11
    assert verify_inclusion(4, 11, leaf_hash(await body_of(db, 5)), hashes(proof), root)


@pytest.mark.parametrize(("seq", "size"), [(0, None), (4, None), (1, 9), (3, 2)])
async def test_what_is_not_there_can_not_be_proved(db: Database, seq: int, size: int | None) -> None:
    await fill(db, 3)
    with pytest.raises(ProntuarioError, match="not_found"):
        await db.read(lambda q: audit.prove_inclusion(q, seq, size))


async def test_an_undone_transaction_leaves_no_trace_in_the_tree(db: Database) -> None:
    await fill(db, 5)
    before = await db.read(audit.head)

    def fails(tx: Transaction) -> None:
        audit.append(tx, event(99))
        raise LookupError

    with pytest.raises(LookupError):
        await db.write(fails)
    assert await db.read(audit.head) == before
    assert await fill(db, 1) == 6
    assert (await check_log(db)).ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET body = '{}' WHERE seq = 2",
        "DELETE FROM audit_event WHERE seq = 2",
        "INSERT OR REPLACE INTO audit_event (seq, body) VALUES (2, '{}')",
        "INSERT INTO audit_event (seq, body) VALUES (9, '{}')",
        "INSERT INTO audit_event (body) VALUES ('{}')",
        "INSERT INTO audit_event (seq, body) VALUES (2, '{}') ON CONFLICT (seq) DO UPDATE SET body = excluded.body",
        "UPDATE audit_node SET hash = x'00'",
        "DELETE FROM audit_node",
        "INSERT OR REPLACE INTO audit_node (level, position, hash) VALUES (1, 0, x'00')",
        "UPDATE audit_head SET root = x'00'",
        "DELETE FROM audit_head",
        "INSERT OR REPLACE INTO audit_head SELECT size, x'00', signed_at, key_id, public_key, signature FROM audit_head",
    ],
)
async def test_sql_can_not_rewrite_the_log(db: Database, signer: HeadSigner, statement: str) -> None:
    await fill(db, 4)
    await db.write(lambda tx: signer.keep(tx, AT))
    with pytest.raises(dbapi2.IntegrityError, match="append-only"):
        await db.write(lambda tx: tx.execute(statement))
    assert (await check_log(db)).ok


@pytest.fixture
def signer(paths: Paths, vault: Vault) -> HeadSigner:
    return HeadSigner.open(paths, vault)


async def test_heads_are_signed_and_kept_once_a_size(db: Database, signer: HeadSigner) -> None:
    await fill(db, 3)
    first = await db.write(lambda tx: signer.keep(tx, AT))
    again = await db.write(lambda tx: signer.keep(tx, "2026-03-02T13:00:00.000Z"))
    assert again == first
    assert verify_head(first)
    await fill(db, 1)
    second = await db.write(lambda tx: signer.keep(tx, "2026-03-02T13:00:00.000Z"))
    assert (first.size, second.size) == (3, 4)
    assert await db.read(audit_heads.latest) == second


async def test_a_forged_head_is_no_head(db: Database, signer: HeadSigner) -> None:
    await fill(db, 3)
    head = await db.write(lambda tx: signer.keep(tx, AT))
    fields = {name: getattr(head, name) for name in head.__struct_fields__}
    for change in ({"size": 4}, {"root": "00" * 32}, {"signed_at": "2027-01-01T00:00:00.000Z"}, {"key_id": "0" * 32},
                   {"public_key": "11" * 32}, {"signature": "zz"}):  # fmt: skip
        assert not verify_head(audit_heads.SignedHead(**{**fields, **change}))


def test_the_signing_key_stays_the_same_and_is_sealed(paths: Paths, vault: Vault) -> None:
    first, again = HeadSigner.open(paths, vault), HeadSigner.open(paths, vault)
    assert first.public_key == again.public_key
    assert key_id_of(first.public_key) == first.key_id
    with pytest.raises(ProntuarioError, match=r"vault\.damaged"):
        HeadSigner.open(paths, Vault(b"o" * 32))


class Intruder:
    """Somebody with the database file and time: no trigger stops them."""

    def __init__(self, paths: Paths) -> None:
        self.connection = dbapi2.connect(str(paths.database), isolation_level=None)
        for trigger in TRIGGERS:
            self.connection.execute(f"DROP TRIGGER {trigger}")

    def run(self, sql: str, *params: object) -> None:
        self.connection.execute(sql, params)

    def rebuild_tree(self) -> None:
        """The thorough one makes every stored node fit again."""
        tree = Frontier()
        for (body,) in self.connection.execute("SELECT body FROM audit_event ORDER BY seq").fetchall():
            for level, position, value in tree.add(leaf_hash(body.encode())):
                self.run("UPDATE audit_node SET hash = ? WHERE level = ? AND position = ?", value, level, position)

    def close(self) -> None:
        self.connection.close()


async def reopened_report(
    paths: Paths,
    config: Config,
    trusted: frozenset[str] | None = None,
    remembered: Sequence[audit_heads.SignedHead] = (),
) -> audit_heads.Report:
    async with await Database.open(paths.database, config.store) as db:
        return await check_log(db, trusted, remembered)


@pytest.mark.parametrize(
    ("sql", "finding"),
    [
        ("UPDATE audit_event SET body = replace(body, 'Patient/2', 'Patient/9') WHERE seq = 3", "does not match"),
        ("DELETE FROM audit_event WHERE seq = 3", "events 3 to 3 are missing"),
        ("DELETE FROM audit_event WHERE seq >= 5", "the log was cut"),
        ("UPDATE audit_node SET hash = zeroblob(32) WHERE level = 1 AND position = 0", "does not match"),
    ],
)
async def test_tampering_behind_our_back_is_found(
    paths: Paths, config: Config, vault: Vault, sql: str, finding: str
) -> None:
    await make_log(paths, config, vault)
    intruder = Intruder(paths)
    intruder.run(sql)
    intruder.close()
    report = await reopened_report(paths, config)
    assert not report.ok
    assert any(finding in problem for problem in report.problems)


async def make_log(paths: Paths, config: Config, vault: Vault) -> audit_heads.SignedHead:
    paths.database.parent.mkdir(parents=True)
    async with await Database.open(paths.database, config.store) as db:
        await fill(db, 7)
        signer = HeadSigner.open(paths, vault)
        return await db.write(lambda tx: signer.keep(tx, AT))


async def test_a_complete_rewrite_is_caught_by_the_signed_head_alone(
    paths: Paths, config: Config, vault: Vault
) -> None:
    await make_log(paths, config, vault)
    intruder = Intruder(paths)
    intruder.run("UPDATE audit_event SET body = replace(body, 'u2', 'u9') WHERE seq = 3")
    intruder.rebuild_tree()
    intruder.close()
    report = await reopened_report(paths, config)
    assert report.problems == (f"events up to 7 differ from what was signed at {AT}",)


async def test_what_was_cut_off_with_its_head_is_missed_by_who_remembers_it(
    paths: Paths, config: Config, vault: Vault
) -> None:
    """The record agrees with itself; the head that was kept outside it does not."""
    head = await make_log(paths, config, vault)
    intruder = Intruder(paths)
    intruder.run("DELETE FROM audit_event WHERE seq > 4")
    intruder.run("DROP TRIGGER audit_head_no_delete")
    intruder.run("DELETE FROM audit_head")
    intruder.run("DROP TRIGGER audit_node_no_delete")
    intruder.run("DELETE FROM audit_node WHERE (position + 1) << level > 4")
    intruder.close()
    assert (await reopened_report(paths, config)).ok, "by itself nothing is missing"
    report = await reopened_report(paths, config, None, (head,))
    assert report.problems == ("the log was cut: a head kept outside the record counts 7 events",)


async def test_a_log_grown_anew_is_not_the_one_that_was_remembered(paths: Paths, config: Config, vault: Vault) -> None:
    head = await make_log(paths, config, vault)
    memory = HeadMemory(paths.audit_head, frozenset({head.key_id}))
    memory.remember(head)
    for suffix in ("", "-wal", "-shm"):
        paths.database.with_name(paths.database.name + suffix).unlink(missing_ok=True)
    async with await Database.open(paths.database, config.store) as db:
        await fill(db, 9, first=50)
        signer = HeadSigner.open(paths, vault)
        again = await db.write(lambda tx: signer.keep(tx, AT))
        signer.remembered = remembering(memory)
        assert (await signer.check(db)).problems == (f"events up to 7 differ from what was signed at {AT}",)
        memory.forget()
        memory.remember(again)
        assert (await signer.check(db)).ok


async def test_memory_goes_forwards_and_believes_no_stranger(db: Database, paths: Paths, vault: Vault) -> None:
    signer, stranger = HeadSigner.open(paths, vault), HeadSigner(Ed25519PrivateKey.generate())
    memory = HeadMemory(paths.audit_head, signer.trusted)
    assert memory.newest() is None
    paths.audit_head.parent.mkdir(parents=True, exist_ok=True)
    await fill(db, 3)
    short = signer.sign(await db.read(audit.head), AT)
    await fill(db, 3)
    long = signer.sign(await db.read(audit.head), AT)
    assert memory.remember(short)
    proof = await db.read(lambda q: audit.prove_consistency(q, 3, 6))
    assert not memory.remember(long), "nobody has shown that it is the same log"
    assert not memory.remember(long, [*proof.hashes[:-1], "zz"])
    assert memory.remember(long, proof.hashes)
    assert not memory.remember(short), "never backwards"
    assert memory.remember(long)
    await fill(db, 3)
    more = await db.read(lambda q: audit.prove_consistency(q, 6, 9))
    assert not memory.remember(stranger.sign(await db.read(audit.head), AT), more.hashes)
    assert not memory.remember(msgspec.structs.replace(long, size=9), more.hashes)
    assert memory.newest() == long
    paths.audit_head.write_bytes(paths.audit_head.read_bytes()[:-9])
    assert memory.newest() is None, "half a file is none"


def remembering(memory: HeadMemory) -> Callable[[], Awaitable[Sequence[audit_heads.SignedHead]]]:
    async def newest() -> Sequence[audit_heads.SignedHead]:
        head = memory.newest()
        return () if head is None else (head,)

    return newest


async def test_a_head_by_another_key_is_named(paths: Paths, config: Config, vault: Vault) -> None:
    head = await make_log(paths, config, vault)
    assert (await reopened_report(paths, config, frozenset({head.key_id}))).ok
    report = await reopened_report(paths, config, frozenset({"0" * 32}))
    assert report.problems == ("the head of 7 events was signed by an unknown key",)


async def test_reading_by_person_and_by_patient_in_pages(db: Database) -> None:
    await fill(db, 30)

    def read(q: Query) -> list[AuditRow]:
        return audit.read_events(q, user_id="u3", limit=2)

    first = await db.read(read)
    assert [row.seq for row in first] == [25, 18]
    second = await db.read(lambda q: audit.read_events(q, user_id="u3", limit=2, before=18))
    assert [row.seq for row in second] == [11, 4]
    of_patient = await db.read(lambda q: audit.read_events(q, patient="Patient/5"))
    assert [(row.seq, row.event) for row in of_patient] == [(6, event(5))]


@pytest.mark.parametrize(
    ("method", "action", "status", "outcome"), [("GET", "R", 200, "0"), ("POST", "C", 403, "4"), ("", "E", 503, "8")]
)
def test_an_event_as_fhir(method: str, action: str, status: int, outcome: str) -> None:
    row = AuditRow(7, event(3, method=method, status=status, device_id="d1", resource="Observation/9"))
    resource = audit.as_fhir(row)
    assert (resource["action"], resource["outcome"], resource["recorded"]) == (action, outcome, AT)
    assert [entity["what"]["reference"] for entity in resource["entity"]] == ["Patient/3", "Observation/9"]
    assert resource["agent"][0]["who"]["identifier"]["value"] == "u3"


@pytest.mark.parametrize("resource", ["Observation/9", "user/9", "", "audit"])
def test_the_fhir_form_is_valid_r4(resource: str) -> None:
    validate(audit.as_fhir(AuditRow(7, event(3, method="GET", status=200, device_id="d1", resource=resource))))
    validate(audit.as_fhir(AuditRow(8, AuditEvent(at=AT, action="login", resource=resource))))
