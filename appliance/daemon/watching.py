"""Alerts of a node: its own feed, the other node's beside it, and the figures that only the composition root can reach."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from prometheus_client import Gauge

from appliance.cluster import operator
from appliance.cluster.model import ClusterStatus, Role
from appliance.cluster.roles import RoleLoop
from appliance.config import Config, Paths
from appliance.daemon.pair.neighbour import Neighbour
from appliance.daemon.record import READ_ONLY, RecordSlot
from appliance.operations.errors import ALERT_UNKNOWN
from appliance.operations.schedule import Schedule
from appliance.operations.watching.feed import Alert, AlertFeed
from appliance.operations.watching.node_figures import AUDIT_CHECK, AuditCheck, audit_task, show_machine
from appliance.operations.watching.other_node import OtherNode
from appliance.operations.watching.outbox import Outbox
from appliance.operations.watching.targets import targets_of
from appliance.operations.watching.watch import Watch
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import HealthCheck
from appliance.plugin_api.storage import Store
from appliance.security.audit_heads import Report, check_log
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.health import HealthRegistry
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("alerts")
SERVICE: Final = "alerts"
LIST: Final = "list"
SEEN: Final = "seen"
CLOCK: Final = "clock"
_PEER_LIMIT_S: Final = 3.0
_FRESH_S: Final = 5.0
_UNKNOWN: Final = float("nan")


class Seen(msgspec.Struct, frozen=True):
    """Who has seen which alert; ``at`` is a FHIR instant."""

    id: str
    by: str
    at: str


class Watching:
    """Implements ``appliance.api.admin_alerts.AlertDesk``. ``join`` a pair if there is one, then ``open``."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        clock: Clock,
        metrics: Metrics,
        node: str,
        *,
        check_log: Callable[[Store], Awaitable[Report]] = check_log,
    ) -> None:
        """``check_log``: how the audit log is checked, see ``audit_heads.HeadSigner.check``."""
        self._check_log = check_log
        self._clock, self._metrics, self._paths, self._cluster = clock, metrics, paths, config.cluster
        outbox = Outbox(targets_of(config.alerts), metrics, config.node.hospital, least=config.alerts.least)
        self.feed = AlertFeed(paths.home / "data" / "alerts.json", node, outbox.tell)
        outbox.on_told = self.feed.told
        self._watch = Watch(metrics, clock, self.feed, outbox, measure=self.measure)
        self._neighbour: Neighbour | None = None
        self._other: OtherNode | None = None
        self._offset_s = _UNKNOWN
        self._peer: tuple[float, list[Alert]] = (float("-inf"), [])
        self._tasks: set[asyncio.Task[None]] = set()
        show_machine(
            metrics,
            paths.home,
            {"server": paths.secrets / "server.pem", "root": paths.ca, "node": paths.secrets / "node.pem"},
        )

    def open(self, stack: AsyncExitStack, health: HealthRegistry, schedule: Schedule, slot: RecordSlot) -> None:
        """Begin to watch; ``stack`` ends it. Call it before the schedule starts."""
        check = AuditCheck(slot, self._metrics, self._check_log)
        schedule.add(audit_task(check, lambda: slot.is_open and slot.mode != READ_ONLY))
        check.recall(schedule.trouble(AUDIT_CHECK))
        health.add(HealthCheck("alerts", self._watch.health))
        self._watch.start()
        stack.push_async_callback(self._watch.close)

    def join(self, neighbour: Neighbour, roles: RoleLoop) -> None:
        """This node is one half of a pair: show how the pair stands, and tell the other half what is on here."""
        self._neighbour = neighbour
        neighbour.services[SERVICE] = self._serve_peer
        show_pair(self._metrics, roles)
        if self._cluster.peer_api:
            trusted = ssl.create_default_context(cafile=str(self._paths.ca))
            self._other = OtherNode(self._cluster.peer, self._cluster.peer_api, trusted, self._metrics)
        offset = self._metrics.gauge(
            "clock_peer_offset_seconds", "The other node's clock less this one's; NaN: not known"
        )
        offset.set_function(lambda: self._offset_s)

    async def tell_last(self, within_s: float) -> None:
        """See ``Watch.tell_last``."""
        await self._watch.tell_last(within_s)

    # -- AlertDesk ------------------------------------------------------------------------------------------------------
    async def alerts(self) -> Sequence[Alert]:
        """See ``AlertDesk.alerts``."""
        rows = [*self.feed.rows(), *await self._of_peer()]
        return sorted(rows, key=lambda one: (one.ended is not None, one.severity != "critical" and one.ended is None))

    def check(self, alert_id: str) -> None:
        """See ``AlertDesk.check``."""
        if not self._of_the_other(alert_id):
            self.feed.check(alert_id)

    def acknowledge(self, alert_id: str, by: str) -> None:
        """See ``AlertDesk.acknowledge``."""
        at = instant(self._clock.now())
        if self._of_the_other(alert_id):
            self._begin(self._tell_peer(Seen(alert_id, by, at)))
            return
        try:
            self.feed.acknowledge(alert_id, by, at)
        except ProntuarioError:  # forgotten since it was checked
            return
        self._begin(to_the_end(self.feed.save))

    def _of_the_other(self, alert_id: str) -> bool:
        return any(one.id == alert_id for one in self._peer[1])

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="alert seen")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the other node -------------------------------------------------------------------------------------------------
    async def _ask(self, verb: str, body: bytes = b"") -> bytes:
        assert self._neighbour is not None  # noqa: S101  asked only in a pair
        async with asyncio.timeout(_PEER_LIMIT_S):
            return await self._neighbour.call(SERVICE, verb, body)

    async def _of_peer(self) -> list[Alert]:
        asked_at, known = self._peer
        if self._neighbour is None or time.monotonic() - asked_at < _FRESH_S:
            return known
        try:
            known = msgspec.msgpack.decode(await self._ask(LIST), type=list[Alert])
        except (ProntuarioError, TimeoutError, msgspec.MsgspecError) as error:
            log.debug("the other node's alerts are not known", error=type(error).__name__)
        self._peer = time.monotonic(), known
        return known

    async def _tell_peer(self, seen: Seen) -> None:
        try:
            await self._ask(SEEN, msgspec.msgpack.encode(seen))
        except (ProntuarioError, TimeoutError) as error:
            log.warning("the other node was not told that an alert was seen", error=type(error).__name__)
        self._peer = float("-inf"), self._peer[1]

    async def _serve_peer(self, verb: str, body: bytes) -> bytes:
        if verb == CLOCK:
            return msgspec.msgpack.encode(self._clock.now().timestamp())
        if verb == SEEN:
            seen = msgspec.msgpack.decode(body, type=Seen)
            self.feed.acknowledge(seen.id, seen.by, seen.at)
            await to_the_end(self.feed.save)
        elif verb != LIST:
            raise ALERT_UNKNOWN()
        return msgspec.msgpack.encode(self.feed.rows())

    async def measure(self) -> None:
        """Ask what only the other node can tell: whether its door answers, and what its clock says."""
        await asyncio.gather(self._measure_clock(), *([self._other.ask()] if self._other is not None else []))

    async def _measure_clock(self) -> None:
        """How far the other node's clock is off, as exactly as half the time that the question took."""
        if self._neighbour is None:
            return
        before = self._clock.now().timestamp()
        try:
            told = msgspec.msgpack.decode(await self._ask(CLOCK), type=float)
        except (ProntuarioError, TimeoutError, msgspec.MsgspecError):
            self._offset_s = _UNKNOWN
            return
        after = self._clock.now().timestamp()
        doubt = abs(after - before) / 2
        offset = told - (before + after) / 2
        self._offset_s = max(0.0, abs(offset) - doubt) * (1.0 if offset > 0 else -1.0)


