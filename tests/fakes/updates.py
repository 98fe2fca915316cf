"""Update bundles without a package in them, and a machine that an update changes, which can be killed between any two acts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from appliance.operations.updates import manifest as manifests
from appliance.operations.updates.decide import Seen
from appliance.operations.updates.errors import FAILED
from appliance.operations.updates.journal import Place
from appliance.operations.updates.manifest import Part, SchemaStep, UpdateFile, UpdateManifest
from appliance.operations.updates.signing import sign
from appliance.operations.updates.state import State, Step
from appliance.store.migrate import Migration

MAKER: Final = Ed25519PrivateKey.from_private_bytes(b"u" * 32)
STRANGER: Final = Ed25519PrivateKey.from_private_bytes(b"x" * 32)
OLD, NEW = "1.0.0", "1.1.0"
KNOWN: Final = [Migration(1, "one", "CREATE TABLE one (id);"), Migration(2, "two", "CREATE TABLE two (id);")]
TABLE_NAME: Final = "medical_images/label_sets/knee.toml"
PARTS: Final = {
    f"prontuario-{NEW}.pkg": b"the program " * 1000,
    f"tables/{TABLE_NAME}": b"version = 1\n",
    "packs/small-3/config.json": b"{}",
    "packs/small-3/model.safetensors": b"weights" * 500,
}


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def schema(*steps: Migration) -> tuple[SchemaStep, ...]:
    return tuple(SchemaStep(one.number, one.readable_by, one.checksum) for one in steps)


def manifest(files: dict[str, bytes] | None = None, **changed: Any) -> UpdateManifest:
    """What a good bundle says; ``changed`` replaces fields."""
    files = PARTS if files is None else files
    told = [UpdateFile(path, len(body), hashlib.sha256(body).hexdigest()) for path, body in files.items()]
    by_top: dict[str, list[UpdateFile]] = {}
    for one in told:
        by_top.setdefault(one.path.split("/")[0], []).append(one)
    parts = []
    for top, some in by_top.items():
        if top == "packs":
            parts.append(Part(kind="pack", name="small-3", capability="chat", files=tuple(some)))
        elif top == "tables":
            parts.append(Part(kind="table", name=some[0].path.removeprefix("tables/"), files=tuple(some)))
        else:
            parts.append(Part(kind="package", name=NEW, files=tuple(some)))
    whole: dict[str, Any] = {
        "version": NEW, "from_version": OLD, "made": "2026-11-21", "notes_pt": "Mais rápido.", "notes_en": "Faster.",
        "installed_bytes": 1 << 20, "schema": schema(*KNOWN), "parts": tuple(parts),
    }  # fmt: skip
    return UpdateManifest(**{**whole, **changed})


def write_bundle(
    folder: Path, told: UpdateManifest | None = None, *, files: dict[str, bytes] | None = None,
    key: Ed25519PrivateKey = MAKER, raw: bytes | None = None,
) -> Path:  # fmt: skip
    """A bundle's folder; ``raw`` is signed and written in the manifest's stead."""
    for path, body in (PARTS if files is None else files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    content = raw if raw is not None else manifests.encode(told or manifest(files))
    (folder / manifests.MANIFEST_NAME).write_bytes(content)
    (folder / manifests.SIGNATURE_NAME).write_bytes(sign(content, key))
    return folder


def make_place(folder: Path, running: str = OLD) -> Place:
    """A machine with ``running`` installed that trusts MAKER."""
    prefix = folder / "Prontuario"
    (prefix / "versions" / running).mkdir(parents=True)
    prefix.chmod(0o755)
    (prefix / "current").symlink_to(f"versions/{running}")
    key = folder / "maker.pem"
    key.write_bytes(public_pem(MAKER))
    place = Place(prefix)
    place.trust(key)
    return place


class KilledError(BaseException):
    """The process is gone at this very point."""


@dataclass
class Life:
    """Counts acts and kills at one of them; ``kill_at`` 0: never."""

    kill_at: int = 0
    acts: int = 0

    def act(self) -> None:
        self.acts += 1
        if self.acts == self.kill_at:
            raise KilledError


@dataclass
class MemoryBook:
    """A ``Book`` in memory: what was saved is what is there after a kill."""

    life: Life
    saved: bytes = b""
    past: list[State] = field(default_factory=list)
    written: list[State] = field(default_factory=list)

    def save(self, state: State) -> None:
        self.life.act()
        self.saved = msgspec.json.encode(state)
        self.written.append(state)
        self.life.act()

    def remember(self, state: State) -> None:
        self.past = [*(one for one in self.past if one.run != state.run), state]

    def load(self) -> State:
        return msgspec.json.decode(self.saved, type=State)


@dataclass
class FakeMachine:
    """One node as its hands change it. Every hand may be killed before and after its work, and repeats it whole.

    ``fails``: steps that fail; ``heals``: an activation that fails goes back by itself, as activate.sh does.
    """

    life: Life
    paired: bool = True
    running: str = OLD
    switching: bool = False
    table: str = "old"
    model: str = "old"
    leads: bool | None = False
    peer_version: str = OLD
    peer_at_work: bool = False
    in_step: bool = True
    in_window: bool = False
    fails: frozenset[Step] = frozenset()
    heals: bool = True
    done: list[Step] = field(default_factory=list)
    served_while_switched: bool = False

    def look(self, state: State) -> Seen:
        leader = self.leads is not None
        return Seen(
            self.running, self.switching, self.paired, self.leads, leader=leader, in_step=self.in_step,
            peer_version=self.peer_version, peer_at_work=self.peer_at_work, in_window=self.in_window,
        )  # fmt: skip

    def _work(self, step: Step) -> None:
        self.life.act()
        if step in self.fails:
            raise FAILED(step=step, reason="the test wants it")
        self.done.append(step)

    def place(self, state: State) -> None:
        self.table = "new"
        self._work(Step.PLACE)
        self.life.act()

    def switch(self, state: State) -> None:
        self.served_while_switched |= self.paired and bool(self.leads)
        self.switching = True
        self.life.act()
        self.running = state.version
        if Step.SWITCH in self.fails and self.heals:
            self.running = state.before
        self.switching = Step.SWITCH in self.fails and not self.heals
        self._work(Step.SWITCH)
        self.life.act()

    def prove(self, state: State) -> None:
        assert self.running == state.version
        self._work(Step.PROVE)
        self.life.act()

    def models(self, state: State) -> None:
        self.model = "new"
        self._work(Step.MODELS)
        self.life.act()

    def lead(self, state: State) -> None:
        self._work(Step.LEAD)
        self.leads = True
        self.life.act()

    def yield_lead(self, state: State) -> None:
        self._work(Step.YIELD)
        self.leads = False
        self.life.act()

    def put_back(self, state: State) -> None:
        self.table = self.model = "old"
        self._work(Step.PUT_BACK)
        self.life.act()

    def back(self, state: State) -> None:
        self.switching = True
        self.life.act()
        self.running, self.switching = state.before, False
        self._work(Step.BACK)
        self.life.act()
