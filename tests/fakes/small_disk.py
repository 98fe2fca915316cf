"""A real file system of any size, in a mount name space of its own: it is gone with the process that made it.

Nothing is mounted where anybody else sees it; the test reaches it below ``/proc/<pid>/root``.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

PATIENCE_S: Final = 60.0
_KEEPER: Final = (
    'mount -t tmpfs -o size="$2" prontuario-test "$1" && echo ready && '
    'while read -r size; do mount -o remount,size="$size" "$1" && echo ready; done'
)


class SmallDisk:
    """``path`` lies on it. ``resize`` makes it smaller or larger; ``fill`` and ``free`` really write and delete."""

    def __init__(self, keeper: subprocess.Popen[str], folder: Path) -> None:
        self._keeper = keeper
        self.path = Path(f"/proc/{keeper.pid}/root{folder}")
        self._made = 0

    def resize(self, size: int) -> None:
        """``size`` in bytes. Raises ``OSError`` when what lies on it does not fit."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{size}\n")
        self._keeper.stdin.flush()
        _answer(self._keeper)

    def fill(self, size: int) -> Path:
        """Write a file of ``size`` bytes."""
        self._made += 1
        path = self.path / f"filled-{self._made}"
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        return path


def _answer(keeper: subprocess.Popen[str]) -> None:
    assert keeper.stdout is not None
    ready, _, _ = select.select([keeper.stdout], [], [], PATIENCE_S)
    if not ready or keeper.stdout.readline() != "ready\n":
        raise OSError("the small disk can't be mounted")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[SmallDisk]:
    """A disk of ``size`` bytes at ``folder``. Skips where this machine makes no mount name spaces."""
    unshare = shutil.which("unshare")
    if sys.platform != "linux" or unshare is None:
        pytest.skip("this machine has no mount name spaces")
    folder.mkdir(parents=True, exist_ok=True)
    ways = ["-m"] if os.geteuid() == 0 else ["-m", "-U", "-r"]
    with subprocess.Popen(
        [unshare, *ways, "sh", "-c", _KEEPER, "keeper", str(folder), str(size)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as keeper:  # fmt: skip
        try:
            try:
                _answer(keeper)
            except OSError:
                pytest.skip("this machine lets nobody mount a disk in a name space of its own")
            yield SmallDisk(keeper, folder)
        finally:
            assert keeper.stdin is not None
            keeper.stdin.close()
            keeper.wait(PATIENCE_S)
