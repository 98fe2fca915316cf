"""``prontuario up --pair``: two whole nodes and the third voter on one development machine.

On loopback ports, or with a virtual IP: then each part runs in a network namespace and this machine is their client.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from appliance.config import Paths
from appliance.daemon.children import Child, ChildFailedError
from appliance.daemon.exits import CommandFailedError, Exit
from appliance.daemon.lifeline import stop_event
from appliance.daemon.lock import running_pid
from appliance.daemon.pair.founding import found_for_development, read_plan
from appliance.daemon.pair.namespaces import Namespaces, why_no_namespaces
from appliance.daemon.pair.own_network import lay, plan_in_namespaces, take_up
from appliance.daemon.pair.plan import PairPlan, Place, VipBackend
from appliance.daemon.ports import free_ports
from appliance.daemon.up import MODULE

NODE_READY_LIMIT_S: Final = 360.0
NODE_STOP_LIMIT_S: Final = 45.0
VOTER_LIMIT_S: Final = 60.0
LEADER_LIMIT_S: Final = 120.0
_POLL_S: Final = 0.1
NODES: Final = ("a", "b")
WITNESS: Final = "w"


def plan_on_loopback(port_base: int | None) -> PairPlan:
    """Everything on this machine's loopback interface: five ports a node, from ``port_base`` on; None or 0: free ones."""
    needed = 5 * 3
    ports = iter(range(port_base, port_base + needed) if port_base else free_ports(needed))

    def place(name: str) -> Place:
        return Place(
            name=name,
            host="127.0.0.1",
            api_port=next(ports),
            peer_port=next(ports),
            admin_port=next(ports),
            etcd_client_port=next(ports),
            etcd_peer_port=next(ports),
        )

    return PairPlan(first=place(NODES[0]), second=place(NODES[1]), witness=place(WITNESS))


class UpPair:
    """Starts the voters and the nodes; each node is a ``prontuario up`` of its own, so that it can be killed as a whole.

    A plan with namespaces gets its network first; it is gone when ``stop`` returns.
    """

    def __init__(self, home: Path, plan: PairPlan, *, dashboard: bool = True, restart: bool = True) -> None:
        """``restart``: False leaves a node dead that died (drills, tests)."""
        self.home = home
        self.plan = plan
        self._network: Namespaces | None = None
        inside = Namespaces(plan.namespaces).command if plan.namespaces else _outside
        options = [] if dashboard else ["--no-admin"]
        self._nodes = {
            name: Child(
                name,
                MODULE,
                ["up", f"--home={home / name}", *options],
                stop_limit_s=NODE_STOP_LIMIT_S,
                restart=restart,
                within=inside(name),
            )
            for name in NODES
        }
        voter = ["cluster", "voter", f"--home={home / WITNESS}"]
        self._voter = Child("etcd w", MODULE, voter, stop_limit_s=20.0, within=inside(WITNESS))

    async def start(self) -> dict[str, Any]:
        """Start everything and wait for the first primary; the facts for the ready line.

        Raises:
            CommandFailedError: a part did not come up.
        """
        for name in NODES:
            if holder := running_pid(Paths(self.home / name).run):
                raise CommandFailedError(
                    f"A node (core pid {holder}) already serves {self.home / name}.", Exit.ALREADY_RUNNING
                )
        if self.plan.namespaces:
            self._network = await asyncio.to_thread(lay, self.plan)
        try:
            await self._voter.start(ready_limit_s=VOTER_LIMIT_S)
            started = await asyncio.gather(
                *(node.start(ready_limit_s=NODE_READY_LIMIT_S) for node in self._nodes.values())
            )
            nodes = {name: self._reached(name, facts) for name, facts in zip(self._nodes, started, strict=True)}
            primary = await wait_for_primary(nodes)
        except (ChildFailedError, TimeoutError) as error:
            await self.stop()
            raise CommandFailedError(f"the pair did not come up: {error or 'no node became the primary'}") from error
        except BaseException:
            await self.stop()
            raise
        ca = nodes[primary]["ca"]
        return {
            "nodes": nodes,
            "primary": primary,
            "client_address": self.plan.client_address,
            "ca": ca,
            "home": str(self.home),
            "pid": os.getpid(),
        }

    async def stop(self) -> None:
        """Stop the nodes side by side, then the voter; then the network goes."""
        await asyncio.gather(*(node.stop() for node in self._nodes.values()))
        await self._voter.stop()
        network, self._network = self._network, None
        if network is not None:
            await asyncio.to_thread(take_up, self.plan, network)

    async def cut_power(self, name: str) -> None:
        """What a dead machine looks like: every process of the node ends at the same moment, none of them tidies up.

        Raises:
            CommandFailedError: it does not run.
        """
        pid = self._nodes[name].pid
        if pid is None:
            raise CommandFailedError(f"Node {name} does not run.", Exit.NOT_RUNNING)
        _kill_tree(pid)

    async def start_again(self, name: str) -> None:
        """Start a node that died and stays dead (``restart=False``); returns when it serves.

        Raises:
            CommandFailedError: it did not come up.
        """
        try:
            await self._nodes[name].start(ready_limit_s=NODE_READY_LIMIT_S)
        except ChildFailedError as error:
            raise CommandFailedError(f"node {name} did not come up again: {error}") from error

    def _reached(self, name: str, facts: dict[str, Any]) -> dict[str, Any]:
        """What a node tells of itself, with the address by which this machine reaches it."""
        if not self.plan.namespaces:
            return facts
        place = self.plan.place(name)
        return facts | {"api": f"https://{place.host}:{place.api_port}"}


