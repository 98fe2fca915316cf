"""Alerts of a pair whose parts really fail: two nodes with Litestream, TLS and doors, a real voter, a wire with a hand on it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from appliance.api.server import Server
from appliance.api.tls import CertificateFiles
from appliance.cluster import operator, voters
from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.cluster.events import Timeline
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.model import ClusterStatus, LeaseView, Position
from appliance.cluster.roles import RoleLoop, RoleSettings
from appliance.config import Paths
from appliance.daemon.pair.divergences import Comparison
from appliance.daemon.pair.hands import Hands
from appliance.daemon.watching import Watching
from appliance.operations.watching import rules
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.metrics import Metrics
from tests.fakes.cutting_relay import CuttingRelay, cutting_relay
from tests.fakes.etcd_set import EtcdSet, make_set
from tests.unit.daemon.pair.two_nodes import Node, founded, make_node
from tests.unit.operations.watching.box import PATIENCE_S, Box, fires, until

pytestmark = [
    pytest.mark.skipif(shutil.which("etcd") is None, reason="etcd-server is not installed"),
    pytest.mark.timeout(300),
]
LEASE_S = 600
"""Longer than the slowest machine needs for the whole story: no lease runs out but by order."""
PAIR = {rule.name for rule in rules.PAIR} | {"WritesUnconfirmed"}


class SetClock(SystemClock):
    """The machine's own clock, until somebody sets it wrong by ``by_s`` seconds."""

    by_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.by_s)


@dataclass
class Leading:
    """Node ``a``: its real hands under a real role loop, which the voter lets lead."""

    node: Node
    hands: Hands
    loop: RoleLoop

    @property
    def status(self) -> ClusterStatus:
        return operator.status(self.loop)


@dataclass
class Ward:
    a: Leading
    b: Node
    clock_of_b: SetClock
    wire: CuttingRelay
    voter: EtcdSet

    async def shows(self, box: Box, *rules: str) -> None:
        """Measure and look until exactly these of the pair's alerts are on."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await self.a.node.core.watching.measure()
                if box.on(within=70) & PAIR == set(rules):
                    return
                await asyncio.sleep(0.05)

    async def shows_at_least(self, box: Box, *rules: str) -> None:
        """In trouble: what follows from it (a copy that trails, a link that gives up) comes when this machine has time."""
        await until(lambda: set(rules) <= box.on(within=70))

    def door(self) -> Server:
        """``b``'s own API, as its core opens it."""
        of = self.b.core.authority
        files = CertificateFiles(of.server_certificate, of.server_key, of.client_authorities)
        door = Server(self.b.core.application, self.b.config.api, files)
        door.start()
        return door


def called_through(paths: Paths, port: int) -> int:
    """Have this node call the other one at ``port``, and be patient with the disk; where it would have called."""
    text = paths.config.read_text()
    changed, count = re.subn(r"(?m)^(peer_peer_port\s*=\s*)(\d+)$", rf"\g<1>{port}", text)
    assert count == 1
    assert "[store]" not in text
    paths.config.write_text(f"{changed}\n[store]\nbarrier_timeout_s = {PATIENCE_S}\n")
    return int(re.search(r"(?m)^peer_peer_port\s*=\s*(\d+)$", text)[1])  # type: ignore[index]


def led_by(node: Node, client: EtcdClient, folder: Path) -> tuple[Hands, RoleLoop]:
    """Hands and loop as ``open_pair`` wires them: lease and sync key are the loop's own."""
    made: list[RoleLoop] = []

    def lease() -> LeaseView | None:
        return made[0].lease()

    ground = dataclasses.replace(node.ground, lease=lease, sync=lambda: made[0].sync)
    hands = Hands(
        core=node.core, ground=ground, reign=node.reign, following=node.following, fitness=node.fitness, vip=None,
        comparison=Comparison(node.paths, "a", node.neighbour),
    )  # fmt: skip
    settings = RoleSettings(node="a", peer="b", voters=1, ttl_s=LEASE_S, heartbeat_s=0.5, tick_s=0.05)
    made.append(RoleLoop(settings, hands, EtcdKeys(client), LeaseClock(), timeline=Timeline(folder / "timeline.jsonl")))
    return hands, made[0]


