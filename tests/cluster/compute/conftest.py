"""Two nodes' engines and the real link between them: node ``a`` borrows, node ``b`` lends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import pytest

from appliance.cluster.compute_service import ComputeService
from appliance.cluster.compute_sharing import SharedInference
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import Answer, Call
from appliance.cluster.peer_server import PeerServer
from appliance.engines.fleet import EngineFleet
from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineSpec
from appliance.security.node_authority import NodeFiles, client_side, prepare_node, server_side
from appliance.telemetry.metrics import Metrics

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"
PATIENCE_S = 60.0


async def until(fact: Callable[[], object]) -> None:
    """Wait for ``fact`` to become true."""
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110  there is no event for what another process does
            await asyncio.sleep(0.005)


@dataclass
class Both:
    """``frozen``: while it is set, node ``b`` neither offers nor answers, and its connection stands.

    ``engines`` are node ``a``'s now; ``another`` makes one more like them.
    """

    here: EngineSupervisor
    there: EngineSupervisor
    metrics: Metrics
    server: PeerServer
    service: ComputeService
    sharing: SharedInference
    engines: list[EngineSupervisor]
    another: Callable[[], Awaitable[EngineSupervisor]]
    calls: list[Call] = field(default_factory=list)
    frozen: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_call(self, call: Call) -> AsyncGenerator[Answer, None]:
        self.calls.append(call)
        async for answer in self.service.on_call(call):
            while self.frozen.is_set():  # noqa: ASYNC110  a frozen process polls nothing, but its test must end
                await asyncio.sleep(0.01)
            yield answer

    async def ask(self, kind: str, value: object = b"", **options: Any) -> list[bytes]:
        """Every piece of an answer; each call is another user's."""
        payload = value if isinstance(value, bytes) else msgspec.msgpack.encode(value)
        call = CallOptions(**{"deadline_s": PATIENCE_S, **options})
        return [piece async for piece in self.here.submit(kind, payload, call)]

    async def fill_here(self) -> list[asyncio.Task[list[bytes]]]:
        """Nothing more fits into node ``a``'s own engine."""
        slots = self.here.spec.max_running - self.here.running
        tasks = [
            asyncio.create_task(self.ask("mute", user=f"busy-{n}", idempotent=False, deadline_s=600))
            for n in range(slots)
        ]
        await until(lambda: self.here.running == self.here.spec.max_running)
        return tasks

    def counted(self, event: str) -> float:
        labels = {"engine": "echo", "event": event}
        return self.metrics.registry.get_sample_value("prontuario_engine_shared_requests_total", labels) or 0.0


Make = Callable[..., Awaitable[Both]]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, NodeFiles]:
    """Those of nodes ``a`` and ``b``, of one authority."""
    folder = tmp_path_factory.mktemp("secrets")
    now = datetime.now(UTC)
    return {name: prepare_node(folder, [name], now, file_name=name) for name in ("a", "b")}


@pytest.fixture
async def make_both(certificates: dict[str, NodeFiles]) -> AsyncIterator[Make]:
    """Makes two nodes; ``there`` changes fields of node ``b``'s engine, ``version`` its software."""
    async with AsyncExitStack() as stack:

        async def engine(metrics: Metrics, spec: EngineSpec) -> EngineSupervisor:
            fleet = EngineFleet(MemoryLedger(), metrics, Rhythm(tick_s=0.05, ping_s=0.1))
            fleet.add(fleet.make(spec, "toy"))
            stack.push_async_callback(fleet.stop, 0.0)
            await fleet.start()
            assert await fleet.wait_ready(PATIENCE_S)
            return fleet.engine(spec.name)

        async def make(
            *, port: int = 0, there: dict[str, Any] | None = None, version: str = "1", together: bool = True
        ) -> Both:
            metrics = Metrics()
            fields: dict[str, Any] = {"name": "echo", "factory": ECHO, "max_running": 2}
            own, other = await asyncio.gather(
                engine(metrics, EngineSpec(**fields)), engine(Metrics(), EngineSpec(**(fields | (there or {}))))
            )
            service = ComputeService(lambda: [other], version)
            server = PeerServer("127.0.0.1", port, server_side(certificates["b"]))
            await server.start()
            stack.push_async_callback(server.close)
            link = PeerLink("127.0.0.1", server.port, client_side(certificates["a"]), name="b")
            engines = [own]
            sharing = SharedInference(link, lambda: engines, "1")
            another = partial(engine, Metrics(), EngineSpec(**fields))
            both = Both(own, other, metrics, server, service, sharing, engines, another)
            server.handlers[Call] = both.on_call
            both.sharing.start()
            stack.push_async_callback(both.sharing.close)
            if together:
                await until(lambda: both.sharing.state == "both")
            return both

        yield make
