"""Making files survive a power cut: what ``fsync`` leaves to the caller."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from appliance.plugin_api.errors import ProntuarioError
from appliance.store import errors

_F_FULLFSYNC: Final[int | None] = getattr(fcntl, "F_FULLFSYNC", None)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def sync(descriptor: int) -> None:
    """Flush a file to the platter; on macOS ``fsync`` alone stops at the drive's cache (fcntl(2), F_FULLFSYNC)."""
    if _F_FULLFSYNC is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _F_FULLFSYNC)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make ``folder`` (mode 0700) and everything above it, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        sync_folder(each.parent)


def write_aside(draft: Path, content: bytes) -> Path:
    """Write ``content`` durably into ``draft``, which gets its real name afterwards; nothing is left of a failure."""
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            sync(file.fileno())
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    return draft


def as_failure(error: OSError) -> ProntuarioError:
    """The store's error for a failed write: ``store.full`` (507) or ``store.failed`` (503)."""
    return (
        errors.FULL()
        if error.errno in _FULL
        else errors.FAILED(retry_after=1.0, reason=errno.errorcode.get(error.errno or 0))
    )
