"""One missing or changed file of a real copy is found, whichever it is, and named: to people, in the alert, by doctor."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.cluster.ltx import listing, reach
from appliance.cluster.model import Position
from appliance.config.model import Config, Paths
from appliance.config.model import Store as StoreConfig
from appliance.operations import proof
from appliance.operations.copy_manifest import KEYS, NAME, SEAL, CopyGuard
from appliance.operations.doctor import copies
from appliance.operations.doctor.run import run_checks
from appliance.operations.schedule import Schedule, Task
from appliance.operations.schedule_memory import Figure
from appliance.operations.watching.conditions import snapshot
from appliance.operations.watching.evaluate import Evaluator
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.records import repository
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.master_key import open_vault
from appliance.security.node_authority import prepare_node
from appliance.store.blobs import BlobRef, BlobStore, DataKey, place_of
from appliance.store.database import Database
from appliance.store.litestream import Litestream, Patience
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = "2026-03-02T12:00:00.000Z"
KEY = DataKey("key-1", hashlib.sha256(b"test").digest())
PATIENT = {"resourceType": "Patient", "name": [{"family": "Souza"}]}
PATIENCE_S = 90.0


@dataclass
class Copy:
    """A whole home whose Litestream has ended: its copy, its blobs, its keys."""

    paths: Paths
    txid: int

    async def prove(self, guard: CopyGuard | None = None) -> dict[str, Figure]:
        async def told() -> int:
            return self.txid

        async with await Database.open(self.paths.database, StoreConfig(litestream=False)) as database:
            return await proof.prove_own_copy(
                self.paths.spool, self.paths.home / "data" / "proofs", self.paths.database, database, sync=told,
                guard=guard or self.guard(),
            )  # fmt: skip

    def guard(self) -> CopyGuard:
        return CopyGuard(self.paths.home / "data", self.paths.secrets, self.paths.blobs)

    def steps(self) -> list[str]:
        """Litestream's files that the copy can't do without, or that nothing covers yet, as errors name them."""
        return sorted(f"spool/ltx/{file.key}" for file in listing(self.paths.spool))

    def blob(self) -> str:
        (one,) = [path for path in self.paths.blobs.rglob("*") if path.is_file()]
        return str(one.relative_to(self.paths.home / "data"))

    def place(self, name: str) -> Path:
        return self.paths.home / ("" if name.startswith("secrets/") else "data") / name


async def a_clinic(paths: Paths) -> None:
    """Keys, a document with its blob, and some writes, replicated."""
    config = Config()
    Authority.open(paths, config, SystemClock().now())
    prepare_node(paths.secrets, ["a"], SystemClock().now())
    HeadSigner.open(paths, open_vault(paths, config))
    litestream = Litestream(paths.database, paths.spool, paths.run, patience=Patience(between_pings_s=600.0))
    async with await Database.open(
        paths.database, StoreConfig(barrier_timeout_s=60.0), barrier=litestream.barrier
    ) as database:
        await litestream.start()
        blobs = BlobStore(paths.blobs)

        async def sound() -> AsyncIterator[bytes]:
            yield b"sound"

        ref = await blobs.put(sound(), KEY)
        await database.write(lambda tx: _name_blob(tx, ref))
        for number in range(4):
            await database.write(_one_patient)
            async with asyncio.timeout(PATIENCE_S):
                while number < 2 and not list((paths.spool / "ltx" / "1").glob("*.ltx"))[number:]:  # noqa: ASYNC110  no event
                    await asyncio.sleep(0.1)  # a compaction comes every second
        await litestream.barrier.sync()
    await litestream.stop()


def _name_blob(tx: Transaction, ref: BlobRef) -> None:
    tx.execute(
        "INSERT INTO care_document (id, patient_id, uploaded_by, uploader_name, title, media_type, sha256, size, blob, key_id,"
        " pages, state, resource_id, uploaded_at, changed_at)"
        " VALUES ('d', 'p', 'u', 'u', 't', 'm', '', ?, ?, ?, 1, 'kept', 'r', ?, ?)",
        (ref.size, ref.address, ref.key_id, NOW, NOW),
    )


def _one_patient(tx: Transaction) -> None:
    repository.create(tx, dict(PATIENT), now=NOW)
    audit.append(tx, AuditEvent(at=NOW, action="patient.write"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def original(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    paths = Paths(tmp_path_factory.mktemp("copy") / "home")
    await a_clinic(paths)
    copy = Copy(paths, reach(listing(paths.spool)))
    await copy.prove()
    return copy


@pytest.fixture
def copy(original: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """The same home again, for a test to damage; a proof has seen it whole."""
    monkeypatch.setattr(proof, "SPOOL_LAG_S", 0.0)  # its Litestream has ended: nothing more comes
    shutil.copytree(original.paths.home, tmp_path / "home", copy_function=_with_times)
    made = Copy(Paths(tmp_path / "home"), original.txid)
    _same_folder(made)
    return made


def _with_times(source: str, target: str) -> None:
    shutil.copy2(source, target)


def _same_folder(copy: Copy) -> None:
    """A copied folder is another one; the manifest must mean this one."""
    place = copy.paths.home / "data" / NAME
    told = place.read_bytes()
    begin = told.index(b'"folder":') + len(b'"folder":')
    end = told.index(b",", begin)
    content = told[:begin] + str(copy.paths.spool.stat().st_ino).encode() + told[end:]
    place.write_bytes(content)
    place.with_name(SEAL).write_text(hashlib.sha256(content).hexdigest())


def flip(path: Path) -> None:
    """One bit, and as a failing disk does it: nobody wrote, the times stay."""
    facts, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


async def refusal(copy: Copy, guard: CopyGuard | None = None) -> tuple[str, str]:
    with pytest.raises(ProntuarioError) as told:
        await copy.prove(guard)
    file = str(told.value.details["file"])
    assert file in told.value.sentence("pt")
    return told.value.kind.code, file


async def test_a_whole_copy_is_proven_again_and_again(copy: Copy) -> None:
    for _ in range(2):
        figures = await copy.prove()
        assert (figures["audit_events"], figures["read"]) == (4, "Patient")


async def test_every_step_of_litestream_s_is_missed_or_its_flipped_bit_seen(copy: Copy) -> None:
    steps = copy.steps()
    assert {name.split("/")[2] for name in steps} >= {"0", "1"}, steps
    for name in steps:
        place = copy.place(name)
        content = place.read_bytes()
        facts = place.stat()
        flip(place)
        assert await refusal(copy) == ("backup.file_changed", name)
        place.unlink()
        if not _may_be_gone(name, copy):
            assert await refusal(copy) == ("backup.file_missing", name)
        place.write_bytes(content)
        os.utime(place, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    await copy.prove()


def _may_be_gone(name: str, copy: Copy) -> bool:
    """Level 0's own steps live for two seconds once a larger one covers them: the oldest may be gone, and nothing is lost."""
    files = listing(copy.paths.spool)
    first, last = (int(part, 16) for part in name.rpartition("/")[2].removesuffix(".ltx").split("-"))
    if "/ltx/0/" not in name:
        return False
    covered = any(one.level and one.first <= first and last <= one.last for one in files)
    return covered and first <= min((one.first for one in files if one.level == 0), default=first)