@pytest.fixture
async def ward(tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ward]:
    """``a`` leads, ``b`` follows over the wire; the box looks at ``a``'s figures."""
    monkeypatch.setattr(voters, "EVERY_S", 0.05)
    first, second = await founded(tmp_path / "pair")
    async with AsyncExitStack() as stack:
        voter = make_set(tmp_path, ("a",))
        stack.callback(voter.stop)
        voter.start()
        b = await make_node(stack, second)
        wire = await stack.enter_async_context(cutting_relay("127.0.0.1", b.config.cluster.peer_port))
        assert called_through(first, wire.port) == b.config.cluster.peer_port
        node = await make_node(stack, first)
        await voter.wait_ready()
        client = voter.client()
        stack.push_async_callback(client.close)
        await EtcdKeys(client).initialise("a")
        hands, loop = led_by(node, client, tmp_path)
        box.metrics, clock_of_b = node.core.metrics, SetClock()
        node.core.watching.join(node.neighbour, loop)
        Watching(second, b.config, clock_of_b, Metrics(), "b").join(b.neighbour, loop)
        stack.push_async_callback(hands.close)
        await stack.enter_async_context(running(loop))
        await until(lambda: hands.primacy is not None)
        await b.hands.fence(loop.epoch)
        await b.hands.follow(loop.epoch, Position(0, 0))
        yield Ward(Leading(node, hands, loop), b, clock_of_b, wire, voter)


@asynccontextmanager
async def running(loop: RoleLoop) -> AsyncIterator[None]:
    task = asyncio.create_task(loop.run(), name="roles of a")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@fires(
    "NodeDown", "PeerAway", "ClusterDegraded", "ReplicationLag", "ClockOff", "ReadOnly", "VoterLost", "WritesUnconfirmed"
)  # fmt: skip
async def test_a_pair_in_trouble(box: Box, ward: Ward) -> None:
    door = ward.door()
    try:
        await until(lambda: ward.a.status.mode == "paired")
        await ward.a.node.begin_vows()
        await ward.shows(box)
        await a_peer_that_takes_nothing_in(box, ward)
        await clocks_that_part(box, ward)
        await a_peer_that_is_gone(box, ward, door)
        door = ward.door()
        await ward.shows(box)
        await a_voter_that_freezes(box, ward)
    finally:
        await door.drain()


async def a_peer_that_takes_nothing_in(box: Box, ward: Ward) -> None:
    """The wire holds what is sent: a write is acknowledged alone, and half a minute later the copy trails."""
    primacy, ahead_s = ward.a.hands.primacy, [0.0]
    assert primacy is not None
    primacy.shipper.monotonic = lambda: time.monotonic() + ahead_s[0]
    ward.wire.hold()
    await ward.a.node.write("alone")
    await ward.shows_at_least(box, "ClusterDegraded")
    ahead_s[0] = 30.0
    await ward.shows_at_least(box, "ClusterDegraded", "ReplicationLag")
    ward.wire.release()
    await ward.shows(box)


async def clocks_that_part(box: Box, ward: Ward) -> None:
    ward.clock_of_b.by_s = -90.0
    await ward.shows(box, "ClockOff")
    ward.clock_of_b.by_s = 0.0
    await ward.shows(box)


async def a_peer_that_is_gone(box: Box, ward: Ward, door: Server) -> None:
    """First the wire between the two, then the door of the other one: nobody is left who could be asked."""
    ward.wire.away = True
    ward.wire.cut()
    await until(lambda: not ward.a.hands.report().peer_reachable)
    await ward.a.node.write("alone again")
    await ward.shows_at_least(box, "PeerAway", "ClusterDegraded")
    assert "NodeDown" not in box.on()
    await door.drain()
    await ward.a.node.core.watching.measure()
    await ward.shows_at_least(box, "PeerAway", "NodeDown")
    ward.wire.away = False


async def a_voter_that_freezes(box: Box, ward: Ward) -> None:
    """Nobody can say any more who leads, nor may this node acknowledge alone."""
    ward.voter.kill("a", signal.SIGSTOP)
    try:
        ward.wire.hold()
        with pytest.raises(ProntuarioError):
            await ward.a.node.write("unsure")
        await ward.shows_at_least(box, "ReadOnly", "VoterLost", "WritesUnconfirmed")
    finally:
        ward.voter.kill("a", signal.SIGCONT)
        ward.wire.release()
    await ward.shows(box)
