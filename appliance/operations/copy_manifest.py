"""What the copy of the record consists of, file by file, so that a proof can say *which* one is missing or has changed.

The copy is Litestream's files, the blobs that the record names, and the keys without which both are noise. Every proof that
succeeds writes down the name, size and SHA-256 of each; the next one compares. A Litestream file may go once a larger
step covers it and its time is over; nothing else may. All functions block.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.ltx import SNAPSHOT_LEVEL, LtxFile, listing, reach
from appliance.operations.orphans import named_blobs
from appliance.plugin_api.errors import ErrorKind, ProntuarioError, define
from appliance.plugin_api.storage import Query
from appliance.security.files import write_file
from appliance.store.blobs import is_whole, place_of
from appliance.store.litestream_config import KEEP_HOURS
from appliance.store.spool import KEEP_S
from appliance.telemetry.logs import get_logger

log = get_logger("backup")
FORMAT: Final = "prontuario/copy-manifest/1"
NAME: Final = "copy-manifest.json"
SEAL: Final = "copy-manifest.sha256"
KEYS: Final = (
    "master.json", "root.key", "root.pem", "device-ca.key", "device-ca.pem", "node-ca.key", "node-ca.pem", "audit.key",
)  # fmt: skip
"""In the secrets folder, if there: without them a restored record can't be opened, or nobody trusts who serves it."""
REWRAPPED: Final = "master.json"
"""May be written anew by a person (another passphrase, recovery shares); a core that starts with it has opened it."""
_LOOKS: Final = 3
_LOOK_S: Final = 0.1
_PIECE: Final = 1 << 20
_EARLY: Final = 0.95
"""Of its time: what goes a little before its end, by another reckoning of the clock, is no fault."""

FILE_MISSING = define(
    "backup.file_missing",
    500,
    pt=("Na cópia falta o arquivo {file}{more_pt}.", "Não apague nada e siga docs/runbooks/copy-failed.md."),
    en=("The copy lacks the file {file}{more}.", "Erase nothing and follow docs/runbooks/copy-failed.md."),
)
FILE_CHANGED = define(
    "backup.file_changed",
    500,
    pt=("Na cópia o arquivo {file} mudou{more_pt}.", "Não apague nada e siga docs/runbooks/copy-failed.md."),
    en=("In the copy the file {file} has changed{more}.", "Erase nothing and follow docs/runbooks/copy-failed.md."),
)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One file: bytes, SHA-256 in hex, when it was written (seconds since 1970)."""

    size: int
    sha256: str
    written_s: float


class Manifest(msgspec.Struct, frozen=True):
    """Files by their path below the home's ``data`` (keys: ``secrets/…``).

    ``folder``: the inode of the folder with Litestream's files; another one is another copy, which began anew.
    """

    format: str
    folder: int
    files: dict[str, Entry]


class CopyGuard:
    """One for each node. Made at its start: what core has just opened its keys with is what must be there from now on."""

    def __init__(self, data: Path, secrets: Path, blobs: Path) -> None:
        """Blocks a little: reads the keys."""
        self._data, self._secrets, self._blobs = data, secrets, blobs
        self._opened = {f"secrets/{name}": entry for name in KEYS if (entry := _entry(secrets / name)) is not None}
        self._seen: dict[str, Entry] = {}
        self._folder = 0

    def look(self, spool: Path, txid: int | None, now_s: float) -> ProntuarioError | None:
        """Compare keys and Litestream's files with the last proof; None or what is wrong with the manifest itself.

        ``txid``: up to which the copy must reach, if known. ``now_s``: seconds since 1970.

        Raises:
            ProntuarioError: ``backup.file_missing|file_changed`` with the file's name.
        """
        known, wrong = self._known(spool)
        self._compare_keys(known)
        files = _steady(spool)
        prefix = f"{spool.relative_to(self._data)}/"
        hole = _hole(files, txid)
        if hole is not None:
            raise missing(f"{prefix}ltx/{hole.key}")
        self._seen = {
            f"{prefix}ltx/{file.key}": entry for file in files if (entry := _entry(file.path(spool))) is not None
        }
        for name, entry in sorted(known.items()):
            if name.startswith(prefix):
                self._compare_step(name, entry, files, now_s)
        return wrong

    def look_received(self, replica: Path, txid: int) -> ProntuarioError | None:
        """As ``look``, of what a standby received: it may drop any step that a larger one covers, and skip them at once.

        Raises:
            ProntuarioError: ``backup.file_missing|file_changed`` with the file's name.
        """
        known, wrong = self._known(replica)
        self._compare_keys(known)
        files = listing(replica)
        prefix = f"{replica.relative_to(self._data)}/"
        end = reach(files)
        if end < txid:
            raise missing(f"{prefix}ltx/{LtxFile(end + 1, end + 1, 0).key}")
        self._seen = {
            f"{prefix}ltx/{file.key}": entry for file in files if (entry := _entry(file.path(replica))) is not None
        }
        for name, found in sorted(self._seen.items()):
            if known.get(name, found).sha256 != found.sha256:
                raise changed(name)
        return wrong

    def reading(self, read: Callable[[Query], str]) -> Callable[[Query], str]:
        """``read``, once every blob that the restored record names was read."""

        def both(query: Query) -> str:
            self.read_blobs(query)
            return read(query)

        return both

    def read_blobs(self, query: Query) -> None:
        """Every blob that the restored record names is there, and whole.

        Raises:
            ProntuarioError: ``backup.file_missing|file_changed`` with the first one's name and how many there are.
        """
        lost, changed = [], []
        for address in sorted(named_blobs(query)):
            place = place_of(self._blobs, address)
            if not place.exists() and not place_of(self._blobs / "aside", address).exists():
                lost.append(place)
            elif place.exists() and not is_whole(self._blobs, address):
                changed.append(place)
        for found, kind in ((lost, FILE_MISSING), (changed, FILE_CHANGED)):
            if found:
                raise _told(kind, str(found[0].relative_to(self._data)), len(found) - 1)

    def note(self) -> None:
        """The proof succeeded: what was seen is what the next one expects. A full disk is told by others."""
        content = msgspec.json.encode(Manifest(FORMAT, self._folder, {**self._opened, **self._seen}))
        try:
            write_file(self._data / NAME, content)
            write_file(self._data / SEAL, hashlib.sha256(content).hexdigest().encode())
        except OSError as error:
            log.warning("the copy's manifest could not be written", error=type(error).__name__)

    # -- the parts ------------------------------------------------------------------------------------------------------
    def _known(self, spool: Path) -> tuple[Mapping[str, Entry], ProntuarioError | None]:
        """What the last proof saw, and what is wrong with where that is written; nothing before the first proof.

        Of a copy that began anew since, only the keys are known.
        """
        self._folder = spool.stat().st_ino if spool.exists() else 0
        content, seal = _read(self._data / NAME), _read(self._data / SEAL)
        if content is None and seal is None:
            return {}, None
        if content is None or seal is None:
            return {}, missing(NAME if content is None else SEAL)
        if hashlib.sha256(content).hexdigest().encode() != seal:
            return {}, changed(NAME)
        try:
            manifest = msgspec.json.decode(content, type=Manifest)
        except msgspec.MsgspecError:
            return {}, changed(NAME)
        same = manifest.folder == self._folder
        return {name: entry for name, entry in manifest.files.items() if same or name.startswith("secrets/")}, None

    def _compare_keys(self, known: Mapping[str, Entry]) -> None:
        wanted = {name: entry for name, entry in known.items() if name.startswith("secrets/")}
        wanted.pop(f"secrets/{REWRAPPED}", None)
        for name, entry in sorted({**wanted, **self._opened}.items()):
            found = _entry(self._secrets / name.removeprefix("secrets/"))
            if found is None:
                raise missing(name)
            if found.sha256 != entry.sha256 or wanted.get(name, entry).sha256 != entry.sha256:
                raise changed(name)

    def _compare_step(self, name: str, entry: Entry, files: list[LtxFile], now_s: float) -> None:
        level, _, file_name = name.rpartition("/ltx/")[2].partition("/")
        found = self._seen.get(name)
        if found is not None and (found.size, found.sha256) != (entry.size, entry.sha256):
            raise changed(name)
        if found is None and not _may_go(int(level), file_name, entry, files, now_s):
            raise missing(name)


async def reached(spool: Path, txid: int, limit_s: float) -> bool:
    """Wait until the copy goes up to ``txid``: of a pair Litestream's last step is on the other Mac before it is in here."""
    ends = time.monotonic() + limit_s
    while await asyncio.to_thread(lambda: reach(listing(spool))) < txid:
        if time.monotonic() >= ends:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def missing(file: str) -> ProntuarioError:
    """``backup.file_missing`` of one file."""
    return _told(FILE_MISSING, file, 0)


