"""A healthy node to break: its home, its machine, what would answer if it ran. ``breaks`` registers how a verdict comes about."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import plistlib
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from pysqlite3 import dbapi2

from appliance.cluster.model import ClusterStatus, Position, Role
from appliance.config.model import GIB, Admin, Api, Config, Memory, Paths
from appliance.operations.doctor.checks import BY_ID, CHECKS
from appliance.operations.doctor.clock import BUILD_DATE
from appliance.operations.doctor.facts import Live, Part, facts_of
from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Line, Machine, flush_s
from appliance.operations.doctor.run import run_checks
from appliance.plugin_api.storage import Transaction
from appliance.security import audit
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.security.master_key import open_vault
from appliance.security.node_authority import prepare_node
from appliance.security.protectors import Cost, PassphraseProtector
from appliance.store.blobs import place_of
from appliance.store.database import Database

NOW = BUILD_DATE + timedelta(days=20)
CONFIG = Config(api=Api(port=0, max_connections=50), admin=Admin(port=0), memory=Memory(ai_bytes=4 * GIB))
PASSPHRASE = "uma frase só para testes"
PATIENCE_S = 300.0
"""A loaded machine is slow, not wrong."""
BLOB = b"an encrypted blob"
Ground = Literal["home", "mac", "running", "serving", "pair"]
RECORDED: dict[str, str] = {
    "fdesetup": "FileVault is On.\n",
    "pmset": "AC Power:\n Sleep On Power Button 1\n autorestart          1\n powernap             0\n disksleep            0\n"
    " sleep                0\n ttyskeepawake        1\n displaysleep         10\n tcpkeepalive         1\n womp                 1\n",
}


def make_home(folder: Path) -> None:
    """A home after ``init``, a first entry, a signed head, a copy that was proven, and one blob."""
    paths = Paths(folder)
    paths.database.parent.mkdir(parents=True)
    folder.chmod(0o700)
    paths.config.write_text("[node]\nname = 'teste'\n")
    Authority.open(paths, CONFIG, NOW)
    prepare_node(paths.secrets, ["a"], NOW)
    vault = open_vault(paths, CONFIG, protector=PassphraseProtector(lambda: PASSPHRASE, Cost(1, 8, 1)))
    signer = HeadSigner.open(paths, vault)

    def first_entries(tx: Transaction) -> None:
        vault.check(tx)
        for action in ("init", "read", "read"):
            audit.append(tx, audit.AuditEvent(at=NOW.isoformat(), action=action))
        signer.keep(tx, NOW.isoformat())

    async def write() -> None:
        async with await Database.open(paths.database, msgspec.structs.replace(CONFIG.store, litestream=False)) as db:
            await db.write(first_entries)

    asyncio.run(write())
    copy = paths.spool / "ltx" / "0" / "0000000000000001-0000000000000001.ltx"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"x")
    quiet = time.time() - 3600  # nobody wrote for an hour; the session's home is as old as its tests take
    os.utime(copy, (quiet, quiet))
    blob = place_of(paths.blobs, hashlib.sha256(BLOB).hexdigest())
    blob.parent.mkdir(parents=True)
    blob.write_bytes(BLOB)
    for capability in ("speech_to_text", "chat_model"):
        (paths.models / capability / "active").mkdir(parents=True)
    for folder_ in (paths.run, paths.logs):
        folder_.mkdir()


@dataclass
class Ward:
    """``examine`` one check of a node that a test prepares and breaks."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    stack: ExitStack
    config: Config = CONFIG
    answers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.paths = Paths(self.folder / "home")
        self.bin, self.root = self.folder / "bin", self.folder / "root"
        self.bin.mkdir(exist_ok=True)
        self.root.mkdir(exist_ok=True)
        self.machine = Machine(
            now=lambda: NOW, platform="linux", root=self.root, root_user=self.root.stat().st_uid,
            python_prefix=str(self.folder / "none"), search_path=str(self.bin), free_bytes=lambda _: 100 * GIB,
            memory_bytes=lambda: 16 * GIB, available_bytes=lambda: 8 * GIB, openblas=lambda: Path("libopenblas.so.0"),
            patience_s=PATIENCE_S, filesystem=lambda _: "apfs", flush_s=lambda folder: max(1e-3, flush_s(folder)),
            time_server=lambda: "10.0.0.1",
        )  # fmt: skip
        for name, said in (("litestream", "0.5.17"), ("ffmpeg", ""), ("espeak-ng", "")):
            self.program(name, said)
        self.remember("restore-proof", ok_s=NOW.timestamp() - 3600)

    # -- changing the node ----------------------------------------------------------------------------------------------
    def on(self, **changes: Any) -> None:
        """Another machine."""
        fields = {name: getattr(self.machine, name) for name in Machine.__slots__}
        self.machine = Machine(**{**fields, **changes})

    def set(self, section: str, **changes: Any) -> None:
        """Another configuration."""
        part = msgspec.structs.replace(getattr(self.config, section), **changes)
        self.config = msgspec.structs.replace(self.config, **{section: part})

    def program(self, name: str, out: str = "", status: int = 0, err: str = "") -> None:
        """A program of the system that says what the real one was recorded to say, and notes what it was asked."""
        (self.bin / f"{name}.out").write_text(out)
        (self.bin / f"{name}.err").write_text(err)
        file = self.bin / name
        here = f'"{self.bin}/{name}'
        file.write_text(f'#!/bin/sh\necho "$*" >>{here}.asked"\ncat {here}.out"\ncat {here}.err" >&2\nexit {status}\n')
        file.chmod(0o755)
        if not (self.folder / "has-cat").exists():
            (self.folder / "has-cat").touch()
            (self.bin / "cat").symlink_to(shutil.which("cat") or "/bin/cat")

    def asked(self, name: str) -> list[str]:
        file = self.bin / f"{name}.asked"
        return file.read_text().splitlines() if file.exists() else []

    def remember(self, task: str, **memory: Any) -> None:
        """What the schedule remembers of a task."""
        file = self.paths.home / "data" / "schedule.json"
        known = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(known | {task: {"due_s": 0, **memory}}))

    def sql(self, *statements: str) -> None:
        """Change the record as somebody with the file in his hands would: past its triggers."""
        with closing(dbapi2.connect(str(self.paths.database), isolation_level=None)) as connection:
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)

    # -- grounds --------------------------------------------------------------------------------------------------------
    def prepare(self, ground: Ground) -> None:
        """``mac``: a Mac as it should be. ``running``: core answers. ``serving``: so does its API. ``pair``: two nodes."""
        if ground == "mac":
            self.be_a_mac()
        if ground in {"running", "serving", "pair"}:
            if ground == "pair":
                self.set("cluster", mode="paired", node="a", peer="b", vip_addresses=("192.0.2.9",))
                Authority.open(self.paths, self.config, NOW)  # as at its start: the certificate gets the address
                self.program("etcd", "etcd Version: 3.4.23\nGit SHA: x\n")
            self.run()
        if ground == "serving":
            self.serve()

    def be_a_mac(self) -> None:
        self.on(platform="darwin")
        self.program("afconvert")
        self.program("say")
        self.program("sntp", "+0.003105 +/- 0.020321 10.0.0.1 10.0.0.1\n")
        self.program("systemsetup", "Network Time: On\n")
        self.program("fdesetup", RECORDED["fdesetup"])
        self.program("pmset", RECORDED["pmset"])
        self.program("tmutil", f"[Excluded]    {self.paths.home}\n")
        self.program("codesign", err="x: valid on disk\nx: satisfies its Designated Requirement\n")
        self.program(
            "pfctl",
            "Status: Enabled for 3 days 02:11:45           Debug: Urgent\n"
            'anchor "br.prontuario" all\npass quick on lo0 all no state\n',
        )
        self.program("launchctl", printed("running"))
        (self.root / "etc" / "pf.anchors").mkdir(parents=True)
        (self.root / "etc" / "pf.anchors" / "br.prontuario").write_text("pass quick on lo0 all no state\n")
        jobs = self.root / "Library" / "LaunchDaemons"
        jobs.mkdir(parents=True)
        (jobs / "br.prontuario.core.plist").write_bytes(plistlib.dumps({"Label": "br.prontuario.core"}))
        (jobs / "br.prontuario.core.plist").chmod(0o644)

    def run(self) -> None:
        """Core runs: it holds its lock and answers the operator's verbs."""
        held = self.stack.enter_context((self.paths.run / "core.pid").open("w"))
        fcntl.flock(held, fcntl.LOCK_EX)
        self.pid_file = held
        own = facts_of(self.paths, self.config)
        peer = msgspec.structs.replace(own, free_bytes=100 * GIB) if self.config.cluster.mode == "paired" else None
        part = Part("ok", "bem", "well", "", "")
        self.live = Live(
            own=own,
            api_host="127.0.0.1",
            api_port=1,
            parts={"litestream": part},
            quarantined={},
            peer=peer,
            clock_offset_s=0.0,
        )
        self.status = ClusterStatus(
            node="a", peer="b", role=Role.PRIMARY, mode="paired", epoch=3, leader="a", leader_since=None, own=Position(3, 9),
            peer_held=Position(3, 9), lag_txids=0, lag_s=0.0, in_sync="b", unreplicated_rows=0, voters=(3, 3), vip=True,
            last_drill=None,
        )  # fmt: skip

    def tell(self, **changes: Any) -> None:
        """Another answer of the running node."""
        self.live = msgspec.structs.replace(self.live, **changes)

    def tell_peer(self, **changes: Any) -> None:
        assert self.live.peer is not None
        self.tell(peer=msgspec.structs.replace(self.live.peer, **changes))

    def tell_pair(self, **changes: Any) -> None:
        self.status = msgspec.structs.replace(self.status, **changes)

    def serve(self, status: int = 200) -> None:
        """An API with this node's certificate, ready or not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.paths.secrets / "server.pem", self.paths.secrets / "server.key")

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = Serving(("127.0.0.1", 0), Answers)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.stack.callback(server.server_close)
        self.stack.callback(thread.join)
        self.stack.callback(server.shutdown)
        self.tell(api_port=server.server_address[1])

    # -- looking --------------------------------------------------------------------------------------------------------
    def line(self) -> Line:
        def ask(verb: str) -> Any:
            if verb in self.answers:
                if isinstance(self.answers[verb], Exception):
                    raise self.answers[verb]
                return self.answers[verb]
            if verb == "doctor":
                return {"live": msgspec.to_builtins(self.live)}
            return {"status": msgspec.to_builtins(self.status)}

        return Line(ask)

    def examine(self, check: str) -> Finding:
        (finding,) = self.findings([BY_ID[check]])
        return finding

    def findings(self, checks: Sequence[Check] = CHECKS) -> list[Finding]:
        return run_checks(checks, self.paths, self.machine, self.line(), self.config, deadline_s=PATIENCE_S)


class Serving(HTTPServer):
    """A client that refuses our certificate is no news."""

    def handle_error(self, *_: Any) -> None:
        pass


def printed(state: str, code: str = "(never exited)") -> str:
    """As launchctl(1) prints a job."""
    return (
        "system/br.prontuario.core = {\n\tactive count = 1\n\tpath = /Library/LaunchDaemons/br.prontuario.core.plist\n"
        f"\ttype = LaunchDaemon\n\tstate = {state}\n\n\tprogram = /Library/Prontuario/current/bin/prontuario\n"
        "\targuments = {\n\t\t/Library/Prontuario/current/bin/prontuario\n\t\tcore\n\t}\n\n"
        f"\truns = 1\n\tlast exit code = {code}\n\n\tspawn type = interactive (4)\n}}\n"
    )


Break = Callable[[Ward], None]


@dataclass(frozen=True)
class Broken:
    """How to break the thing, on which ground, and what the English sentence then says."""

    act: Break
    ground: Ground
    says: str


BROKEN_BY: dict[str, Broken] = {}
"""Verdict (``check.verdict``) → what brings it about. A test compares it with every verdict that is not ``ok``."""


def breaks(verdict: str, on: Ground = "home", says: str = "") -> Callable[[Break], Break]:
    """Register how ``verdict`` comes about."""

    def register(act: Break) -> Break:
        assert verdict not in BROKEN_BY, verdict
        BROKEN_BY[verdict] = Broken(act, on, says)
        return act

    return register
