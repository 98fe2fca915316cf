"""``prontuario up``: a whole node in the foreground. Core, the dashboard and a pair's etcd member and vipd are children."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config, Paths
from appliance.daemon.children import Child, ChildFailedError
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.lifeline import announce, stop_event
from appliance.daemon.lock import running_pid
from appliance.daemon.pair.etcd_child import own_voter
from appliance.daemon.vipd.pid_lock import is_locked
from appliance.daemon.vipd.settings import settings_of
from appliance.telemetry.logs import get_logger

log = get_logger("up")
CORE_READY_LIMIT_S = 300.0
"""The first start of a large model on a cold disk takes its time; the child itself reports what is wrong."""
ADMIN_READY_LIMIT_S = 60.0
VOTER_READY_LIMIT_S = 60.0
VIPD_READY_LIMIT_S = 60.0
MODULE = "appliance.daemon"


@dataclass(frozen=True, slots=True)
class Node:
    """A node that serves: what the ready line says."""

    api: str
    admin: str
    ca: Path
    home: Path
    pid: int

    def facts(self) -> dict[str, str | int]:
        """``{"api": url, "admin": url, "ca": path, "home": path, "pid": n}``."""
        return {"api": self.api, "admin": self.admin, "ca": str(self.ca), "home": str(self.home), "pid": self.pid}

    def ready_json(self) -> str:
        """``facts`` as one line of JSON."""
        return json.dumps(self.facts())


class Up:
    """Starts and stops the children in order: a pair's etcd member and vipd, core, the dashboard; stops them in reverse."""

    def __init__(self, home: Path, config: Config, *, dashboard: bool = True) -> None:
        self.paths = Paths(home)
        self.config = config
        ports = [
            f"--port={config.api.port}",
            f"--peer-port={config.cluster.peer_port}",
            f"--admin-port={config.admin.port}",
        ]
        arguments = [f"--home={home}", *ports]
        drain = config.api.drain_s + 15.0
        self._voter = (
            Child("etcd", MODULE, ["cluster", "voter", f"--home={home}"], stop_limit_s=20.0)
            if config.cluster.mode == "paired" and own_voter(self.paths, config)
            else None
        )
        self._vipd = (
            Child("vipd", MODULE, ["vipd", f"--home={home}"], stop_limit_s=20.0) if _needs_vipd(home, config) else None
        )
        self._core = Child("core", MODULE, ["core", *arguments], stop_limit_s=drain)
        self._admin = Child("admin", MODULE, ["admin", *arguments], stop_limit_s=10.0) if dashboard else None

    async def start(self) -> Node:
        """Start everything.

        Raises:
            CommandFailedError: a child did not come up; the log of that child says why.
        """
        if holder := running_pid(self.paths.run):
            raise CommandFailedError(
                f"A node (core pid {holder}) already serves {self.paths.home}.", Exit.ALREADY_RUNNING
            )
        try:
            if self._voter:
                await self._voter.start(ready_limit_s=VOTER_READY_LIMIT_S)
            if self._vipd:
                await self._vipd.start(ready_limit_s=VIPD_READY_LIMIT_S)
            core = await self._core.start(ready_limit_s=CORE_READY_LIMIT_S)
            admin = await self._admin.start(ready_limit_s=ADMIN_READY_LIMIT_S) if self._admin else {"admin": ""}
        except ChildFailedError as error:
            await self.stop()
            known = error.code is not None and error.code in set(Exit)
            code = Exit(error.code) if known and error.code is not None else Exit.FAILED
            raise CommandFailedError(f"{error}. See {self.paths.logs}.", code) from error
        return Node(str(core["api"]), str(admin["admin"]), self.paths.ca, self.paths.home, os.getpid())

    async def stop(self) -> None:
        """Stop everything; returns when no child is left."""
        if self._admin:
            await self._admin.stop()
        await self._core.stop()
        if self._vipd:
            await self._vipd.stop()
        if self._voter:
            await self._voter.stop()


def _needs_vipd(home: Path, config: Config) -> bool:
    """Whether this node has a virtual IP, may carry it, and no vipd of launchd's is there for it already."""
    if config.cluster.mode != "paired" or not config.cluster.vip_addresses:
        return False
    if os.geteuid() != 0:
        log.warning("the virtual IP needs vipd, which needs root: start `prontuario vipd` beside this")
        return False
    return not is_locked(settings_of(home, config).pid_file)


async def run_until_stopped(
    up: Up, *, ready_json: bool, ready_fd: int | None = None, leash_fd: int | None = None
) -> None:
    """Serve until Ctrl-C, SIGTERM or EOF on the leash."""
    stop = stop_event(leash_fd)
    node = await up.start()
    try:
        if ready_fd is not None:
            announce(ready_fd, node.facts())
        elif ready_json:
            print(node.ready_json(), flush=True)  # noqa: T201  the promised line on stdout
        else:
            print(f"API        {node.api}\nDashboard  {node.admin}\nCA         {node.ca}\nCtrl-C stops.", flush=True)  # noqa: T201
        await stop.wait()
    finally:
        await up.stop()


def run(up: Up, *, ready_json: bool, ready_fd: int | None = None, leash_fd: int | None = None) -> None:
    """Blocking form of ``run_until_stopped``."""
    asyncio.run(run_until_stopped(up, ready_json=ready_json, ready_fd=ready_fd, leash_fd=leash_fd))
