"""A small disk for one node of the lab: a tmpfs of its own that can be filled to the last byte and emptied again (root, Linux)."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

SIZE_MIB: Final = 2048
"""Two hundred rounds of epochs, of databases set aside, and etcd's own files (64 MiB each) must fit."""
_SOURCE: Final = "ptdisk"
_BALLAST: Final = ".ballast"
_PIECES: Final = (64 << 20, 1 << 20, 4096)


class SmallDisk:
    """Mounted over ``folder`` (made if need be) until ``unmount``. It holds memory only for what lies on it."""

    def __init__(self, folder: Path) -> None:
        remove_leftovers()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        source = f"{_SOURCE}-{os.getpid()}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", source, str(folder)], check=True)

    def fill(self) -> None:
        """Take all that is free now; whoever frees something later may use that."""
        with (self.folder / _BALLAST).open("ab") as ballast:
            end = ballast.tell()
            for piece in _PIECES:
                with suppress(_FullError):
                    while True:
                        _allocate(ballast.fileno(), end, piece)
                        end += piece

    def free(self) -> None:
        """Give it all back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Whatever still uses it keeps its files until it ends. Safe to call twice."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=False, capture_output=True)


class _FullError(Exception):
    """No space left."""


def _allocate(descriptor: int, offset: int, length: int) -> None:
    try:
        os.posix_fallocate(descriptor, offset, length)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _FullError from error


def remove_leftovers() -> None:
    """Unmount the disks of processes that no longer live."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        source, target = line.split()[:2]
        name, _, pid = source.partition("-")
        if name == _SOURCE and pid.isdigit() and not Path(f"/proc/{pid}").exists():
            subprocess.run(["umount", "--lazy", target], check=False, capture_output=True)