@pytest.mark.parametrize("damage", [flip, Path.unlink])
@pytest.mark.parametrize("key", KEYS)
async def test_every_key_is_missed_or_its_flipped_bit_seen(
    copy: Copy, key: str, damage: Callable[[Path], None]
) -> None:
    guard = copy.guard()
    damage(copy.place(f"secrets/{key}"))
    code = "backup.file_missing" if damage is not flip else "backup.file_changed"
    assert await refusal(copy, guard) == (code, f"secrets/{key}")


async def test_a_key_that_changed_while_core_was_down_is_seen_but_another_passphrase_is_not_a_fault(copy: Copy) -> None:
    flip(copy.place("secrets/master.json"))
    await copy.prove()  # the guard was made afterwards: core has opened the record with it
    flip(copy.place("secrets/audit.key"))
    assert await refusal(copy) == ("backup.file_changed", "secrets/audit.key")


async def test_a_blob_is_missed_or_its_flipped_bit_seen(copy: Copy) -> None:
    name = copy.blob()
    flip(copy.place(name))
    assert await refusal(copy) == ("backup.file_changed", name)
    copy.place(name).unlink()
    assert await refusal(copy) == ("backup.file_missing", name)


async def test_a_blob_that_was_set_aside_still_counts(copy: Copy) -> None:
    name = copy.place(copy.blob())
    aside = place_of(copy.paths.blobs / "aside", name.name)
    aside.parent.mkdir(parents=True)
    name.rename(aside)
    await copy.prove()


