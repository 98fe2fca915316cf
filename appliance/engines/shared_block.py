"""Large payloads in POSIX shared memory, one block each, read once.

Python's ``multiprocessing.shared_memory`` starts a tracker process and warns about blocks that the other end removes, so
the two calls below it are used directly. Names are numbered without gaps and read in order; hence, when one end dies,
the other can find and remove every block that nobody will read any more.
"""

from __future__ import annotations

import _posixshmem  # type: ignore[import-not-found]
import mmap
import os
from pathlib import Path
from typing import Final

from appliance.plugin_api.messages import Shared

MAX_BLOCK_BYTES: Final = 1 << 30
_PREFIX: Final = "prn"
_LINUX_FOLDER: Final = Path("/dev/shm")  # noqa: S108  the kernel's own folder of shared memory, only swept


class BlockError(Exception):
    """The other end announced a block that it may not announce, or that is not there."""


def prefix_for(pid: int, salt: str) -> str:
    """The beginning of one channel's block names (macOS allows 30 characters in all)."""
    return f"{_PREFIX}{pid}x{salt}"


def remove_stale_blocks() -> int:
    """Remove blocks of cores that died together with their child; their number (Linux; macOS can't list them)."""
    removed = 0
    if not _LINUX_FOLDER.is_dir():
        return removed
    for file in _LINUX_FOLDER.glob(f"{_PREFIX}*x*"):
        owner = file.name.removeprefix(_PREFIX).split("x")[0]
        if owner.isdigit() and not _alive(int(owner)):
            file.unlink(missing_ok=True)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unlink(name: str) -> bool:
    try:
        _posixshmem.shm_unlink(f"/{name}")
    except FileNotFoundError:
        return False
    return True


class BlockSender:
    """The end that makes blocks."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._made = 0

    def put(self, payload: bytes) -> Shared:
        """Copy ``payload`` into a new block.

        Raises:
            OSError: there is no room for it.
        """
        name = f"{self._prefix}{self._made}"
        descriptor = _posixshmem.shm_open(f"/{name}", os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
        try:
            _fill(descriptor, payload)
        except OSError:
            _unlink(name)
            raise
        finally:
            os.close(descriptor)
        self._made += 1
        return Shared(name, len(payload))

    def clear(self) -> None:
        """Remove the blocks that the other end has not taken."""
        for number in range(self._made - 1, -1, -1):
            if not _unlink(f"{self._prefix}{number}"):
                return


def _fill(descriptor: int, payload: bytes) -> None:
    os.ftruncate(descriptor, len(payload))
    if hasattr(os, "posix_fallocate"):  # without it a full /dev/shm is not an error but a SIGBUS in the next line
        os.posix_fallocate(descriptor, 0, len(payload))
    with mmap.mmap(descriptor, len(payload)) as memory:
        memory[:] = payload


class BlockReceiver:
    """The end that takes blocks, in order, each once."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._taken = 0

    def take(self, shared: Shared) -> bytes:
        """The payload; the block is removed.

        Raises:
            BlockError: not the next block, or smaller than announced.
        """
        if shared.name != f"{self._prefix}{self._taken}" or not 0 < shared.size <= MAX_BLOCK_BYTES:
            raise BlockError("an unexpected block was announced")
        try:
            descriptor = _posixshmem.shm_open(f"/{shared.name}", os.O_RDONLY, mode=0o600)
        except OSError as error:
            raise BlockError("an announced block is not there") from error
        try:
            if os.fstat(descriptor).st_size < shared.size:
                raise BlockError("a block is smaller than announced")
            with mmap.mmap(descriptor, shared.size, prot=mmap.PROT_READ) as memory:
                return memory[:]
        finally:
            os.close(descriptor)
            _unlink(shared.name)
            self._taken += 1

    def clear(self) -> None:
        """Remove what a dead sender left behind."""
        while _unlink(f"{self._prefix}{self._taken}"):
            self._taken += 1
