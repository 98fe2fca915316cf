"""Core as one half of a pair: everything that a node alone has, and the parts that let the record move between two."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from appliance.cluster.etcd_client import EtcdClient
from appliance.cluster.etcd_keys import EtcdKeys
from appliance.cluster.events import Timeline
from appliance.cluster.hands import SyncAuthority
from appliance.cluster.lease_clock import LeaseClock
from appliance.cluster.model import LeaseView, Role
from appliance.cluster.roles import RoleLoop, RoleSettings
from appliance.cluster.vip_client import VipClient
from appliance.config import Config, Paths
from appliance.daemon.assembly import Core, assemble
from appliance.daemon.examined import Examined
from appliance.daemon.pair.computing import Computing
from appliance.daemon.pair.desk import PairDesk
from appliance.daemon.pair.divergences import SERVICE, Comparison, review_service
from appliance.daemon.pair.drill import Drills, stop_watch
from appliance.daemon.pair.drill_partner import PairPartner
from appliance.daemon.pair.fitness import Fitness
from appliance.daemon.pair.following import Following
from appliance.daemon.pair.hands import Hands
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.pair.primacy import Ground
from appliance.daemon.pair.recurring import furnish, furnish_drills
from appliance.daemon.pair.reign import Reign
from appliance.daemon.pair.standing import PairStanding, where_the_record_is
from appliance.daemon.record import RecordSlot
from appliance.daemon.vipd.settings import DEFAULT_SOCKET
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import HealthCheck
from appliance.security.node_authority import client_side, node_files
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
_FOUNDING_POLL_S: Final = 0.5
_LEADING: Final = frozenset({Role.PRIMARY, Role.DRAINING})
_TOLD: Final = {Role.PRIMARY: "primary", Role.FENCED: "fenced"}
"""How plugins are told a role; every other one is ``standby`` to them."""


class PairNode:
    """Made by ``open``; ``run`` serves the roles until ``stop``."""

    def __init__(
        self, core: Core, roles: RoleLoop, hands: Hands, reign: Reign, *, desk: PairDesk, neighbour: Neighbour
    ) -> None:
        self.core = core
        self.neighbour = neighbour
        self.roles = roles
        self.desk = desk
        self.examined = Examined(core)
        self._hands = hands
        self._reign = reign
        self._telling: set[asyncio.Task[None]] = set()
        self._was = Role.INIT

    async def run(self) -> None:
        """Follow or lead until ``stop``; whatever is open is closed at the end."""
        founding = asyncio.create_task(self._found(), name="founding")
        try:
            await self.roles.run()
        finally:
            founding.cancel()
            await asyncio.wait({founding})
            await self._hands.close()

    async def stop(self) -> None:
        """Hand the record over if the other node can take it, and let ``run`` return."""
        await self.roles.stop()

    def changed(self, role: Role, _epoch: int) -> None:
        """The role loop tells of a new role; nothing here waits."""
        if self._was in _LEADING and role not in _LEADING:
            self.core.application.hand_over()
        self._was = role
        self.core.identity.forget()
        task = asyncio.create_task(self.core.host.role_changed(_TOLD.get(role, "standby")), name="plugins hear")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _found(self) -> None:
        """The very first start of a new pair: the node that brings a record from its time alone names itself the holder."""
        while self._reign.epoch == 0:
            try:
                if (await self.roles.keys.view()).sync is not None:
                    return
                await self.roles.keys.initialise(self.roles.settings.node)
            except ProntuarioError as error:
                log.debug("the pair can't be founded yet", code=error.kind.code)
            await asyncio.sleep(_FOUNDING_POLL_S)


async def open_pair(stack: AsyncExitStack, paths: Paths, config: Config) -> PairNode:
    """Wire a paired core and start what it has whatever its role; ``stack`` stops it.

    Raises:
        ProntuarioError, ConfigError, OSError: a part can't be made.
    """
    opening = _Opening(config)
    slot = RecordSlot(opening.primary_address)
    desk = PairDesk(slot, SystemClock())
    standing = PairStanding(slot, LeaseClock(), opening.lease, opening.role, opening.epoch)
    core = await assemble(stack, paths, config, slot=slot, standing=standing, desk=desk)
    neighbour, reign = Neighbour(paths, config), Reign(paths)
    following = Following(paths, neighbour.receiver, reign)
    fitness = Fitness(paths)
    ground = Ground(paths, config, core.metrics, neighbour, core.blobs, opening.lease, opening.sync)
    comparison = Comparison(paths, config.cluster.node, neighbour)
    hands = Hands(
        core=core,
        ground=ground,
        reign=reign,
        following=following,
        comparison=comparison,
        fitness=fitness,
        vip=_vip(config),
    )
    client = EtcdClient(
        [f"https://{endpoint}" for endpoint in config.cluster.etcd_endpoints], client_side(node_files(paths.secrets))
    )
    stack.push_async_callback(client.close)
    roles = RoleLoop(
        _settings(config), hands, EtcdKeys(client), LeaseClock(), timeline=Timeline(_timeline(paths)),
        on_change=opening.changed, tracer=core.tracer,
    )  # fmt: skip
    node = PairNode(core, roles, hands, reign, desk=desk, neighbour=neighbour)
    opening.node = node
    drills = Drills(roles, slot, core.clock, lambda: stop_watch(paths, config))
    desk.sit(roles, drills)
    await drills.start()
    stack.push_async_callback(drills.close)
    neighbour.services[SERVICE] = review_service(slot, core.clock)
    node.examined.join(neighbour)
    furnish(core, hands, following, neighbour)
    furnish_drills(core, PairPartner(drills, hands, neighbour, slot, paths), neighbour)
    computing = Computing(neighbour, core.fleet, share=config.cluster.share_inference, tracer=core.tracer)
    desk.computing = computing
    _join(core, neighbour, roles)
    core.watching.open(stack, core.health, core.recurring.schedule, slot)
    stack.push_async_callback(core.recurring.schedule.stop)
    core.health.add(HealthCheck("fitness", fitness.health))
    core.health.add(HealthCheck("warm copy", following.health))
    await fitness.start()
    stack.push_async_callback(fitness.close)
    await neighbour.start()
    comparison.resume()
    stack.push_async_callback(neighbour.close)
    computing.start()
    stack.push_async_callback(computing.close)
    await core.recurring.start()
    return node


def _join(core: Core, neighbour: Neighbour, roles: RoleLoop) -> None:
    """What each node knows of the other by asking it."""
    core.watching.join(neighbour, roles)
    core.updates.join(neighbour.services, neighbour.call)
    core.witness.join(neighbour.services, neighbour.call)


class _Opening:
    """Answers for the role loop before it exists: the API, the barrier and the loop each need the other."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.node: PairNode | None = None

    def lease(self) -> LeaseView | None:
        return self.node.roles.lease() if self.node is not None else None

    def role(self) -> Role:
        return self.node.roles.role if self.node is not None else Role.INIT

    def epoch(self) -> int:
        return self.node.roles.epoch if self.node is not None else 0

    def sync(self) -> SyncAuthority:
        assert self.node is not None, "nothing is opened before the role loop runs"  # noqa: S101
        return self.node.roles.sync

    def changed(self, role: Role, epoch: int) -> None:
        if self.node is not None:
            self.node.changed(role, epoch)

    def primary_address(self) -> str | None:
        if self.node is None:
            return None
        cluster = self._config.cluster
        return where_the_record_is(
            self.node.desk.status(), client_address=cluster.client_address, peer_api=cluster.peer_api
        )


def _settings(config: Config) -> RoleSettings:
    cluster = config.cluster
    return RoleSettings(
        node=cluster.node,
        peer=cluster.peer,
        voters=len(cluster.etcd_endpoints),
        ttl_s=max(1, round(cluster.lease_ttl_s)),
    )


def _vip(config: Config) -> VipClient | None:
    cluster = config.cluster
    if not cluster.vip_addresses:
        return None
    socket = Path(cluster.vipd_socket) if cluster.vipd_socket else DEFAULT_SOCKET
    return VipClient(socket, cluster.vip_addresses, cluster.vip_interface)


def _timeline(paths: Paths) -> Path:
    return paths.home / "data" / "timeline.jsonl"