def changed(file: str) -> ProntuarioError:
    """``backup.file_changed`` of one file."""
    return _told(FILE_CHANGED, file, 0)


def _told(kind: ErrorKind, file: str, others: int) -> ProntuarioError:
    log.error("a file of the copy is missing or has changed", code=kind.code, path=file, count=others + 1)
    return kind(
        file=file, more_pt=f" (e mais {others})" if others else "", more=f" (and {others} more)" if others else ""
    )


def _hole(files: list[LtxFile], txid: int | None) -> LtxFile | None:
    """The first step that is missing: between two of its level, or before ``txid``. Litestream drops oldest ones first."""
    for level in range(SNAPSHOT_LEVEL):
        before: LtxFile | None = None
        for file in sorted(one for one in files if one.level == level):
            if before is not None and file.first > before.last + 1:
                return LtxFile(before.last + 1, file.first - 1, level)
            before = file
    end = reach(files)
    wanted = max((file.last for file in files), default=0) if txid is None else txid
    return LtxFile(end + 1, end + 1, 0) if end < wanted else None


def _may_go(level: int, file_name: str, entry: Entry, files: list[LtxFile], now_s: float) -> bool:
    """Whether a step that was there may be gone by now: a larger one covers it, and its time is over."""
    first, _, last = file_name.removesuffix(".ltx").partition("-")
    begin, end = int(first, 16), int(last, 16)
    upwards = (
        SNAPSHOT_LEVEL if level <= max(KEEP_S) else SNAPSHOT_LEVEL + 1
    )  # a whole image stands for old large steps only
    covered = any(level < one.level < upwards and one.first <= begin and end <= one.last for one in files)
    kept_s = KEEP_S.get(level, 0.0 if level == 0 else KEEP_HOURS * 3600.0)
    old = now_s - entry.written_s > kept_s * _EARLY
    return old and (covered or level == SNAPSHOT_LEVEL)


def _steady(spool: Path) -> list[LtxFile]:
    """A listing in which nothing seems to be missing, if there is one: Litestream may drop files while we list them."""
    files = listing(spool)
    for _ in range(_LOOKS):
        if _hole(files, None) is None:
            break
        files = listing(spool)
    return files


def _entry(path: Path) -> Entry | None:
    """None: there is no such file (any more)."""
    try:
        facts = path.stat()
        digest = hashlib.sha256()
        for piece in _pieces(path):
            digest.update(piece)
    except FileNotFoundError:
        return None
    return Entry(facts.st_size, digest.hexdigest(), facts.st_mtime)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


__all__ = ["FILE_CHANGED", "FILE_MISSING", "CopyGuard", "changed", "missing", "reached"]
