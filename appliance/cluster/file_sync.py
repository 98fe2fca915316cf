"""Model packs and shared configuration on both nodes: only what differs travels, and it takes its place all at once, checked.

Nothing is deleted at the peer: a pack that the primary dropped may still be loaded there.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from appliance.cluster.assembly import Assembled, Assembler
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import (
    PART_BYTES,
    CommitFiles,
    Done,
    FileEntry,
    HaveFiles,
    Missing,
    PutFile,
    Question,
)
from appliance.cluster.peer_server import Handler
from appliance.cluster.replication_errors import BAD_PART, EPOCH_AHEAD, STALE_EPOCH
from appliance.store import durable
from appliance.store.errors import FULL
from appliance.store.threads import opened, to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("peer")
_PART_S: Final = 10.0
_WHOLE_S: Final = 600.0
_INCOMING: Final = ".from-peer"
_SETTLED_NS: Final = 2_000_000_000
"""A file written this recently may be written again within the clock tick of its times."""
SPARE_BYTES: Final = 256 << 20
"""Must stay free on the receiver's disk."""
FreeBytes = Callable[[Path], int]
Choose = Callable[[Sequence[FileEntry]], tuple[FileEntry, ...]]
"""Which of the files may go to the peer."""


class Digests:
    """SHA-256 of files, read again only when inode, size or one of the times has changed: packs have tens of gigabytes.

    ``ctime`` can't be set back, so a file that was written to is always read anew. Safe to use from threads.
    """

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}

    def of(self, path: Path) -> str:
        """In lower-case hex. Blocks. Raises ``OSError``."""
        with path.open("rb") as file:
            before = _stamp(file.fileno())
            known = self._known.get(path)
            if known is not None and known[0] == before:
                return known[1]
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if _stamp(file.fileno()) == before and before[-1] < time.time_ns() - _SETTLED_NS:
                self._known[path] = before, digest
        return digest


def _stamp(descriptor: int) -> tuple[int, ...]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def entries_of(folder: Path, digests: Digests | None = None) -> tuple[FileEntry, ...]:
    """Every file below ``folder`` with its checksum; hidden files and links are left out. Blocks: reads what is new."""
    digests = digests or Digests()
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in relative.parts):
            found.append(FileEntry(relative.as_posix(), path.stat().st_size, digests.of(path)))
    return tuple(found)


async def send_folder(
    link: PeerLink, epoch: int, root: str, folder: Path, digests: Digests | None = None, *, choose: Choose = tuple
) -> int:
    """Make the peer's ``root`` hold every file of ``folder`` that ``choose`` leaves; how many had to travel.

    ``digests``: keep it between calls. ``choose`` may block.

    Raises:
        ProntuarioError: the peer is away, is in another epoch, or got something wrong; its files are as before.
    """
    entries = await asyncio.to_thread(lambda: choose(entries_of(folder, digests)))
    missing = set((await link.ask(HaveFiles(root, entries), Missing, deadline_s=_WHOLE_S)).names)
    for entry in entries:
        if entry.path in missing:
            await _send(link, epoch, root, entry, folder / entry.path)
    if missing:
        wanted = tuple(entry for entry in entries if entry.path in missing)
        await link.ask(CommitFiles(epoch, root, wanted), Done, deadline_s=_WHOLE_S)
        log.info("files were copied to the peer", count=len(missing), kind=root)
    return len(missing)


async def _send(link: PeerLink, epoch: int, root: str, entry: FileEntry, path: Path) -> None:
    with await opened(path.open, "rb") as file:
        for offset in range(0, max(entry.size, 1), PART_BYTES):
            body = await asyncio.to_thread(file.read, PART_BYTES)
            last = offset + len(body) >= entry.size
            put = PutFile(epoch, root, entry, offset, body)
            await link.ask(put, Done, deadline_s=_WHOLE_S if last else _PART_S)


def free_bytes(folder: Path) -> int:
    """How much the disk of ``folder`` still takes."""
    return shutil.disk_usage(folder).free


