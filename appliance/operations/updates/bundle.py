"""Reading a bundle from a stick: look at what it says, prove every byte, and copy it to this machine's own disk.

Only the files that the manifest lists are touched, so what a Mac or a camera leaves on a stick does not matter. What is
installed later is the copy, which only root can change, never the stick.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from appliance.operations.updates import manifest as manifests
from appliance.operations.updates.errors import ALTERED, NO_ROOM, TRUNCATED
from appliance.operations.updates.manifest import MANIFEST_NAME, SIGNATURE_NAME, UpdateFile, UpdateManifest
from appliance.operations.updates.signing import verify
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import write_file
from appliance.store import durable

OnBytes = Callable[[int], None]
"""Told how many more bytes are done."""
Keys = Sequence[Ed25519PublicKey]
_BLOCK_BYTES: Final = 1 << 20
_READABLE_FILE: Final = 0o644
_READABLE_FOLDER: Final = 0o755
_INCOMING: Final = ".incoming-"
_MIB: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def look(folder: Path, trusted: Keys) -> UpdateManifest:
    """What ``folder`` says of itself, once its signature is checked; no part was read yet.

    Raises:
        ProntuarioError: ``update.unsigned``, ``update.untrusted``, ``update.manifest``, ``pack.path`` (422).
    """
    return verify(*manifests.read_raw(folder), trusted)


def prove(folder: Path, trusted: Keys, on_bytes: OnBytes = lambda _: None) -> UpdateManifest:
    """Read every byte of every part and compare it with what was signed.

    Raises:
        ProntuarioError: as ``look``, and ``update.altered``, ``update.truncated`` (422).
    """
    manifest = look(folder, trusted)
    for file in manifest.files():
        _read(folder, file, on_bytes, None)
    return manifest


def stage(folder: Path, target: Path, trusted: Keys, on_bytes: OnBytes = lambda _: None) -> Path:
    """Copy the bundle below ``target``, hashing what is copied; its folder there. What is refused leaves nothing behind.

    A copy that lies there already serves if every byte of it does; one that is damaged or half deleted is made anew.

    Raises:
        ProntuarioError: as ``prove``; ``update.no_room`` (507), ``store.failed`` (503).
    """
    raw, signature = manifests.read_raw(folder)
    manifest = verify(raw, signature, trusted)
    place = target / manifests.digest(raw)
    incoming = target / f"{_INCOMING}{place.name}"
    if (place / MANIFEST_NAME).is_file() and _serves(place, trusted, on_bytes):
        return place
    _clear(target)
    try:
        _make_folder(incoming)
        for file in manifest.files():
            _make_folder((incoming / file.path).parent)
            with (incoming / file.path).open("wb") as copy:
                _read(folder, file, on_bytes, copy)
                copy.flush()
                durable.sync(copy.fileno())
            (incoming / file.path).chmod(_READABLE_FILE)
        for name, content in ((SIGNATURE_NAME, signature), (MANIFEST_NAME, raw)):
            write_file(incoming / name, content, _READABLE_FILE)
            (incoming / name).chmod(_READABLE_FILE)
        _sync_folders(incoming)
        incoming.rename(place)
        durable.sync_folder(target)
    except ProntuarioError:
        shutil.rmtree(incoming, ignore_errors=True)
        raise
    except OSError as error:
        shutil.rmtree(incoming, ignore_errors=True)
        if error.errno in _FULL:
            free = shutil.disk_usage(target).free
            raise NO_ROOM(needed_mib=-(-manifest.size // _MIB), free_mib=free // _MIB) from error
        raise durable.as_failure(error) from error
    return place


def _serves(place: Path, trusted: Keys, on_bytes: OnBytes) -> bool:
    try:
        prove(place, trusted, on_bytes)
    except ProntuarioError:
        return False
    return True


def _clear(target: Path) -> None:
    """Away with what earlier, finished or cut-off stagings left: one update at a time lies here."""
    _make_folder(target)
    for left in target.iterdir():
        shutil.rmtree(left)


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=_READABLE_FOLDER)
    folder.chmod(_READABLE_FOLDER)


def _read(folder: Path, file: UpdateFile, on_bytes: OnBytes, copy: BinaryIO | None) -> None:
    """Read ``file`` once, into ``copy`` if there is one, and compare."""
    found, done = hashlib.sha256(), 0
    with os.fdopen(_opened(folder, file), "rb") as original:
        while done <= file.size and (block := _block(original, file)):
            found.update(block)
            done += len(block)
            if copy is not None:
                copy.write(block)
            on_bytes(len(block))
    if done < file.size:
        raise TRUNCATED(file=file.path)
    if done > file.size or found.hexdigest() != file.sha256:
        raise ALTERED(file=file.path)


def _opened(folder: Path, file: UpdateFile) -> int:
    """A descriptor of a plain file; what is none (a link, a folder, a pipe on which one would wait for ever) counts as missing."""
    try:
        descriptor = os.open(folder / file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise TRUNCATED(file=file.path) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise TRUNCATED(file=file.path)
    return descriptor


def _block(original: BinaryIO, file: UpdateFile) -> bytes:
    try:
        return original.read(_BLOCK_BYTES)
    except OSError as error:  # a stick that is failing, or was pulled out
        raise TRUNCATED(file=file.path) from error


def _sync_folders(folder: Path) -> None:
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        durable.sync_folder(each)
