"""One core for each home: an advisory lock on a file, which the kernel drops when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.daemon.exits import CommandFailedError, Exit


class HomeLock:
    """Held while core runs; the file tells the holder's pid."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "core.pid"
        self._fd = -1

    def __enter__(self) -> Self:
        """Take the lock. Raises CommandFailedError when another core has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            sentence = f"Another core (pid {holder}) already serves {self._path.parent.parent}. Stop it first, or use another --home."
            raise CommandFailedError(sentence, Exit.ALREADY_RUNNING) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def running_pid(run_dir: Path) -> int | None:
    """The pid of the core that serves this home, or None when there is none."""
    path = run_dir / "core.pid"
    try:
        with path.open("r+", encoding="ascii") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read().strip() or 0) or None
    except (FileNotFoundError, ValueError):
        return None
    return None
