"""A lock file that says which processes serve a database, and outlives a kill -9 exactly as long as they do.

``flock`` belongs to the open file that core, leash and Litestream share by inheritance: it is free once all three are
gone. Line 1 is the core's pid, line 2 Litestream's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import Final

import psutil

from appliance.store import errors

_PATIENCE_S: Final = 3.0
"""How long the leash of a core that died may take before its Litestream is told to end."""
_LIMIT_S: Final = 30.0
_POLL_S: Final = 0.05


class ProcessLock:
    """The held lock; ``descriptor`` is for the children to inherit."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    async def take(cls, path: Path) -> ProcessLock:
        """Wait for the Litestream of a core that is gone, and end one that nobody holds on a leash any more.

        Raises:
            ProntuarioError: ``store.litestream_running``: another core lives, or its Litestream can't be ended.
        """
        lock = cls(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        began = time.monotonic()
        while not lock._is_ours():
            waited_s = time.monotonic() - began
            core, orphan = lock.core_pid, lock.child_pid
            if waited_s > _LIMIT_S or (core is not None and core != os.getpid() and _alive(core)):
                lock.release()
                raise errors.LITESTREAM_RUNNING(pid=orphan)
            if orphan is not None and waited_s > _PATIENCE_S:
                _signal(orphan, signal.SIGTERM if waited_s < 2 * _PATIENCE_S else signal.SIGKILL)
                await asyncio.sleep(_PATIENCE_S / 2)
            await asyncio.sleep(_POLL_S)
        lock.forget_child()
        return lock

    @property
    def core_pid(self) -> int | None:
        return self._line(0)

    @property
    def child_pid(self) -> int | None:
        return self._line(1)

    def forget_child(self) -> None:
        """The child is gone: its number may soon be another process's."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, b"%d\n" % os.getpid(), 0)

    def kill_child(self) -> None:
        """End the child at once, if there is one."""
        if self.child_pid is not None:
            _signal(self.child_pid, signal.SIGKILL)

    def release(self) -> None:
        """Let go of our share."""
        os.close(self.descriptor)

    def _is_ours(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _line(self, number: int) -> int | None:
        lines = os.pread(self.descriptor, 64, 0).split(b"\n")
        return int(lines[number]) if len(lines) > number and lines[number].isdigit() else None


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
