"""vipd from start to end: sweep, listen, give up privileges, fork the guard, serve, sweep again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

import daemon

from appliance.daemon.lifeline import announce, stop_event
from appliance.daemon.vipd.announce.announcer import Announcer
from appliance.daemon.vipd.backends import Backend
from appliance.daemon.vipd.guard import Guard, start_guard, sweep
from appliance.daemon.vipd.keeper import Keeper
from appliance.daemon.vipd.pid_lock import PidLock
from appliance.daemon.vipd.privileges import become_urgent, drop_privileges
from appliance.daemon.vipd.server import VipServer, listen
from appliance.daemon.vipd.settings import VipdSettings
from appliance.daemon.vipd.shared_deadline import SharedDeadline
from appliance.telemetry.logs import get_logger

log = get_logger("vipd")
TICK_S: Final = 0.1
SILENT_TICKS: Final = 30
"""A guard whose pulse stands still for so many of our own rounds no longer guards (ours count, so that a machine that was
asleep or stopped as a whole raises no alarm)."""
DONE, PART_DIED = 0, 1


def run_vipd(settings: VipdSettings, *, ready_fd: int | None = None, leash_fd: int | None = None) -> int:
    """Serve until SIGTERM, or EOF on the leash; the exit status. 1: a part of vipd died, start it again.

    Raises:
        ProntuarioError: another vipd runs, or the socket's folder is not safe.
        OSError: the socket can't be made, or privileges can't be dropped.
    """
    backend, lock = settings.make_backend(), PidLock(settings.pid_file)
    settings.socket.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    inherited = [descriptor for descriptor in (ready_fd, leash_fd) if descriptor is not None]
    with daemon.DaemonContext(
        detach_process=False,  # launchd forbids forking away
        pidfile=lock,
        files_preserve=[*inherited],  # python-daemon appends its own
        signal_map={signal.SIGTERM: "terminate", signal.SIGHUP: None},
        umask=0o022,
        stdout=sys.stdout,
        stderr=sys.stderr,
    ):
        sweep(settings.allowed.entries, backend)
        listener = listen(settings.socket, settings.client_uids)
        become_urgent()
        drop_privileges()
        backend.start()
        shared = SharedDeadline()
        guard = start_guard(shared, settings.allowed.entries, backend, [lock.descriptor, listener.fileno(), *inherited])
        keeper = Keeper(settings.allowed, backend, shared, Announcer())
        server = VipServer(listener, settings.client_uids, keeper.handle, keeper.state)
        try:
            return asyncio.run(_serve(server, keeper, backend, (guard, shared), (ready_fd, leash_fd)))
        finally:
            keeper.drop()
            backend.stop()
            guard.end()
            settings.socket.unlink(missing_ok=True)


async def _serve(
    server: VipServer,
    keeper: Keeper,
    backend: Backend,
    guarded: tuple[Guard, SharedDeadline],
    pipes: tuple[int | None, int | None],
) -> int:
    guard, shared = guarded
    ready_fd, leash_fd = pipes
    stop = stop_event(leash_fd)
    died = asyncio.Event()
    asyncio.get_running_loop().add_reader(guard.life, died.set)
    await server.start()
    announce(ready_fd, {"pid": os.getpid(), "guard": guard.pid})
    pulse = _Pulse(shared)
    while not stop.is_set():
        keeper.tick()
        if died.is_set() or not backend.healthy():
            log.error("a part of vipd died; vipd drops the address and ends")
            return PART_DIED
        if pulse.stands_still():
            log.error("the guard is stopped; vipd drops the address and ends")
            guard.kill()
            return PART_DIED
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)
    keeper.drop()
    await server.stop()
    return DONE


class _Pulse:
    """Counts our rounds since the guard's last one."""

    def __init__(self, shared: SharedDeadline) -> None:
        self._shared = shared
        self._last = -1.0
        self._silent = 0

    def stands_still(self) -> bool:
        pulse = self._shared.pulse
        self._silent = 0 if pulse != self._last else self._silent + 1
        self._last = pulse
        return self._silent >= SILENT_TICKS