class FileReceiver:
    """Takes files for the given ``roots`` (name → folder), and no path that leads out of them."""

    def __init__(self, roots: Mapping[str, Path], fence: Callable[[], int], *, free: FreeBytes = free_bytes) -> None:
        self._roots = dict(roots)
        self._fence = fence
        self._free = free
        self._turn = asyncio.Lock()
        self._digests = Digests()
        self._assemblers = {name: Assembler(folder / _INCOMING) for name, folder in roots.items()}
        self._ready: dict[tuple[str, FileEntry], Assembled] = {}

    def handlers(self) -> dict[type[Question], Handler]:
        """What it answers on the peer link."""
        return {HaveFiles: self._on_have, PutFile: self._on_put, CommitFiles: self._on_commit}

    async def _on_have(self, have: HaveFiles) -> Missing:
        async with self._turn:
            await self._forget_broken_off(have.root)
            return Missing(await asyncio.to_thread(self._missing, have.root, have.entries))

    async def _on_put(self, put: PutFile) -> Done:
        self._admit(put.epoch, put.root, [put.entry])
        key = f"{put.root}/{put.entry.path}"
        whole = await self._assemblers[put.root].take(key, put.offset, put.entry.size, put.body)
        if whole is not None:
            if whole.sha256 != put.entry.sha256:
                whole.path.unlink()
                raise BAD_PART(name=put.entry.path)
            if before := self._ready.pop((put.root, put.entry), None):
                before.path.unlink(missing_ok=True)
            self._ready[put.root, put.entry] = whole
        return Done()

    async def _on_commit(self, commit: CommitFiles) -> Done:
        self._admit(commit.epoch, commit.root, commit.entries)
        async with self._turn:
            lacking = [entry.path for entry in commit.entries if (commit.root, entry) not in self._ready]
            if lacking:
                raise BAD_PART(name=lacking[0])
            await to_the_end(self._put_into_place, commit)
        return Done()

    def _admit(self, epoch: int, root: str, entries: Sequence[FileEntry]) -> None:
        fence = self._fence()
        if epoch != fence:
            raise (STALE_EPOCH if epoch < fence else EPOCH_AHEAD)(epoch=epoch, fence=fence)
        self._refuse_ways_out(root, entries)

    def _refuse_ways_out(self, root: str, entries: Sequence[FileEntry]) -> None:
        """No path leads out of its root, by its name or through a link: ``active`` here may point at a signed pack."""
        if root not in self._roots or not all(_stays_inside(entry.path) for entry in entries):
            raise BAD_PART(name=root)
        for entry in entries:
            if _through_link(self._roots[root], entry.path):
                raise BAD_PART(name=entry.path)

    def _missing(self, root: str, entries: Sequence[FileEntry]) -> tuple[str, ...]:
        self._refuse_ways_out(root, entries)
        missing = [entry for entry in entries if not self._is_same(self._roots[root] / entry.path, entry)]
        self._check_room(root, missing)
        return tuple(entry.path for entry in missing)

    def _check_room(self, root: str, missing: Sequence[FileEntry]) -> None:
        """The record shares the disk: models that do not fit beside it are not begun. Raises ``store.full`` (507)."""
        if missing and sum(entry.size for entry in missing) + SPARE_BYTES > self._free(self._roots[root]):
            raise FULL()

    async def _forget_broken_off(self, root: str) -> None:
        """What an attempt left that never came to its end: all of it comes again."""
        for key in [key for key in self._ready if key[0] == root]:
            await to_the_end(self._ready.pop(key).path.unlink, missing_ok=True)

    def _is_same(self, path: Path, entry: FileEntry) -> bool:
        try:
            return path.stat().st_size == entry.size and self._digests.of(path) == entry.sha256
        except FileNotFoundError:
            return False

    def _put_into_place(self, commit: CommitFiles) -> None:
        folder, touched = self._roots[commit.root], set()
        try:
            for entry in commit.entries:
                target = folder / entry.path
                durable.make_folder(target.parent)
                self._ready.pop((commit.root, entry)).path.rename(target)
                touched.add(target.parent)
            for each in touched:
                durable.sync_folder(each)
        except OSError as error:
            raise durable.as_failure(error) from error


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and not any(part.startswith(".") for part in parts)


def _through_link(root: Path, path: str) -> bool:
    way = root
    for part in PurePosixPath(path).parts:
        way /= part
        if way.is_symlink():
            return True
    return False
