"""Runs a program that must not outlive its parent, whatever ends the parent: ``leash.py FD LOCK_FD -- program …``.

The parent holds the other end of the pipe ``FD``. When it is closed, or the parent is gone by kill -9, this process
ends the program (SIGTERM, then SIGKILL), and itself with the program's exit status. It runs as a script with ``-I -S``:
only the standard library, started in some milliseconds. Works where Linux's PR_SET_PDEATHSIG does not exist.

``LOCK_FD`` is a locked file that the program inherits: as long as any of the three processes lives, nobody else gets
the lock. The program's pid is its second line.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

GRACE_S = 15.0
_POLL_S = 0.02


def main(arguments: list[str]) -> int:
    """The program's exit status; 128 + n when signal n ended it."""
    parent, lock, program = int(arguments[0]), int(arguments[1]), arguments[3:]
    os.set_inheritable(parent, False)
    wake, wake_end = os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    child = os.posix_spawn(program[0], program, os.environ)
    _write_down(lock, child)
    while True:
        ready, _, _ = select.select([parent, wake], [], [])
        signals = os.read(wake, 64) if wake in ready else b""
        if (status := _status(child)) is not None:
            return status
        if parent in ready or any(number != signal.SIGCHLD for number in signals):
            return _end(child)


def _write_down(lock: int, child: int) -> None:
    first_line = os.pread(lock, 64, 0).split(b"\n")[0]
    os.pwrite(lock, first_line + b"\n%d\n" % child, 0)


def _end(child: int) -> int:
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        if (status := _status(child)) is not None:
            return status
        time.sleep(_POLL_S)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256


def _status(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
