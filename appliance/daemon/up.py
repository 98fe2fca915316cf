"""``prontuario up``: a whole node in the foreground. Core and the dashboard are children; core starts its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import msgspec

from appliance.config import Config, Paths
from appliance.daemon.children import Child, ChildFailedError
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.lifeline import stop_event
from appliance.daemon.lock import running_pid

CORE_READY_LIMIT_S = 300.0
"""The first start of a large model on a cold disk takes its time; the child itself reports what is wrong."""
ADMIN_READY_LIMIT_S = 60.0
PORTS = 3


@dataclass(frozen=True, slots=True)
class Node:
    """A node that serves: what the ready line says."""

    api: str
    admin: str
    ca: Path
    home: Path
    pid: int

    def ready_json(self) -> str:
        """``{"api": url, "admin": url, "ca": path, "home": path, "pid": n}``."""
        return json.dumps(
            {"api": self.api, "admin": self.admin, "ca": str(self.ca), "home": str(self.home), "pid": self.pid}
        )


def with_ports(config: Config, base: int | None) -> Config:
    """The configuration with API, peer link and dashboard on ``base``, ``base + 1``, ``base + 2``; 0 finds free ones."""
    if base is None:
        return config
    api, peer, admin = free_ports() if base == 0 else range(base, base + PORTS)
    replace = msgspec.structs.replace
    return replace(
        config,
        api=replace(config.api, port=api),
        cluster=replace(config.cluster, peer_port=peer),
        admin=replace(config.admin, port=admin),
    )


def free_ports() -> list[int]:
    """Three free ports of the loopback interface (for development and tests: somebody may still be faster)."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(PORTS)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Up:
    """Starts and stops the children in order: core before the dashboard, the dashboard stops first."""

    def __init__(self, home: Path, config: Config, *, dashboard: bool = True) -> None:
        self.paths = Paths(home)
        self.config = config
        ports = [f"--port={config.api.port}", f"--peer-port={config.cluster.peer_port}", f"--admin-port={config.admin.port}"]
        arguments = [f"--home={home}", *ports]
        drain = config.api.drain_s + 15.0
        self._core = Child("core", "appliance.daemon", ["core", *arguments], stop_limit_s=drain)
        self._admin = Child("admin", "appliance.daemon", ["admin", *arguments], stop_limit_s=10.0) if dashboard else None

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


async def run_until_stopped(up: Up, *, ready_json: bool) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    stop = stop_event(None)
    node = await up.start()
    try:
        if ready_json:
            print(node.ready_json(), flush=True)  # noqa: T201  the promised line on stdout
        else:
            print(f"API        {node.api}\nDashboard  {node.admin}\nCA         {node.ca}\nCtrl-C stops.", flush=True)  # noqa: T201
        await stop.wait()
    finally:
        await up.stop()


def run(up: Up, *, ready_json: bool) -> None:
    """Blocking form of ``run_until_stopped``."""
    asyncio.run(run_until_stopped(up, ready_json=ready_json))
