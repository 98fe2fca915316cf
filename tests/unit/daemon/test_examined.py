"""What a running core tells doctor, over the real socket; and what two of them tell each other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from appliance.cluster.replication_errors import PEER_AWAY
from appliance.config.model import Config, Notes, Paths
from appliance.daemon import examined
from appliance.daemon.control import ControlSocket
from appliance.daemon.doctor_line import line_to
from appliance.daemon.examined import Examined
from appliance.operations.doctor.facts import SERVICE, Live, Told
from appliance.plugin_api.hooks import Health, HealthCheck
from appliance.telemetry.health import HealthRegistry
from tests.fakes.hand_clock import HandClock


def node(folder: Path, config: Config | None = None) -> Any:
    """As much of core as doctor asks."""
    paths = Paths(folder)
    paths.secrets.mkdir(parents=True)
    (paths.secrets / "root.pem").write_text("one root for both")
    health = HealthRegistry()

    async def ill() -> Health:
        return Health("degraded", "slow", "wait", message_pt="lento", advice_pt="espere")

    health.add(HealthCheck("speech", ill))
    reports = [SimpleNamespace(name=name, state=name, reason="why") for name in ("active", "quarantined", "disabled")]
    host = SimpleNamespace(report=lambda: reports)
    return SimpleNamespace(paths=paths, config=config or Config(), clock=HandClock(), health=health, host=host)


class Between:
    """The peer link without a network: what one asks, the other answers."""

    def __init__(self) -> None:
        self.services: dict[str, Any] = {}
        self.other: Between | None = None
        self.answer: Any = None

    async def call(self, service: str, verb: str, body: bytes) -> bytes:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return bytes(self.answer)
        assert self.other is not None
        return bytes(await self.other.services[service](verb, body))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Examined, Any, Between]:
    """One node's side, the other node, and the link of the first."""
    other = node(tmp_path / "b", Config(notes=Notes(template="alta")))
    ours, theirs = Between(), Between()
    ours.other = theirs
    first, second = Examined(node(tmp_path / "a")), Examined(other)
    first.join(ours)  # type: ignore[arg-type]
    second.join(theirs)  # type: ignore[arg-type]
    return first, other, ours


async def test_a_node_alone_tells_of_itself(tmp_path: Path) -> None:
    live = await Examined(node(tmp_path / "a")).live()
    assert (live.peer, live.peer_code, live.clock_offset_s) == (None, "", None)
    assert (live.api_host, live.api_port) == ("127.0.0.1", 8443)
    assert live.quarantined == {"quarantined": "why"}
    assert msgspec.to_builtins(live.parts["speech"]) == {
        "status": "degraded", "cause_pt": "lento", "cause_en": "slow", "step_pt": "espere", "step_en": "wait",
    }  # fmt: skip


async def test_a_pair_tells_of_both(pair: tuple[Examined, Any, Between]) -> None:
    first, other, _ = pair
    other.clock.step_wall(90.0)
    live = await first.live()
    assert live.peer is not None
    assert live.peer.authorities == live.own.authorities
    assert live.peer.configuration["notes"] != live.own.configuration["notes"]
    assert live.clock_offset_s is not None
    assert 0 < live.clock_offset_s <= 90.0


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (PEER_AWAY(), PEER_AWAY.code),
        (TimeoutError(), examined.LATE),
        (b"\xc1", examined.UNREADABLE),
        (msgspec.msgpack.encode({"facts": 1}), examined.UNREADABLE),
    ],
)
async def test_why_the_other_node_did_not_tell(pair: tuple[Examined, Any, Between], answer: Any, code: str) -> None:
    first, _, link = pair
    link.answer = answer
    live = await first.live()
    assert (live.peer, live.peer_code, live.clock_offset_s) == (None, code, None)


async def test_the_operators_socket_carries_it(tmp_path: Path) -> None:
    core = node(tmp_path / "a")
    control = ControlSocket(core.paths.socket("control"), Examined(core).verbs())
    await control.start()
    try:
        answer = await asyncio.to_thread(line_to(core.paths.home, within_s=60.0), SERVICE)
    finally:
        await control.stop()
    assert msgspec.convert(answer["live"], Live).own.version
    with pytest.raises(OSError, match=r"."):
        await asyncio.to_thread(line_to(core.paths.home, within_s=60.0), SERVICE)


async def test_what_travels_between_nodes_is_small_and_plain(pair: tuple[Examined, Any, Between]) -> None:
    first, _, link = pair
    told = await first.serve_peer(examined.FACTS, b"")
    assert len(told) < 4096
    assert msgspec.msgpack.decode(told, type=Told).facts.free_bytes > 0
    assert link.services.keys() == {SERVICE}
