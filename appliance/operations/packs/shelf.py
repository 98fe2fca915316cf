"""The packs of a node: ``models/<capability>/<name>-<version>/``, and the link ``active`` that says which one serves.

Hidden files beside them are this node's own and never travel to the peer: what is being taken in, and ``.packs.json`` with
the highest version ever accepted of each name and the pack that served before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.operations.packs import manifest as manifests
from appliance.operations.packs.contents import check_file, check_whole
from appliance.operations.packs.errors import ALTERED, BY_HAND, IN_USE, OLDER, TRUNCATED, UNKNOWN, UNLISTED
from appliance.operations.packs.manifest import PackFile, PackManifest
from appliance.operations.packs.signing import trusted_keys, verify
from appliance.operations.packs.survey import survey
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import exclusive, make_private_folder, write_file
from appliance.store import durable

ACTIVE: Final = "active"
INCOMING: Final = ".incoming-"
_STAGING: Final = ".staging-"
_REMOVED: Final = ".removed-"
_MEMORY: Final = ".packs.json"
_BLOCK_BYTES: Final = 1 << 20

OnBytes = Callable[[int], None]
"""Told how many more bytes are done."""


class Memory(msgspec.Struct):
    """``newest``: the highest version accepted of each name; ``previous``: the pack that was active before."""

    newest: dict[str, int] = {}
    previous: str = ""


class PackRow(msgspec.Struct, frozen=True, kw_only=True):
    """A pack as people see it; ``trouble`` is the code of what is wrong with its manifest, empty if nothing is."""

    pack: str
    capability: str
    version: int = 0
    active: bool
    bytes: int = 0
    footprint_bytes: int = 0
    licence: str = ""
    intended_use: str = ""
    trouble: str = ""


class Shelf:
    """``models``: where packs lie; ``keys``: the public keys that this hospital trusts. Everything here blocks."""

    def __init__(self, models: Path, keys: Path) -> None:
        self.models = models
        self._keys = keys

    def trusted(self) -> Sequence[Ed25519PublicKey]:
        """The makers' keys, read anew. Raises ``pack.key`` (422)."""
        return trusted_keys(self._keys)

    @contextmanager
    def alone(self, folder: Path | None = None) -> Iterator[None]:
        """One change at a time below ``folder`` (default: all models), whichever process makes it."""
        make_private_folder(folder or self.models)
        with exclusive(folder or self.models):
            yield

    # -- looking ----------------------------------------------------------------------------------------------------------
    def folders(self) -> list[Path]:
        """Every installed pack's folder."""
        return sorted(
            folder
            for folder in self.models.glob("[!.]*/[!.]*")
            if folder.is_dir() and not folder.is_symlink() and folder.name != ACTIVE
        )

    def find(self, pack: str) -> Path:
        """The folder of ``<name>-<version>``. Raises ``pack.unknown`` (404)."""
        found = [folder for folder in self.folders() if folder.name == pack]
        if not found:
            raise UNKNOWN(pack=pack)
        return found[0]

    def rows(self) -> list[PackRow]:
        """Every pack; a manifest that is not to be believed shows as trouble. The files are not read: see ``verify``."""
        return [self._row(folder) for folder in self.folders()]

    def _row(self, folder: Path) -> PackRow:
        active = self.active(folder.parent.name) == folder.name
        try:
            known = self.manifest(folder)
        except ProntuarioError as error:
            return PackRow(pack=folder.name, capability=folder.parent.name, active=active, trouble=error.kind.code)
        return PackRow(
            pack=known.pack, capability=known.capability, version=known.version, active=active, bytes=known.size,
            footprint_bytes=known.footprint_bytes, licence=known.licence, intended_use=known.intended_use,
        )  # fmt: skip

    def manifest(self, folder: Path) -> PackManifest:
        """An installed pack's manifest, its signature checked, in the place that it names.

        Raises:
            ProntuarioError: ``pack.unsigned``, ``pack.untrusted``, ``pack.manifest``, ``pack.path`` (422).
        """
        known = verify(*manifests.read_raw(folder), self.trusted())
        if (folder.parent.name, folder.name) != (known.capability, known.pack):
            raise ALTERED(file=manifests.MANIFEST_NAME)  # a manifest that was signed for another pack
        return known

    def verify(self, pack: str, on_bytes: OnBytes = lambda _: None) -> PackManifest:
        """Read every byte of an installed pack: signature, hashes, formats, and nothing added.

        Raises:
            ProntuarioError: ``pack.unknown`` (404), or why it must not be used (422).
        """
        folder = self.find(pack)
        known = self.manifest(folder)
        check_listing(folder, known)
        for file in known.files:
            check_hash(folder / file.path, file, on_bytes)
            check_file(folder / file.path, file.path)
        check_whole(folder, known)
        return known

    def active(self, capability: str) -> str:
        """The pack that serves ``capability``; empty: none, or a folder that was put there by hand."""
        link = self.models / capability / ACTIVE
        return link.readlink().name if link.is_symlink() else ""

    def memory(self, capability: str) -> Memory:
        """What was kept of the past; empty if the file is lost."""
        try:
            return msgspec.json.decode((self.models / capability / _MEMORY).read_bytes(), type=Memory)
        except (OSError, msgspec.MsgspecError):
            return Memory()

    # -- changing ---------------------------------------------------------------------------------------------------------
    def refuse_older(self, wanted: PackManifest) -> None:
        """Raises ``pack.older`` (409) unless ``wanted`` is newer than all that was ever accepted of its name, or mends it."""
        installed = [row.version for row in self.rows() if row.pack == f"{wanted.name}-{row.version}"]
        newest = max([*installed, self.memory(wanted.capability).newest.get(wanted.name, 0)])
        if wanted.version < newest or (wanted.version == newest and not self._mends(wanted)):
            raise OLDER(name=wanted.name, version=wanted.version, newest=newest)

    def _mends(self, wanted: PackManifest) -> bool:
        """Whether ``wanted`` is what is installed, and that is no longer as it was signed: a disk forgets bits."""
        folder = self.models / wanted.capability / wanted.pack
        if not folder.is_dir():
            return self.active(wanted.capability) == wanted.pack  # killed while it was being replaced
        try:
            known = self.manifest(folder)
        except (ProntuarioError, OSError):
            return True
        try:
            self.verify(wanted.pack)
        except (ProntuarioError, OSError):
            return known == wanted
        return False

    def accept(self, manifest: PackManifest, incoming: Path) -> Path:
        """Everything in ``incoming`` is checked and durable: give it its place. Raises ``OSError``."""
        place = self.models / manifest.capability / manifest.pack
        doomed = place.with_name(f"{_REMOVED}{secrets.token_hex(4)}")
        with self.alone():
            if place.is_dir():  # it is being mended
                place.rename(doomed)
            incoming.rename(place)
            durable.sync_folder(place.parent)
            try:
                # After its name: a version that was noted and is not there could never be taken in again.
                self._note_newest(manifest.capability, manifest.name, manifest.version)
            except OSError:
                place.rename(incoming)
                if doomed.is_dir():
                    doomed.rename(place)
                raise
        shutil.rmtree(doomed, ignore_errors=True)
        return place

    def point(self, capability: str, pack: str) -> str:
        """Make ``pack`` the active one, durably and all at once; the one before it. ``""``: none any more.

        Raises:
            ProntuarioError: ``pack.by_hand`` (409), ``pack.unknown`` (404); OSError: nothing has changed.
        """
        self.refuse_by_hand(capability)
        folder = self.models / capability
        with self.alone():
            before = self.active(capability)
            if pack:
                self.find(pack)
            if before != pack:
                # Before the link: a full disk then changes nothing, and after a power cut the next attempt puts it right.
                memory = self.memory(capability)
                memory.previous = before
                self._remember(capability, memory)
            if pack:
                fresh = folder / f".{ACTIVE}-{secrets.token_hex(4)}"
                fresh.symlink_to(pack, target_is_directory=True)
                fresh.replace(folder / ACTIVE)
            else:
                (folder / ACTIVE).unlink(missing_ok=True)
            durable.sync_folder(folder)
        return before

    def refuse_by_hand(self, capability: str) -> None:
        """Raises ``pack.by_hand`` (409) where ``active`` is no link of ours."""
        link = self.models / capability / ACTIVE
        if link.exists() and not link.is_symlink():
            raise BY_HAND(capability=capability)

    def remove(self, pack: str) -> int:
        """Delete a pack that does not serve; how many bytes that freed.

        Raises:
            ProntuarioError: ``pack.unknown`` (404), ``pack.in_use`` (409).
        """
        with self.alone():
            folder = self.find(pack)
            if self.active(folder.parent.name) == pack:
                raise IN_USE(pack=pack)
            with suppress(OSError):  # a full disk must not keep anybody from making room
                self._note_newest(folder.parent.name, pack.rpartition("-")[0], self._row(folder).version)
            freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
            doomed = folder.with_name(f"{_REMOVED}{secrets.token_hex(4)}")
            folder.rename(doomed)  # half a pack is never seen under its name
        shutil.rmtree(doomed)
        return freed

    def tidy(self) -> None:
        """Clear away what a killed process left of a change; a broken-off import stays, to be resumed."""
        for left in (
            *self.models.glob(f"{_STAGING}*"), *self.models.glob(f"*/.{ACTIVE}-*"), *self.models.glob(f"*/{_REMOVED}*"),
        ):  # fmt: skip
            if left.is_symlink():
                left.unlink(missing_ok=True)
            else:
                shutil.rmtree(left, ignore_errors=True)

    def _note_newest(self, capability: str, name: str, version: int) -> None:
        memory = self.memory(capability)
        if memory.newest.get(name, 0) < version:
            memory.newest[name] = version
            self._remember(capability, memory)

    def _remember(self, capability: str, memory: Memory) -> None:
        write_file(self.models / capability / _MEMORY, msgspec.json.encode(memory))

    @contextmanager
    def as_if_active(self, capability: str, folder: Path) -> Iterator[Path]:
        """A models folder as it would be with ``folder`` active; it is gone afterwards, so resolve what you take from it."""
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=self.models) as scratch:
            staged = Path(scratch)
            for link in self.models.glob(f"[!.]*/{ACTIVE}"):
                _link(staged / link.parent.name, link.resolve())
            _link(staged / capability, folder.resolve())
            yield staged


