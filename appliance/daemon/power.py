"""A node's power: what watching the UPS may do here, on a node alone and as one half of a pair."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Final, Protocol

import msgspec

from appliance.cluster import operator
from appliance.cluster.model import Role
from appliance.cluster.roles import RoleLoop
from appliance.daemon.assembly import Core
from appliance.daemon.pair.neighbour import Neighbour
from appliance.operations.power.reading import Supply
from appliance.operations.power.switch_off import SwitchOff
from appliance.operations.power.watch import PowerWatch, Standing, ups_of
from appliance.plugin_api.hooks import HealthCheck
from appliance.telemetry.logs import get_logger

log = get_logger("power")
SERVICE: Final = "power"
SUPPLY: Final = "supply"
BY: Final = "power"
"""Who asks for the handover, in the timeline."""
FAREWELL_S: Final = 5.0
"""How long the hospital's mail server and webhooks have for the news that the battery ends."""
LINGER_S: Final = 300.0
"""How long a drained core waits for the machine to go off before it ends, and is started again to serve."""


class Told(msgspec.Struct, frozen=True):
    """What one node tells the other of its power; None: it has no UPS, or does not hear it."""

    supply: Supply | None


class LoneHands:
    """A node alone: there is nobody to hand over to."""

    def __init__(self, core: Core, stop: asyncio.Event, off: SwitchOff) -> None:
        self._core, self._stop, self._off = core, stop, off
        self._farewell: asyncio.Task[None] | None = None

    def standing(self) -> Standing:
        """See ``PowerHands``."""
        return Standing(leads=self._core.store.is_open, peer_can_take_over=False)

    async def peer_supply(self) -> Supply | None:
        """See ``PowerHands``."""
        return None

    async def hand_over(self) -> None:
        """Never asked for."""

    def shed(self, on: bool) -> None:
        """See ``PowerHands``."""
        self._core.fleet.hold_background(on)

    def shut_down(self) -> None:
        """See ``PowerHands``."""
        self._off.order()
        self._farewell = asyncio.create_task(self._core.watching.tell_last(FAREWELL_S), name="power: last word")
        self._stop.set()

    async def said(self) -> None:
        """Return once the last word was said, or nobody took it in time; at once if there is none. Raises nothing."""
        if self._farewell is not None:
            await asyncio.wait({self._farewell})


class PairedHands(LoneHands):
    """One half of a pair."""

    def __init__(
        self, core: Core, stop: asyncio.Event, off: SwitchOff, *, roles: RoleLoop, neighbour: Neighbour
    ) -> None:
        super().__init__(core, stop, off)
        self._roles, self._neighbour = roles, neighbour

    def standing(self) -> Standing:
        """See ``PowerHands``."""
        status = operator.status(self._roles)
        ready = status.mode == "paired" and status.in_sync == status.peer and self._neighbour.link.is_up
        return Standing(leads=status.role is Role.PRIMARY, peer_can_take_over=ready)

    async def peer_supply(self) -> Supply | None:
        """See ``PowerHands``."""
        told = await self._neighbour.call(SERVICE, SUPPLY, b"")
        try:
            return msgspec.msgpack.decode(told, type=Told).supply
        except msgspec.MsgspecError:  # of another version: not known, and no reason to stop watching our own UPS
            return None

    async def hand_over(self) -> None:
        """See ``PowerHands``."""
        await operator.handover(self._roles, BY)


class _Pair(Protocol):
    """What a paired node has besides its core (``daemon.pair.node.PairNode``)."""

    @property
    def core(self) -> Core: ...
    @property
    def roles(self) -> RoleLoop: ...
    @property
    def neighbour(self) -> Neighbour: ...


def watch_alone(stack: AsyncExitStack, core: Core, stop: asyncio.Event, off: SwitchOff) -> PowerWatch:
    """Watch the UPS of a node alone; ``stack`` ends it. ``stop`` is set when the battery ends."""
    return _watch(stack, core, LoneHands(core, stop, off))


def watch_paired(stack: AsyncExitStack, node: _Pair, stop: asyncio.Event, off: SwitchOff) -> PowerWatch:
    """The same for one half of a pair, which tells the other one how it is fed."""
    watch = _watch(stack, node.core, PairedHands(node.core, stop, off, roles=node.roles, neighbour=node.neighbour))

    async def serve_peer(verb: str, body: bytes) -> bytes:
        del verb, body
        return msgspec.msgpack.encode(Told(watch.supply))

    node.neighbour.services[SERVICE] = serve_peer
    return watch


async def wait_for_the_end(stop: asyncio.Event) -> None:
    """Everything is closed; wait for the machine to go off, so that core is not started again on the last of the battery."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            await stop.wait()


def _watch(stack: AsyncExitStack, core: Core, hands: LoneHands) -> PowerWatch:
    config = core.config.power
    watch = PowerWatch(config, hands, core.clock, core.metrics, ups_of(config))
    core.health.add(HealthCheck("power", watch.health))
    watch.start()
    stack.push_async_callback(watch.close)
    stack.push_async_callback(hands.said)
    return watch