def show_pair(metrics: Metrics, roles: RoleLoop) -> None:
    """From now on the pair's figures, as this node sees them, are read whenever the metrics are."""

    def show(gauge: Gauge, figure: Callable[[ClusterStatus], float | None]) -> None:
        gauge.set_function(lambda: _or_nan(figure(operator.status(roles))))

    reachable = metrics.gauge("cluster_peer_reachable", "Whether the other node answers on the peer link")
    reachable.set_function(lambda: roles.hands.report().peer_reachable)
    known = metrics.gauge(
        "cluster_leader_known", "Whether some node is known to lead the pair; 0 while the voters are silent"
    )
    known.set_function(lambda: _leads_somebody(roles))
    show(metrics.gauge("cluster_leads", "Whether this node leads the pair"), lambda one: one.role is Role.PRIMARY)
    show(metrics.gauge("cluster_degraded", "Whether this node acknowledges alone"), lambda one: one.mode == "degraded")
    show(metrics.gauge("cluster_in_sync", "Whether a standby may take over"), lambda one: one.in_sync is not None)
    show(metrics.gauge("cluster_epoch", "The epoch in which this node acts"), lambda one: one.epoch)
    show(metrics.gauge("cluster_lag_seconds", "How far the standby trails; NaN: not known"), lambda one: one.lag_s)
    show(
        metrics.gauge("cluster_unreplicated_rows", "Rows that are on this node only"), lambda one: one.unreplicated_rows
    )
    show(metrics.gauge("cluster_voters_healthy", "etcd members that answer"), lambda one: one.voters[0])
    show(metrics.gauge("cluster_voters", "etcd members that there are"), lambda one: one.voters[1])


def _leads_somebody(roles: RoleLoop) -> bool:
    """What the voters said last is no knowledge any more once they are silent: a lease may have run out since."""
    view = roles.observe().view
    return view is not None and view.leader is not None


def _or_nan(value: float | None) -> float:
    return _UNKNOWN if value is None else float(value)
