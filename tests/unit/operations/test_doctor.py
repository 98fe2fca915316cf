"""Each test breaks one thing on a healthy home and expects the advice for it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from pysqlite3 import dbapi2

from appliance.config.model import GIB, Admin, Api, Config, Memory, Node, Paths, Security, Store
from appliance.operations.doctor import CHECKS, Finding, Machine, run_checks
from appliance.operations.doctor_context import Patient
from appliance.operations.doctor_home import BUILD_DATE
from appliance.operations.doctor_secrets import master_key
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.authority import Authority
from appliance.security.master_key import open_vault
from appliance.security.protectors import Cost, PassphraseProtector
from appliance.store.database import Database
from tests.fakes import packs

NOW = BUILD_DATE + timedelta(days=20)
CONFIG = Config(api=Api(port=0), admin=Admin(port=0), store=Store(litestream=False), memory=Memory(ai_bytes=4 * GIB))
HEALTHY = Machine(
    now=lambda: NOW,
    platform="linux",
    free_bytes=lambda _: 100 * GIB,
    memory_bytes=lambda: 16 * GIB,
    openblas=lambda: Path("libopenblas.so.0"),
)


@pytest.fixture
async def paths(tmp_path: Path) -> Paths:
    """A home after ``init`` and a first entry in the audit log."""
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    paths.config.write_text("[node]\nname = 'teste'\n")
    Authority.open(paths, CONFIG, NOW)
    vault = open_vault(paths, CONFIG)

    def first_entry(tx: Transaction) -> None:
        vault.check(tx)
        audit.append(tx, audit.AuditEvent(at=NOW.isoformat(), action="init"))

    async with await Database.open(paths.database, CONFIG.store) as db:
        await db.write(first_entry)
    return paths


def examine(paths: Paths, config: Config = CONFIG, machine: Machine = HEALTHY) -> dict[str, Finding]:
    return {finding.name: finding for finding in run_checks(paths, config, machine)}


def with_machine(**changes: object) -> Machine:
    fields = {name: getattr(HEALTHY, name) for name in Machine.__slots__}
    return Machine(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_healthy_home(paths: Paths) -> None:
    found = examine(paths)
    assert len(found) == len(CHECKS)
    assert {name for name, finding in found.items() if finding.status == "failed"} == set()
    for finding in found.values():
        assert finding.cause
        assert (finding.status == "ok") == (finding.next_step == "")


def test_findings_are_json(paths: Paths) -> None:
    wire = msgspec.json.decode(msgspec.json.encode(run_checks(paths, CONFIG, HEALTHY)), type=list[Finding])
    assert [finding.name for finding in wire] == list(examine(paths))


def test_doctor_changes_nothing(paths: Paths) -> None:
    def picture() -> dict[str, tuple[int, bytes]]:
        files = sorted(
            path for path in paths.home.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))
        )
        return {str(path): (path.stat().st_mode, path.read_bytes()) for path in files}

    (paths.secrets / "root.key").chmod(0o640)
    before = picture()
    examine(paths)
    assert picture() == before


def test_no_home(tmp_path: Path) -> None:
    (finding,) = run_checks(Paths(tmp_path / "nowhere"), CONFIG, HEALTHY)
    assert (finding.name, finding.status) == ("home", "failed")
    assert "prontuario init" in finding.next_step


def test_an_empty_home_has_no_failure_but_much_to_do(tmp_path: Path) -> None:
    found = examine(Paths(tmp_path))
    assert {finding.status for finding in found.values()} <= {"ok", "warning"}
    for name in ("configuration", "authority", "server certificate", "secrets", "master key"):
        assert found[name].status == "warning"


# -- home --------------------------------------------------------------------------------------------------------------
def test_a_mistyped_key(paths: Paths) -> None:
    paths.config.write_text("[node]\nnmae = 'x'\n")
    finding = examine(paths)["configuration"]
    assert finding.status == "failed"
    assert "prontuario.toml:2" in finding.cause
    assert "name" in finding.cause


def test_a_configuration_that_is_no_text(paths: Paths) -> None:
    paths.config.write_bytes(b"\xff\xfe")
    assert examine(paths)["configuration"].status == "failed"


@pytest.mark.parametrize(("free", "status"), [(100 * GIB, "ok"), (10 * GIB, "warning"), (1 * GIB, "failed")])
def test_disk_space(paths: Paths, free: int, status: str) -> None:
    finding = examine(paths, machine=with_machine(free_bytes=lambda _: free))["disk"]
    assert finding.status == status
    assert "GiB" in finding.cause


def test_a_home_that_can_not_be_written(paths: Paths, tmp_path: Path) -> None:
    """A file where the home should be refuses every write, also to root."""
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    finding = {f.name: f for f in run_checks(Paths(blocked), CONFIG, HEALTHY)}["disk"]
    assert finding.status == "failed"
    assert "can't be written" in finding.cause


def test_a_clock_before_the_programs_birth(paths: Paths) -> None:
    finding = examine(paths, machine=with_machine(now=lambda: datetime(2001, 1, 1, tzinfo=UTC)))["clock"]
    assert finding.status == "failed"
    assert "2001-01-01" in finding.cause


def test_a_clock_behind_the_record(paths: Paths) -> None:
    finding = examine(paths, machine=with_machine(now=lambda: NOW - timedelta(hours=1)))["clock"]
    assert finding.status == "failed"
    assert "newest entry" in finding.cause
    assert examine(paths, machine=with_machine(now=lambda: NOW - timedelta(minutes=4)))["clock"].status == "ok"


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_another_program_has(paths: Paths, busy_port: int) -> None:
    finding = examine(paths, msgspec.structs.replace(CONFIG, api=Api(port=busy_port)))["ports"]
    assert finding.status == "failed"
    assert str(busy_port) in finding.cause
    assert "lsof" in finding.next_step


def test_a_port_that_our_own_node_has(paths: Paths, busy_port: int) -> None:
    paths.run.mkdir()
    with (paths.run / "core.pid").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert examine(paths, msgspec.structs.replace(CONFIG, api=Api(port=busy_port)))["ports"].status == "ok"
    # The lock fell with its holder: now the port belongs to somebody else.
    assert examine(paths, msgspec.structs.replace(CONFIG, api=Api(port=busy_port)))["ports"].status == "failed"


# -- secrets -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["root.key", "master.json", "."])
def test_loose_modes(paths: Paths, name: str) -> None:
    (paths.secrets / name).chmod(0o755)
    finding = examine(paths)["secrets"]
    assert finding.status == "failed"
    assert "chmod" in finding.next_step


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("root.key", None, "root.key is missing"),
        ("device-ca.pem", b"rubbish", "device-ca.pem is missing or unreadable"),
        ("device-ca.key", "root.key", "device-ca.key does not fit"),
    ],
)
def test_a_broken_authority(paths: Paths, name: str, content: bytes | str | None, cause: str) -> None:
    path = paths.secrets / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else (paths.secrets / content).read_bytes())
    finding = examine(paths)["authority"]
    assert finding.status == "failed"
    assert cause in finding.cause


@pytest.mark.parametrize(
    ("days", "authority", "server"),
    [(0, "ok", "ok"), (380, "ok", "warning"), (400, "ok", "failed"), (3400, "warning", "failed"), (4000, "failed", "failed"),
     (-1, "failed", "failed")],
)  # fmt: skip
def test_certificates_end(paths: Paths, days: int, authority: str, server: str) -> None:
    found = examine(paths, machine=with_machine(now=lambda: NOW + timedelta(days=days)))
    assert (found["authority"].status, found["server certificate"].status) == (authority, server)


def test_a_name_that_the_certificate_lacks(paths: Paths) -> None:
    config = msgspec.structs.replace(CONFIG, api=Api(port=0, names=("localhost", "novo.hospital")))
    finding = examine(paths, config)["server certificate"]
    assert finding.status == "warning"
    assert "novo.hospital" in finding.cause


def test_a_lost_server_certificate(paths: Paths) -> None:
    (paths.secrets / "server.pem").unlink()
    assert examine(paths)["server certificate"].next_step == "Start the node: it makes one."


def test_development_protection_is_said_plainly(paths: Paths) -> None:
    finding = examine(paths)["master key"]
    assert finding.status == "warning"
    assert "development only" in finding.cause


@pytest.mark.parametrize("name", ["master.json", "development.key"])
def test_a_damaged_master_key(paths: Paths, name: str) -> None:
    (paths.secrets / name).write_bytes(b"damaged")
    assert examine(paths)["master key"].status == "failed"


def test_a_lost_master_key_with_a_record_that_needs_it(paths: Paths) -> None:
    (paths.secrets / "master.json").unlink()
    finding = examine(paths)["master key"]
    assert finding.status == "failed"
    assert "Do not start" in finding.next_step
    assert not (paths.secrets / "master.json").exists()


def test_the_master_key_of_another_node(paths: Paths) -> None:
    (paths.secrets / "master.json").unlink()
    open_vault(paths, CONFIG)
    finding = examine(paths)["master key"]
    assert finding.status == "failed"
    assert "not the master key of this database" in finding.cause


def test_a_passphrase_is_checked_when_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = Paths(tmp_path)
    config = Config(node=Node(profile="production"), security=Security(master_key="passphrase"))
    open_vault(paths, config, protector=PassphraseProtector(lambda: "frase secreta", Cost(1, 8, 1)))
    patient = Patient(paths, config, HEALTHY)
    assert master_key(patient).status == "warning"
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "frase errada")
    assert master_key(patient).status == "failed"
    monkeypatch.setenv("PRONTUARIO_PASSPHRASE", "frase secreta")
    assert master_key(patient).status == "ok"


# -- record ------------------------------------------------------------------------------------------------------------
def test_an_affected_sqlite(paths: Paths) -> None:
    finding = examine(paths, machine=with_machine(sqlite_version=(3, 40, 1)))["sqlite"]
    assert finding.status == "failed"
    assert "3.40.1" in finding.cause


def test_a_damaged_database(paths: Paths) -> None:
    with dbapi2.connect(str(paths.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(paths.database.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    paths.database.write_bytes(bytes(content))
    finding = examine(paths)["database"]
    assert finding.status == "failed"
    assert "backup restore" in finding.next_step


def test_a_file_that_is_no_database(paths: Paths) -> None:
    for path in paths.database.parent.glob("record.sqlite*"):
        path.unlink()
    paths.database.write_bytes(b"this is not SQLite" * 500)
    found = examine(paths)
    assert found["database"].status == "failed"
    assert found["clock"].status == "failed"


async def test_a_database_that_a_node_is_writing(paths: Paths) -> None:
    async with await Database.open(paths.database, CONFIG.store) as db:
        event = audit.AuditEvent(at=NOW.isoformat(), action="x")
        writing = [db.write(lambda tx: audit.append(tx, event)) for _ in range(20)]
        found = (await asyncio.gather(asyncio.to_thread(examine, paths), *writing))[0]
        assert isinstance(found, dict)
        assert found["database"].status == "ok"


WITH_LITESTREAM = msgspec.structs.replace(CONFIG, store=Store())


def program(folder: Path, text: str) -> Machine:
    folder.mkdir()
    file = folder / "litestream"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return with_machine(python_prefix=str(folder / "none"), search_path=str(folder))


@pytest.mark.parametrize(
    ("text", "status", "cause"),
    [
        ("echo 0.5.17", "ok", "0.5.17"),
        ("echo litestream v0.6.1", "ok", "0.6.1"),
        ("echo 0.3.13", "failed", "too old"),
        ("exit 1", "failed", "does not run"),
        ("echo nonsense", "failed", "does not run"),
    ],
)
def test_litestreams_version(paths: Paths, tmp_path: Path, text: str, status: str, cause: str) -> None:
    finding = examine(paths, WITH_LITESTREAM, program(tmp_path / "bin", text))["litestream"]
    assert finding.status == status
    assert cause in finding.cause


def test_no_litestream(paths: Paths, tmp_path: Path) -> None:
    machine = with_machine(python_prefix=str(tmp_path), search_path=str(tmp_path))
    assert examine(paths, WITH_LITESTREAM, machine)["litestream"].status == "failed"


def test_litestream_switched_off_is_said(paths: Paths) -> None:
    assert "this disk only" in examine(paths)["litestream"].cause


@pytest.mark.parametrize(("behind_s", "status"), [(None, "warning"), (5, "ok"), (600, "failed")])
def test_the_spool(paths: Paths, behind_s: float | None, status: str) -> None:
    written = time.time()
    os.utime(paths.database, (written, written))
    for path in paths.database.parent.glob("record.sqlite-*"):
        os.utime(path, (written, written))
    if behind_s is not None:
        file = paths.spool / "ltx" / "0" / "0000000000000001-0000000000000001.ltx"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x")
        os.utime(file, (written - behind_s, written - behind_s))
    assert examine(paths, WITH_LITESTREAM)["spool"].status == status


# -- machine -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("budget", "status"), [(0, "ok"), (8 * GIB, "ok"), (15 * GIB, "warning"), (17 * GIB, "failed")]
)
def test_the_memory_budget(paths: Paths, budget: int, status: str) -> None:
    config = msgspec.structs.replace(CONFIG, memory=Memory(ai_bytes=budget))
    assert examine(paths, config)["memory"].status == status


def test_demonstration_models_are_said_until_packs_are_there(paths: Paths) -> None:
    assert "demonstration" in examine(paths)["models"].cause
    (paths.models / "speech_to_text" / "active").mkdir(parents=True)
    assert "notes and chat" in examine(paths)["models"].cause
    (paths.models / "chat_model" / "active").mkdir(parents=True)
    assert examine(paths)["models"].status == "ok"


def test_a_pack_that_serves_and_is_not_to_be_believed_is_an_alarm(paths: Paths, tmp_path: Path) -> None:
    shelf = Shelf(paths.models, packs.write_trusted(paths.pack_keys))
    packs.make(tmp_path / "source")
    Intake(shelf, spare_bytes=0).take_in(tmp_path / "source")
    shelf.point("chat_model", "tiny-1")
    assert "speech" in examine(paths)["models"].cause
    (paths.pack_keys / "maker.pem").unlink()
    finding = examine(paths)["models"]
    assert (finding.status, "pack.untrusted" in finding.cause) == ("failed", True)
    assert "tiny-1" in finding.next_step


@pytest.mark.parametrize(
    ("platform", "programs", "expected"),
    [
        ("linux", (), ("warning", "No speech")),
        ("linux", ("ffmpeg",), ("ok", "No speech")),
        ("linux", ("ffmpeg", "espeak-ng"), ("ok", "espeak-ng")),
        ("darwin", (), ("warning", "No speech")),
        ("darwin", ("afconvert", "say"), ("ok", "say")),
    ],
)
def test_audio_programs(
    paths: Paths, tmp_path: Path, platform: str, programs: tuple[str, ...], expected: tuple[str, str]
) -> None:
    for name in programs:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    found = examine(paths, machine=with_machine(platform=platform, search_path=str(tmp_path)))
    assert found["audio"].status == expected[0]
    assert expected[1] in found["voice"].cause


def test_openblas(paths: Paths) -> None:
    missing: Callable[[], Path | None] = lambda: None  # noqa: E731  typed
    assert examine(paths, machine=with_machine(openblas=missing))["arithmetic"].status == "warning"
    assert examine(paths, machine=with_machine(openblas=missing, platform="darwin"))["arithmetic"].status == "ok"
    assert examine(paths)["arithmetic"].status == "ok"
