"""Hands that remember what they did. A shared ``FakeRecord`` stands for what replication would carry between two nodes."""

from __future__ import annotations

import asyncio

from appliance.cluster.errors import NO_HANDOVER
from appliance.cluster.hands import NodeReport
from appliance.cluster.model import NOTHING, Position


class FakeHands:
    """One node's hands. ``slow_s`` delays every slow job; ``failing`` names jobs that raise."""

    def __init__(self, node: str, held: Position = NOTHING) -> None:
        self.node = node
        self.held = held
        self.did: list[str] = []
        self.doing = ""
        self.failing: set[str] = set()
        self.slow_s = 0.0
        self.fenced = 0
        self.record_epoch: int | None = None
        self.peer_reachable = True
        self.healthy = True
        self.address_until: float | None = None
        self.open_in: int | None = None

    def report(self) -> NodeReport:
        return NodeReport(
            fence=self.fenced, held=self.held, record_epoch=self.record_epoch, healthy=self.healthy,
            peer_reachable=self.peer_reachable, mode="paired", vip=self.address_until is not None,
        )  # fmt: skip

    async def fence(self, epoch: int) -> None:
        await self._do(f"fence {epoch}")
        self.fenced = max(self.fenced, epoch)

    async def drain_received(self, *, accept_loss: bool = False) -> Position:
        await self._do("drain with loss" if accept_loss else "drain")
        return self.held

    async def open_record(self, epoch: int) -> None:
        await self._do(f"open {epoch}")
        self.record_epoch, self.held, self.open_in = epoch, Position(epoch, 1), epoch

    async def close_record(self) -> None:
        await self._do("close")
        self.open_in = None

    async def quiesce(self) -> Position:
        await self._do("quiesce")
        return self.held

    async def resume(self) -> None:
        await self._do("resume")

    async def follow(self, epoch: int, base: Position) -> None:
        await self._do(f"follow {epoch}")
        self.held = Position(epoch, 1)

    async def set_aside_and_compare(self, base: Position) -> None:
        await self._do(f"set aside {base.epoch}.{base.txid}")
        self.record_epoch = None

    async def acquire_vip(self, epoch: int, deadline_s: float) -> None:
        self.did.append(f"address {epoch}")
        self.address_until = deadline_s

    async def renew_vip(self, epoch: int, deadline_s: float) -> None:
        self.address_until = deadline_s

    async def release_vip(self) -> None:
        self.address_until = None

    async def _do(self, what: str) -> None:
        self.doing = what
        await asyncio.sleep(self.slow_s)
        if what.split(maxsplit=1)[0] in self.failing:
            raise NO_HANDOVER(reason="the fake was told to fail")
        self.did.append(what)
