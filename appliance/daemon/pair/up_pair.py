"""``prontuario up --pair``: two whole nodes and the third voter on one development machine."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import httpx

from appliance.daemon.children import Child, ChildFailedError
from appliance.daemon.exits import CommandFailedError
from appliance.daemon.lifeline import stop_event
from appliance.daemon.pair.founding import found_for_development, read_plan
from appliance.daemon.pair.plan import PairPlan, Place
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
    """Starts the voters and the nodes; each node is a ``prontuario up`` of its own, so that it can be killed as a whole."""

    def __init__(self, home: Path, plan: PairPlan, *, dashboard: bool = True, restart: bool = True) -> None:
        """``restart``: False leaves a node dead that died (drills, tests)."""
        self.home = home
        self._plan = plan
        options = [] if dashboard else ["--no-admin"]
        self._nodes = {
            name: Child(
                name, MODULE, ["up", f"--home={home / name}", *options], stop_limit_s=NODE_STOP_LIMIT_S, restart=restart
            )
            for name in NODES
        }
        self._voter = Child("etcd w", MODULE, ["cluster", "voter", f"--home={home / WITNESS}"], stop_limit_s=20.0)

    async def start(self) -> dict[str, Any]:
        """Start everything and wait for the first primary; the facts for the ready line.

        Raises:
            CommandFailedError: a part did not come up.
        """
        try:
            await self._voter.start(ready_limit_s=VOTER_LIMIT_S)
            started = await asyncio.gather(
                *(node.start(ready_limit_s=NODE_READY_LIMIT_S) for node in self._nodes.values())
            )
            nodes = dict(zip(self._nodes, started, strict=True))
            primary = await wait_for_primary(nodes)
        except (ChildFailedError, TimeoutError) as error:
            await self.stop()
            raise CommandFailedError(f"the pair did not come up: {error or 'no node became the primary'}") from error
        ca = nodes[primary]["ca"]
        return {
            "nodes": nodes,
            "primary": primary,
            "client_address": self._plan.client_address,
            "ca": ca,
            "home": str(self.home),
            "pid": os.getpid(),
        }

    async def stop(self) -> None:
        """Stop the nodes side by side, then the voter."""
        await asyncio.gather(*(node.stop() for node in self._nodes.values()))
        await self._voter.stop()


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


async def run_pair(home: Path, port_base: int | None, *, dashboard: bool, restart: bool, ready_json: bool) -> None:
    """Prepare what is missing below ``home``, then serve until Ctrl-C or SIGTERM."""
    stop = stop_event(None)
    plan = read_plan(home / WITNESS) or plan_on_loopback(port_base)
    await found_for_development(home, plan)
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
    return "\n".join([*lines, f"CA       {facts['ca']}", "Ctrl-C stops."])
