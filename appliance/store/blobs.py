"""Content-addressed, encrypted files: audio, images, documents. Streamed in and out, never whole in memory.

A blob's address is the SHA-256 of the stored (encrypted) file, so anyone can check a copy without any key. It lies at
``<folder>/ab/cd/abcd…``; it gets there by temp file → fsync → rename → fsync of the folder, so a name is always a whole
file. Write a blob before the transaction that names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, Protocol, TypeVar

import msgspec

from appliance.store import durable, errors
from appliance.store.sealing import (
    HEADER_BYTES,
    PIECE_BYTES,
    SEALED_PIECE_BYTES,
    Damaged,
    DataKey,
    Opener,
    Sealer,
    sealed_size,
)
from appliance.store.threads import opened, to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("blobs")
__all__ = ["BlobRef", "BlobStore", "DataKey", "OtherCopy", "addresses_in", "is_whole", "place_of"]
P = ParamSpec("P")
T = TypeVar("T")
_HOP_BYTES: Final = 16 * PIECE_BYTES
"""How much is handed to a thread at a time."""
_HOP_PIECES: Final = 16
_TEMPORARY: Final = "incoming"
_ASIDE: Final = "aside"


class BlobRef(msgspec.Struct, frozen=True):
    """Names a blob: ``address`` is the SHA-256 (hex) of the stored file, ``size`` the plaintext's length in bytes."""

    address: str
    size: int
    key_id: str


class OtherCopy(Protocol):
    """Where a blob must also be before its address may be used (the peer of a pair)."""

    async def keep(self, address: str, path: Path) -> None:
        """Return once the other copy is durable, or need not be. ``path`` is the stored (encrypted) file.

        Raises:
            ProntuarioError: neither is so; the address must not be used.
        """
        ...

    async def forget(self, address: str) -> None:
        """The blob was erased here; best effort there."""
        ...


class BlobStore:
    """The blobs below ``folder``. Making it sweeps what an earlier process left unfinished; one process owns a folder.

    ``other`` may be set at any time, with the role.
    """

    def __init__(self, folder: Path, other: OtherCopy | None = None) -> None:
        self.other = other
        self.aside = folder / _ASIDE
        """Blobs that nobody names, on their way out; a read brings one back."""
        self._folder = folder
        self._kept_at: dict[str, float] = {}
        self._incoming = folder / _TEMPORARY
        durable.make_folder(self._incoming)
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    async def put(self, chunks: AsyncIterable[bytes], key: DataKey) -> BlobRef:
        """Encrypt and keep ``chunks`` (of any lengths). Durable when it returns, in the other copy too.

        On any failure here nothing is left; when only the other copy failed, a file that nobody names stays.

        Raises:
            ProntuarioError: ``store.full`` (507), ``store.failed`` (503); what the other copy raised.
        """
        incoming = _Incoming(self._incoming, key)
        try:
            await _hop(incoming.begin)
            waiting = bytearray()
            async for chunk in chunks:
                waiting += chunk
                if len(waiting) >= _HOP_BYTES:
                    await _hop(incoming.take, bytes(waiting))
                    waiting.clear()
            ref = await _hop(incoming.keep, bytes(waiting), self._path)
        finally:
            incoming.drop()
        self._kept_at[ref.address] = time.monotonic()
        if self.other is not None:
            await self.other.keep(ref.address, self._path(ref.address))
        return ref

    async def open(self, ref: BlobRef, key: DataKey) -> AsyncIterator[bytes]:
        """The plaintext in pieces, each one authenticated; the last comes only after the whole file's hash is right.

        Raises:
            ProntuarioError: ``blob.missing`` (404), ``blob.damaged`` (500; also for a wrong key).
        """
        try:
            outgoing = await self._outgoing(ref, key)
            try:
                while batch := await asyncio.to_thread(outgoing.next_batch):
                    for piece in batch:
                        yield piece
            finally:
                outgoing.close()
        except FileNotFoundError as error:
            raise errors.BLOB_MISSING(address=ref.address) from error
        except Damaged as error:
            log.error("a blob is damaged", resource_id=ref.address)  # noqa: TRY400  its trace says nothing more
            raise errors.BLOB_DAMAGED(address=ref.address) from error

    async def delete(self, ref: BlobRef) -> None:
        """Erase a blob for good; one that is gone already is fine."""
        await asyncio.to_thread(_unlink, self._path(ref.address))
        if self.other is not None:
            await self.other.forget(ref.address)

    # -- blobs that nobody names (appliance.operations.orphans) ---------------------------------------------------------
    def kept_within(self, age_s: float) -> frozenset[str]:
        """What this process kept in the last ``age_s`` seconds of its own clock: a write in flight may name it."""
        since = time.monotonic() - age_s
        self._kept_at = {address: at for address, at in self._kept_at.items() if at >= since}
        return frozenset(self._kept_at)

    async def set_aside(self, address: str) -> None:
        """Take a blob out of its place; ``bring_back`` and ``open`` undo it. One that is gone already is fine.

        Raises:
            ProntuarioError: ``store.failed``, ``store.full``.
        """
        await _hop(_move, self._path(address), place_of(self.aside, address))

    async def bring_back(self, address: str) -> None:
        """Put a blob that was set aside into its place again. Raises as ``set_aside``."""
        await _hop(_move, place_of(self.aside, address), self._path(address))

    async def delete_aside(self, address: str) -> None:
        """Erase a blob that was set aside, here and in the other copy. Raises as ``set_aside``."""
        await _hop(_unlink, place_of(self.aside, address))
        if self.other is not None:
            await self.other.forget(address)

    async def _outgoing(self, ref: BlobRef, key: DataKey) -> _Outgoing:
        path = self._path(ref.address)
        try:
            return await opened(_Outgoing, path, ref, key)
        except FileNotFoundError:
            if not place_of(self.aside, ref.address).exists():
                raise
        log.error("a blob that was set aside is asked for; it is brought back", resource_id=ref.address)
        await self.bring_back(ref.address)
        return await opened(_Outgoing, path, ref, key)

    def _path(self, address: str) -> Path:
        return place_of(self._folder, address)