def _outside(_machine: str) -> list[str]:
    """No namespace: the part runs as this process does."""
    return []


def _kill_tree(pid: int) -> None:
    root = psutil.Process(pid)
    doomed = [root, *root.children(recursive=True)]
    for one in doomed:  # first stop them all: whoever dies first must not be noticed by the others
        with suppress(psutil.NoSuchProcess):
            one.suspend()
    for one in doomed:
        with suppress(psutil.NoSuchProcess):
            one.kill()


async def wait_for_primary(nodes: Mapping[str, Mapping[str, Any]]) -> str:
    """The name of the node whose ``/health/primary`` says 200. Raises ``TimeoutError``."""
    async with asyncio.timeout(LEADER_LIMIT_S):
        while True:
            for name, node in nodes.items():
                if await _is_primary(str(node["api"]), str(node["ca"])):
                    return name
            await asyncio.sleep(_POLL_S)


async def _is_primary(api: str, ca: str) -> bool:
    context = ssl.create_default_context(cafile=ca)
    async with httpx.AsyncClient(verify=context, base_url=api) as client:
        try:
            return (await client.get("/health/primary")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


async def prepare_pair(home: Path, port_base: int | None, vip_backend: VipBackend | None) -> PairPlan:
    """Prepare what is missing below ``home``. ``vip_backend``: a new pair gets a virtual IP; None: it gets none.

    Raises:
        CommandFailedError: a virtual IP is wanted and not possible here, or the pair was founded without one.
    """
    plan = read_plan(home / WITNESS)
    if vip_backend is not None:
        if reason := why_no_namespaces():
            raise CommandFailedError(f"No virtual IP here: {reason}.", Exit.USAGE)
        if plan is not None and not plan.vip_addresses:
            raise CommandFailedError(
                f"The pair in {home} was made without a virtual IP; take another --home.", Exit.USAGE
            )
        plan = plan or plan_in_namespaces(home, (*NODES, WITNESS), vip_backend)
    plan = plan or plan_on_loopback(port_base)
    await found_for_development(home, plan)
    return plan


async def run_pair(
    home: Path,
    port_base: int | None,
    *,
    dashboard: bool,
    restart: bool,
    ready_json: bool,
    vip_backend: VipBackend | None = None,
) -> None:
    """Prepare what is missing below ``home``, then serve until Ctrl-C or SIGTERM. Raises as ``prepare_pair``."""
    stop = stop_event(None)
    plan = await prepare_pair(home, port_base, vip_backend)
    up = UpPair(home, plan, dashboard=dashboard, restart=restart)
    facts = await up.start()
    try:
        print(json.dumps(facts) if ready_json else _told(facts), flush=True)  # noqa: T201  the promised line on stdout
        await stop.wait()
    finally:
        await up.stop()


def _told(facts: Mapping[str, Any]) -> str:
    lines = [
        f"{'primary' if name == facts['primary'] else 'standby':8} {name}  API {node['api']}  dashboard {node['admin']}"
        for name, node in facts["nodes"].items()
    ]
    clients = [f"clients  https://{facts['client_address']}"] if facts["client_address"] else []
    return "\n".join([*lines, *clients, f"CA       {facts['ca']}", "Ctrl-C stops."])
