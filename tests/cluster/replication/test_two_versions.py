"""While a pair is updated its two nodes run two versions: the newer one's shipper finds the protocol that both speak."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from appliance.cluster.model import Position
from appliance.cluster.peer_messages import OLDEST_PROTOCOL, PROTOCOL, AskHeld, Held, Hello
from appliance.cluster.replication_errors import PEER_AWAY, PEER_MISUNDERSTOOD
from appliance.cluster.shipper import SPOKEN, Shipper
from tests.cluster.replication.conftest import Wiring, until

TODAY, TOMORROW = 1, 2


class Peer:
    """A receiver of a version that speaks ``newest`` and nothing above; ``heard`` are the protocols offered to it."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.heard: list[int] = []
        self.gone = False

    async def on_hello(self, hello: Hello) -> Held:
        self.heard.append(hello.protocol)
        if hello.protocol > self.newest:
            raise PEER_MISUNDERSTOOD(question=f"protocol {hello.protocol}")
        return Held(Position(hello.epoch, 0))

    async def on_ask(self, ask: AskHeld) -> Held:
        if self.gone:
            raise PEER_AWAY(retry_after=1.0)
        return Held(Position(ask.epoch, 0))


@asynccontextmanager
async def shipping(r_wire: Wiring, peer: Peer, folder: Path, protocols: range) -> AsyncIterator[Shipper]:
    wire = await r_wire({Hello: peer.on_hello, AskHeld: peer.on_ask})
    shipper = Shipper(7, folder / "spool", folder / "working", wire.link, node="a", protocols=protocols)
    shipper.start()
    try:
        yield shipper
    finally:
        await shipper.close()


def test_what_is_offered_goes_from_the_newest_to_the_oldest_and_the_one_before_is_still_spoken() -> None:
    assert list(SPOKEN) == sorted(range(OLDEST_PROTOCOL, PROTOCOL + 1), reverse=True)
    assert max(1, PROTOCOL - 1) >= OLDEST_PROTOCOL


async def test_a_newer_version_speaks_the_older_one_s_protocol_to_it(r_wire: Wiring, tmp_path: Path) -> None:
    peer = Peer(TODAY)
    async with shipping(r_wire, peer, tmp_path, range(TOMORROW, TODAY - 1, -1)) as shipper:
        await until(lambda: shipper.held == Position(7, 0))
        assert peer.heard == [TOMORROW, TODAY]
        assert shipper.trouble is None
        assert shipper.refused == ""


async def test_once_the_peer_is_updated_too_the_newer_one_is_spoken(r_wire: Wiring, tmp_path: Path) -> None:
    peer = Peer(TODAY)
    async with shipping(r_wire, peer, tmp_path, range(TOMORROW, TODAY - 1, -1)) as shipper:
        await until(lambda: shipper.held is not None)
        peer.heard.clear()
        peer.newest, peer.gone = TOMORROW, True  # it restarts on the new version
        await until(lambda: peer.heard)
        peer.gone = False
        await until(lambda: shipper.held is not None)
        assert peer.heard[0] == TOMORROW
        assert TODAY not in peer.heard


async def test_without_a_common_protocol_nothing_is_held_and_that_is_told(r_wire: Wiring, tmp_path: Path) -> None:
    peer = Peer(TODAY)
    async with shipping(r_wire, peer, tmp_path, range(TOMORROW + 1, TODAY, -1)) as shipper:
        await until(lambda: shipper.refused == PEER_MISUNDERSTOOD.code)
        assert shipper.held is None
        assert peer.heard[:2] == [TOMORROW + 1, TOMORROW]