async def _hop(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run one of the store's own steps on a thread; only its errors are the disk's (the sender's stay what they are)."""
    try:
        return await to_the_end(function, *args, **kwargs)
    except OSError as error:
        raise durable.as_failure(error) from error


def addresses_in(folder: Path) -> Iterator[str]:
    """Every blob below ``folder``. Blocks."""
    return (path.name for path in folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*"))


def is_whole(folder: Path, address: str) -> bool:
    """Whether the stored file is there and its hash is its name. Needs no key. Blocks."""
    try:
        with place_of(folder, address).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == address
    except FileNotFoundError:
        return False


def place_of(folder: Path, address: str) -> Path:
    """Where the blob lies below ``folder``."""
    return folder / address[:2] / address[2:4] / address


class _Incoming:
    """One blob on its way in; used from one thread at a time."""

    def __init__(self, folder: Path, key: DataKey) -> None:
        self._path = folder / os.urandom(16).hex()
        self._key_id = key.key_id
        self._sealer = Sealer(key)
        self._hash = hashlib.sha256()
        self._size = 0
        self._rest = b""
        self._file: BinaryIO = io.BytesIO()

    def begin(self) -> None:
        """Open the temp file: whoever calls this calls ``drop`` in the end."""
        self._file = self._path.open("xb")
        self._write(self._sealer.header)

    def take(self, plain: bytes) -> None:
        """Seal all full pieces of what is here, but never the last byte: the last piece must be known as such."""
        self._size += len(plain)
        data = memoryview(self._rest + plain)
        start = 0
        while len(data) - start > PIECE_BYTES:
            self._write(self._sealer.seal(data[start : start + PIECE_BYTES], last=False))
            start += PIECE_BYTES
        self._rest = bytes(data[start:])

    def keep(self, plain: bytes, place: Callable[[str], Path]) -> BlobRef:
        """Seal the rest and give the file its name, durably."""
        self.take(plain)
        self._write(self._sealer.seal(self._rest, last=True))
        self._file.flush()
        durable.sync(self._file.fileno())
        self._file.close()
        address = self._hash.hexdigest()
        target = place(address)
        durable.make_folder(target.parent)
        self._path.rename(target)
        durable.sync_folder(target.parent)
        return BlobRef(address=address, size=self._size, key_id=self._key_id)

    def drop(self) -> None:
        """Forget the temp file, unless it got its name; closing may fail once more when the disk is full."""
        with contextlib.suppress(OSError):
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


class _Outgoing:
    """One blob on its way out; used from one thread at a time.

    Raises:
        Damaged: the file's length or header is wrong.
    """

    def __init__(self, path: Path, ref: BlobRef, key: DataKey) -> None:
        self._address = ref.address
        self._file: BinaryIO = path.open("rb")
        self._left = sealed_size(ref.size) - HEADER_BYTES
        header = self._file.read(HEADER_BYTES)
        try:
            self._opener = Opener(key, header)
            _expect(os.fstat(self._file.fileno()).st_size == sealed_size(ref.size))
        except Damaged:
            self._file.close()
            raise
        self._hash = hashlib.sha256(header)

    def next_batch(self) -> list[bytes]:
        """The next pieces of plaintext; none at the end."""
        batch: list[bytes] = []
        while self._left and len(batch) < _HOP_PIECES:
            sealed = self._file.read(SEALED_PIECE_BYTES)
            self._hash.update(sealed)
            self._left -= len(sealed)
            plain = self._opener.open(sealed, last=self._left <= 0)
            if not self._left:  # whole, and ours; but is it the file that this address names?
                _expect(self._hash.hexdigest() == self._address)
            batch.append(plain)
        return batch

    def close(self) -> None:
        self._file.close()


def _expect(fact: bool) -> None:
    if not fact:
        raise Damaged


def _move(source: Path, target: Path) -> None:
    """Durably; from now on the file's age counts anew."""
    durable.make_folder(target.parent)
    with contextlib.suppress(FileNotFoundError):
        os.utime(source)
        source.rename(target)
        durable.sync_folder(target.parent)
        durable.sync_folder(source.parent)


def _unlink(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        durable.sync_folder(path.parent)
