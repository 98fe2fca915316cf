"""Secret files: never readable by others, never half written."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
_TEMPORARY: Final = ".half-written-"


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` (mode 0700) or tighten it."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    folder.chmod(PRIVATE_FOLDER)


def write_file(path: Path, content: bytes, mode: int = PRIVATE_FILE) -> None:
    """Write all or nothing: temporary file, fsync, rename, fsync of the folder. After return it survives power loss."""
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _sync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def remove_half_written(folder: Path) -> int:
    """Delete what an interrupted ``write_file`` left; the number of files."""
    left = list(folder.glob(f"{_TEMPORARY}*"))
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the folder alone: two processes that initialise at once take turns."""
    with (folder / ".lock").open("a") as file:
        os.fchmod(file.fileno(), PRIVATE_FILE)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    full = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: plain fsync stops at the drive's cache
    if full is not None:
        fcntl.fcntl(descriptor, full)
    else:
        os.fsync(descriptor)
