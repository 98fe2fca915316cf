"""Two nodes' certificates, and a server and a link that use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_server import Handler, PeerServer
from appliance.security.node_authority import NodeFiles, client_side, prepare_node, server_side
from tests.cluster.replication.nodes import Primary, Standby


@pytest.fixture(scope="session")
def r_certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NodeFiles]:
    """Those of nodes ``a`` and ``b``, of one authority."""
    folder = tmp_path_factory.mktemp("secrets")
    now = datetime.now(UTC)
    return {name: prepare_node(folder, [name], now, file_name=name) for name in ("a", "b")}


@dataclass
class Wire:
    """Node ``a`` asks, node ``b`` answers."""

    server: PeerServer
    link: PeerLink


Wiring = Callable[[Mapping[type[Any], Handler]], Awaitable[Wire]]


@pytest.fixture
async def r_wire(r_certificates: dict[str, NodeFiles]) -> AsyncIterator[Wiring]:
    """Makes a server with the given handlers, and a link to it that stands."""
    async with AsyncExitStack() as stack:

        async def wire(handlers: Mapping[type[Any], Handler]) -> Wire:
            server = PeerServer("127.0.0.1", 0, server_side(r_certificates["b"]), handlers)
            await server.start()
            stack.push_async_callback(server.close)
            link = PeerLink("127.0.0.1", server.port, client_side(r_certificates["a"]), name="b")
            link.start()
            stack.push_async_callback(link.close)
            async with asyncio.timeout(30):
                await link.wait_up()
            return Wire(server, link)

        yield wire


MAC_FOLDER = "Application Support/Prontuário 100%"
"""A Mac's homes lie below a folder with a space in its name."""
Pair = tuple[Primary, Standby]
Maker = Callable[..., Awaitable[Pair]]


@pytest.fixture
async def make_pair(tmp_path: Path, r_certificates: dict[str, NodeFiles]) -> AsyncIterator[Maker]:
    async with AsyncExitStack() as stack:

        async def make(**settings: float) -> Pair:
            standby = Standby(tmp_path / "b", r_certificates)
            await standby.receiver.fence(1)
            await standby.start()
            stack.push_async_callback(standby.stop)
            primary = Primary(tmp_path / "a", r_certificates, standby.port, **settings)  # type: ignore[arg-type]
            await primary.start(stack)
            return primary, standby

        yield make


async def until(fact: Callable[[], object], limit_s: float = 60.0) -> None:
    """Wait for ``fact`` to become true."""
    async with asyncio.timeout(limit_s):
        while True:
            if fact():
                return
            await asyncio.sleep(0.005)


async def paired(primary: Primary) -> None:
    """Wait until the key names the peer."""
    await until(lambda: "in" in primary.log and primary.barrier.mode == "paired")