@pytest.mark.parametrize(("name", "damage", "code"), [
    (NAME, flip, "backup.file_changed"), (NAME, Path.unlink, "backup.file_missing"),
    (SEAL, flip, "backup.file_changed"), (SEAL, Path.unlink, "backup.file_missing"),
])  # fmt: skip
async def test_the_manifest_itself_is_missed_once_and_made_anew(
    copy: Copy, name: str, damage: Callable[[Path], None], code: str
) -> None:
    damage(copy.place(name))
    found, file = await refusal(copy)
    assert (found, file) == (code, name if damage is not flip else NAME)
    await copy.prove()


async def test_a_copy_that_began_anew_is_not_compared_with_the_old_one(copy: Copy) -> None:
    spool = copy.paths.spool
    spool.rename(spool.with_name("spool.failed-1"))
    shutil.copytree(spool.with_name("spool.failed-1"), spool)
    for name in copy.steps():
        if "/ltx/0/" in name and _may_be_gone(name, copy):
            copy.place(name).unlink()
    await copy.prove()


async def test_what_a_standby_received_is_examined_alike(copy: Copy) -> None:
    replica, guard = copy.paths.spool, copy.guard()

    async def prove() -> None:
        await proof.prove_received(
            replica,
            Position(1, copy.txid),
            copy.paths.home / "data" / "proofs",
            copy.paths.database,
            SystemClock(),
            guard=guard,
        )

    await prove()
    last = max(listing(replica), key=lambda file: (file.last, -file.level))
    flip(last.path(replica))
    with pytest.raises(ProntuarioError, match=r"backup\.file_changed"):
        await prove()
    for file in listing(replica):
        if file.last >= last.last:
            file.path(replica).unlink()
    with pytest.raises(ProntuarioError, match=r"backup\.file_missing"):
        await prove()


async def test_the_alert_fires_and_doctor_says_which_file(copy: Copy) -> None:
    clock, metrics = SystemClock(), Metrics()
    memory = copy.paths.home / "data" / "schedule.json"
    schedule = Schedule(memory, clock, metrics, settle_s=1e9, poll_s=0.01)
    schedule.add(Task(name="restore-proof", title_pt="Prova", title_en="Proof", every_s=86400.0, run=copy.prove))
    name = copy.blob()
    copy.place(name).unlink()
    schedule.start()
    try:
        schedule.run_soon("restore-proof")
        async with asyncio.timeout(PATIENCE_S):
            while not memory.exists():  # noqa: ASYNC110  what the loop does has no event; it comes whole or not at all
                await asyncio.sleep(0.02)
    finally:
        await schedule.stop()
    fired = Evaluator().judge(snapshot(metrics.registry, clock.now().timestamp()))
    assert ("RestoreProofFailed", (("task", "restore-proof"),)) in fired
    (row,) = schedule.report()
    assert row.trouble is not None
    assert name in row.trouble.cause_pt
    assert name in (await schedule.health()).message_pt
    (finding,) = await asyncio.to_thread(run_checks, [copies.RESTORE], copy.paths, config=Config())
    assert (finding.status, finding.verdict) == ("failed", "failed")
    assert name in finding.cause_pt


async def test_a_step_that_comes_late_is_waited_for(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "SPOOL_LAG_S", PATIENCE_S)
    late = [file.path(copy.paths.spool) for file in listing(copy.paths.spool) if file.last == copy.txid]
    bodies = [(place, place.read_bytes(), place.stat().st_mtime_ns) for place in late]
    for place in late:
        place.unlink()

    async def arrive() -> None:
        await asyncio.sleep(0.2)
        for place, body, written in bodies:
            place.write_bytes(body)
            os.utime(place, ns=(written, written))

    arriving = asyncio.create_task(arrive())
    await copy.prove()
    await arriving