def _link(capability: Path, target: Path) -> None:
    capability.mkdir(exist_ok=True)
    link = capability / ACTIVE
    link.unlink(missing_ok=True)
    link.symlink_to(target, target_is_directory=True)


def check_listing(folder: Path, manifest: PackManifest) -> None:
    """The folder holds exactly the files of the manifest.

    Raises:
        ProntuarioError: ``pack.path``, ``pack.pickle``, ``pack.unlisted``, ``pack.truncated`` (422).
    """
    check_sizes({relative: path.stat().st_size for relative, path in survey(folder).items()}, manifest)


def check_sizes(present: Mapping[str, int], manifest: PackManifest) -> None:
    """Exactly the files of the manifest are ``present``, each of its size in bytes.

    Raises:
        ProntuarioError: ``pack.unlisted``, ``pack.truncated``, ``pack.altered`` (422).
    """
    listed = {file.path: file for file in manifest.files}
    for relative in present:
        if relative not in listed:
            raise UNLISTED(file=relative)
    for relative, file in listed.items():
        if present.get(relative, -1) < file.size:
            raise TRUNCATED(file=relative)
        if present[relative] > file.size:
            raise ALTERED(file=relative)


def check_hash(path: Path, file: PackFile, on_bytes: OnBytes) -> None:
    """Raises ``pack.altered`` (422)."""
    found = hashlib.sha256()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as opened:
        while block := opened.read(_BLOCK_BYTES):
            found.update(block)
            on_bytes(len(block))
    if found.hexdigest() != file.sha256:
        raise ALTERED(file=file.path)
