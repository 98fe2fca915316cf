"""The second process: it knows one deadline, and takes the address down when that has passed.

It shares nothing with the server but two numbers in memory, so a server that is stopped, stuck or killed can't keep it
from its work; it lives in a session of its own, so what stops or kills the server's process group does not reach it.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from appliance.cluster.lease_clock import steady_s
from appliance.daemon.vipd.allow_list import Entry
from appliance.daemon.vipd.backends import Backend
from appliance.daemon.vipd.presence import is_up
from appliance.daemon.vipd.shared_deadline import SharedDeadline
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("vipd")
ROUND_S: Final = 0.05
"""The guard looks this often, and sooner when the deadline is nearer."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A running guard as the server sees it: ``life`` reads EOF when it died; closing ``leash`` ends it."""

    pid: int
    life: int
    leash: int

    def end(self) -> None:
        """Have it drop what is still up, and wait for it."""
        os.close(self.leash)
        os.kill(self.pid, signal.SIGCONT)
        os.waitpid(self.pid, 0)

    def kill(self) -> None:
        """End one that no longer answers."""
        os.kill(self.pid, signal.SIGKILL)


def start_guard(shared: SharedDeadline, entries: Sequence[Entry], backend: Backend, close: Sequence[int]) -> Guard:
    """Fork the guard. Call it while this process has one thread; ``close`` are descriptors that it must not keep."""
    life, life_end = os.pipe()
    leash_end, leash = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for descriptor in (life, leash, *close):
                os.close(descriptor)
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            gc.freeze()
            watch(shared, entries, backend, leash_end)
        finally:
            # Not a return: above us are the server's own clean-ups. What went wrong is said all the same.
            if (failure := sys.exc_info())[0] is not None:
                sys.excepthook(*failure)
            os._exit(0)
    os.close(life_end)
    os.close(leash_end)
    return Guard(pid, life, leash)


def watch(shared: SharedDeadline, entries: Sequence[Entry], backend: Backend, leash: int) -> None:
    """Sweep until ``leash`` reads EOF (the server is gone), then sweep once more."""
    while True:
        shared.beat()
        left_s = shared.deadline_s - steady_s()
        if left_s <= 0:
            sweep(entries, backend)
        gone, _, _ = select.select([leash], [], [], ROUND_S if left_s <= 0 else min(ROUND_S, left_s))
        if gone:
            shared.deadline_s = 0.0
            sweep(entries, backend, always=True)
            return


def sweep(entries: Sequence[Entry], backend: Backend, *, always: bool = False) -> bool:
    """Take down whatever of ``entries`` is up. Returns whether nothing is up any more; never raises.

    ``always``: also tell a backend with an agent of its own, whose address may be about to come up.
    """
    standing = list(entries) if always else [entry for entry in entries if is_up(entry.address)]
    if not standing:
        return True
    try:
        backend.down(standing)
    except ProntuarioError as error:
        log.warning("the address could not be taken down yet", code=error.kind.code)
    return not any(is_up(entry.address) for entry in standing)
