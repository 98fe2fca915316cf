"""Taking a pack in: signature, names, room, then one file after another, hashed while it is copied, then its place.

What was copied before an interruption (Ctrl-C, a pulled disk, a power cut) is used by the next attempt. What is refused, or
does not fit on the disk, leaves nothing behind.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs.contents import check_file, check_whole
from appliance.operations.packs.errors import ALTERED, NO_ROOM, TRUNCATED
from appliance.operations.packs.manifest import PackFile, PackManifest
from appliance.operations.packs.shelf import INCOMING, OnBytes, Shelf, check_sizes
from appliance.operations.packs.signing import signer, verify
from appliance.operations.packs.sources import Source, opened
from appliance.plugin_api.errors import ProntuarioError
from appliance.store import durable
from appliance.telemetry.logs import get_logger

log = get_logger("packs")
SPARE_BYTES: Final = 256 << 20
"""Must stay free on the disk that the record shares."""
_BLOCK_BYTES: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, slots=True)
class Outlook:
    """How an import would stand: what comes, whose key signed it, and bytes.

    ``there_bytes`` an interrupted attempt has left; ``needed_bytes`` it still takes, with what must stay free.
    """

    manifest: PackManifest
    signed_by: str
    there_bytes: int
    needed_bytes: int
    free_bytes: int


def free_bytes(folder: Path) -> int:
    """How much the disk of ``folder`` still takes."""
    return shutil.disk_usage(folder).free


class Intake:
    """``shelf`` takes the pack; ``free`` tells the room on its disk. Everything here blocks."""

    def __init__(self, shelf: Shelf, *, free: FreeBytes = free_bytes, spare_bytes: int = SPARE_BYTES) -> None:
        self._shelf = shelf
        self._free = free
        self._spare_bytes = spare_bytes

    def look(self, source: Path) -> PackManifest:
        """What ``source`` (a folder or a ``.tar``) says of itself, once signature and names are checked; no file was read yet.

        Raises:
            ProntuarioError: ``pack.archive``, ``pack.unsigned``, ``pack.untrusted``, ``pack.manifest``, ``pack.path``,
                ``pack.pickle``, ``pack.unlisted``, ``pack.truncated``, ``pack.altered`` (422).
        """
        with opened(source) as pack:
            return self._checked(pack)[0]

    def outlook(self, source: Path) -> Outlook:
        """``look``, and how an import would stand. Raises as ``look``; OSError: ``source`` can't be read."""
        with opened(source) as pack:
            manifest, raw, signature = self._checked(pack)
        incoming = self._incoming(manifest, raw)
        there = _bytes_in(incoming)
        return Outlook(
            manifest=manifest, signed_by=signer(raw, signature, self._shelf.trusted()), there_bytes=there,
            needed_bytes=manifest.size - there + self._spare_bytes, free_bytes=self._free(self._shelf.models),
        )  # fmt: skip

    def refuse(self, outlook: Outlook) -> None:
        """Raises what would speak against importing it now: ``pack.older`` (409), ``pack.no_room`` (507)."""
        self._shelf.refuse_older(outlook.manifest)
        if outlook.needed_bytes > outlook.free_bytes:
            raise NO_ROOM(needed_bytes=outlook.needed_bytes, free_bytes=outlook.free_bytes)

    def _checked(self, pack: Source) -> tuple[PackManifest, bytes, bytes]:
        raw, signature = pack.raw()
        manifest = verify(raw, signature, self._shelf.trusted())
        check_sizes(pack.sizes(), manifest)
        return manifest, raw, signature

    def _incoming(self, manifest: PackManifest, raw: bytes) -> Path:
        """Where an attempt with this very manifest copies to."""
        return self._shelf.models / manifest.capability / f"{INCOMING}{manifests.digest(raw)[:32]}"

    def take_in(self, source: Path, on_bytes: OnBytes = lambda _: None) -> PackManifest:
        """Install ``source`` beside what is there; what serves is not touched. ``on_bytes``: for a progress bar.

        Raises:
            ProntuarioError: see ``look``; also ``pack.format`` (422), ``pack.older`` (409), ``pack.no_room`` (507),
                ``store.failed`` (503).
        """
        with opened(source) as pack:
            return self._take_in(pack, on_bytes)

    def _take_in(self, pack: Source, on_bytes: OnBytes) -> PackManifest:
        manifest, raw, signature = self._checked(pack)
        incoming = self._incoming(manifest, raw)
        with self._shelf.alone(incoming.parent):
            self._shelf.refuse_older(manifest)
            try:
                self._forget_others(incoming)
                self._copy_all(pack, incoming, manifest, on_bytes)
                for name, content in ((manifests.MANIFEST_NAME, raw), (manifests.SIGNATURE_NAME, signature)):
                    durable.write_aside(incoming / name, content)
                _sync_folders(incoming)
                self._shelf.accept(manifest, incoming)
            except ProntuarioError:
                shutil.rmtree(incoming, ignore_errors=True)
                raise
            except OSError as error:
                raise self._failure(error, incoming, manifest) from error
        log.info("a model pack was taken in", model=manifest.pack, bytes=manifest.size)
        return manifest

    def _failure(self, error: OSError, incoming: Path, manifest: PackManifest) -> ProntuarioError:
        if error.errno not in _FULL:
            return durable.as_failure(error)  # resumable: the source was pulled out, say
        shutil.rmtree(incoming, ignore_errors=True)
        return NO_ROOM(needed_bytes=manifest.size, free_bytes=self._free(self._shelf.models))

    def _forget_others(self, incoming: Path) -> None:
        """An attempt with another manifest will never be resumed once this one begins."""
        durable.make_folder(incoming.parent)
        for left in incoming.parent.glob(f"{INCOMING}*"):
            if left != incoming:
                shutil.rmtree(left, ignore_errors=True)
        durable.make_folder(incoming)

    def _copy_all(self, pack: Source, incoming: Path, manifest: PackManifest, on_bytes: OnBytes) -> None:
        needed, free = manifest.size - _bytes_in(incoming) + self._spare_bytes, self._free(incoming)
        if needed > free:
            raise NO_ROOM(needed_bytes=needed, free_bytes=free)
        for file in manifest.files:
            copy = incoming / file.path
            durable.make_folder(copy.parent)
            _copy(pack, copy, file, on_bytes)
            check_file(copy, file.path)
        check_whole(incoming, manifest)


def _copy(pack: Source, copy: Path, file: PackFile, on_bytes: OnBytes) -> None:
    """Go on where an earlier attempt stopped; if what it left is wrong, once more from the beginning."""
    resumed = copy.exists()
    if _append(pack, copy, file, on_bytes):
        return
    copy.unlink()
    if not resumed or not _append(pack, copy, file, lambda _: None):
        raise ALTERED(file=file.path)


def _append(pack: Source, copy: Path, file: PackFile, on_bytes: OnBytes) -> bool:
    """Whether the whole copy is the file that was signed."""
    found = hashlib.sha256()
    with pack.open(file.path) as original, copy.open("a+b") as target:
        target.seek(0)
        while block := target.read(_BLOCK_BYTES):
            found.update(block)
            on_bytes(len(block))
        original.seek(target.tell())
        while target.tell() < file.size:
            block = original.read(min(_BLOCK_BYTES, file.size - target.tell()))
            if not block:
                raise TRUNCATED(file=file.path)
            target.write(block)
            found.update(block)
            on_bytes(len(block))
        target.flush()
        durable.sync(target.fileno())
    return found.hexdigest() == file.sha256


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _sync_folders(folder: Path) -> None:
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        durable.sync_folder(each)
