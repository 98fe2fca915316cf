"""The drill: a planned handover with a stop-watch, ordered by a person, put off while somebody is dictating.

The node that leads carries it out; its process goes on as the standby afterwards and so can measure to the end. The result
lies in etcd; each node puts it into its own timeline, and the one whose record is open into the audit log.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import httpx

from appliance.care.under_way import consults_under_way
from appliance.cluster import operator
from appliance.cluster.etcd_keys import Request
from appliance.cluster.model import ClusterStatus, Drill, Event
from appliance.cluster.readiness import not_in_step
from appliance.cluster.reasons import Reason, reason, refusal
from appliance.cluster.roles import RoleLoop
from appliance.config import Config, Paths
from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_api.storage import Store
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("cluster")
LIMIT_S: Final = 60.0
"""A handover that nobody ended by then has failed."""
PATIENCE_S: Final = 3600.0
"""How long a drill waits for consults to end before it is given up."""
LOOK_S: Final = 5.0
NEWS_S: Final = 1.0
_POLL_S: Final = 0.02
_TRIES: Final = 4
_PAUSE_S: Final = 0.5
_ASK_LIMIT_S: Final = 1.0
Rehearse = Callable[[str], Awaitable[object]]
"""Given who asked: the whole rehearsal, with its watched writes and its signed report; calls ``carry_out`` meanwhile."""
KINDS: Final = frozenset({"drill", "drill_failed"})

NO_DRILL = define(
    "cluster.no_drill",
    409,
    pt=("O simulado não é possível agora: {reason_pt}.", "Veja a página do par e tente depois."),
    en=("The drill is not possible now: {reason}.", "See the page of the pair and try later."),
)


class Gap:
    """The longest time during which neither node's door said that it is the primary."""

    def __init__(self, addresses: tuple[str, ...], trusted: ssl.SSLContext) -> None:
        """``addresses``: ``host:port`` of both nodes' own API."""
        self._addresses = addresses
        self._trusted = trusted
        self.longest_s = 0.0

    async def until_after(self, epoch: int) -> None:
        """Return once a primary of a later epoch answers."""
        seen = time.monotonic()
        async with httpx.AsyncClient(verify=self._trusted, timeout=_ASK_LIMIT_S) as client:
            while True:
                for address in self._addresses:
                    served = await _epoch_served(client, address)
                    if served is None:
                        continue
                    now = time.monotonic()
                    self.longest_s, seen = max(self.longest_s, now - seen), now
                    if served > epoch:
                        return
                self.longest_s = max(self.longest_s, time.monotonic() - seen)
                await asyncio.sleep(_POLL_S)


class Drills:
    """One per node. ``start`` it; ``begin`` is for the node that leads."""

    def __init__(self, roles: RoleLoop, store: Store, clock: Clock, gap: Callable[[], Gap]) -> None:
        """``gap`` makes the stop-watch."""
        self._roles = roles
        self._store = store
        self._clock = clock
        self._gap = gap
        self._news: asyncio.Task[None] | None = None
        self._drill: asyncio.Task[Drill | None] | None = None
        self._waits = False
        self._rehearsing = False
        self._went: Drill | None = None
        self.rehearse: Rehearse | None = None
        """What a person's order sets going; None: the bare handover."""

    async def start(self) -> None:
        """Begin to listen for drills that were carried out, here or on the other node."""
        self._news = asyncio.create_task(self._listen(), name="drill news")

    async def close(self) -> None:
        """A drill that waits is forgotten; one under way is measured no further."""
        tasks: set[asyncio.Task[Any]] = {task for task in (self._news, self._drill) if task is not None}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def refusal(self, status: ClusterStatus) -> Reason | None:
        """Why there can be no drill now; None if there can."""
        if self._drill is not None and not self._drill.done():
            return reason("drill_waits" if self._waits else "drill_under_way")
        if status.leader is None:
            return reason("nobody_leads")
        if status.leader != status.node:
            return reason("not_leading_here", node=status.leader)
        if status.mode != "paired" or status.in_sync is None:
            return not_in_step(status)
        return None

    def check(self, status: ClusterStatus) -> None:
        """Raise ``cluster.no_drill`` 409 when ``refusal`` says so."""
        refused = self.refusal(status)
        if refused is not None:
            raise refusal(NO_DRILL, refused)

    def begin(self, by: str) -> None:
        """A person's order: rehearse as soon as nobody dictates; ``check`` first."""
        self._drill = asyncio.create_task(
            self._run(by, self._rehearse if self.rehearse else self._measure), name="drill"
        )

    async def carry_out(self, by: str) -> Drill:
        """``check``, hand over as soon as nobody dictates, and wait for the end; how it went.

        Raises:
            ProntuarioError: ``cluster.no_drill`` 409: it is not possible, or was given up.
        """
        status = operator.status(self._roles)
        if self._rehearsing:  # what a person's order waits for has been waited for
            return await self._measure(by, status)
        self.check(status)
        self._drill = asyncio.create_task(self._run(by, self._measure), name="drill")
        went = await asyncio.shield(self._drill)
        if went is None:
            raise refusal(NO_DRILL, reason("drill_given_up"))
        return went

    # -- carrying it out ------------------------------------------------------------------------------------------------
    async def _run(self, by: str, carry: Callable[[str, ClusterStatus], Awaitable[Drill | None]]) -> Drill | None:
        try:
            if not await self._nobody_dictates(by):
                return None
            before = operator.status(self._roles)
            refused = self._blocked_by(before)
            if refused is not None:
                pt, en = f"O simulado não foi feito: {refused.pt}.", f"The drill was not made: {refused.en}."
                self._tell("drill_given_up", pt, en)
                return None
            return await carry(by, before)
        except ProntuarioError as error:
            log.warning("a drill could not be carried out", code=error.kind.code)
            self._tell(
                "drill_given_up",
                f"O simulado não foi feito: {error.sentence('pt')}",
                f"The drill was not made: {error.sentence('en')}",
            )
            return None

    def _blocked_by(self, status: ClusterStatus) -> Reason | None:
        """As ``refusal``, but for the drill itself."""
        drill, self._drill = self._drill, None
        try:
            return self.refusal(status)
        finally:
            self._drill = drill

    async def _nobody_dictates(self, by: str) -> bool:
        """Wait for it; False after ``PATIENCE_S``."""
        ends = time.monotonic() + PATIENCE_S
        while count := await self._store.read(lambda q: consults_under_way(q, self._clock.now())):
            if not self._waits:
                self._waits = True
                self._tell(
                    "drill_postponed",
                    f"Simulado pedido por {by}: espera {_consults_pt(count)} terminar.",
                    f"Drill asked for by {by}: it waits for {count} consult{'s' if count > 1 else ''} to end.",
                )
            if time.monotonic() >= ends:
                self._waits = False
                self._tell(
                    "drill_given_up",
                    "O simulado foi deixado para depois: há consultas há uma hora sem parar.",
                    "The drill was left for later: there have been consults for an hour.",
                )
                return False
            await asyncio.sleep(LOOK_S)
        self._waits = False
        return True

    async def _rehearse(self, by: str, _before: ClusterStatus) -> Drill | None:
        """The handover within its rehearsal. One that failed before the handover has told nobody yet: say so."""
        assert self.rehearse is not None  # noqa: S101  ``begin`` looked
        self._rehearsing, self._went = True, None
        try:
            await self.rehearse(by)
        finally:
            self._rehearsing = False
        if self._went is None:
            pt, en = (
                "O simulado falhou antes da troca: leia o relatório.",
                "The drill failed before the handover: read its report.",
            )
            self._tell("drill_given_up", pt, en)
        return self._went

    async def _measure(self, by: str, before: ClusterStatus) -> Drill:
        gap = self._gap()
        log.info("a drill begins", epoch=before.epoch, node=before.leader)
        watch = asyncio.create_task(gap.until_after(before.epoch), name="stop-watch")
        try:
            await self._order(by, before)
            done, _ = await asyncio.wait({watch}, timeout=LIMIT_S)
        finally:
            watch.cancel()
            await asyncio.wait({watch})
        ok = bool(done)
        drill = Drill(
            instant(self._clock.now()), round(gap.longest_s, 3), ok, by, before.leader or "", before.peer if ok else ""
        )
        await _insist(lambda: self._roles.keys.record_drill(drill))
        self._went = drill
        log.info("a drill ended", status="ok" if ok else "failed", duration_ms=int(drill.outage_s * 1000))
        return drill

    async def _order(self, by: str, before: ClusterStatus) -> None:
        """Ask for the handover; always to the same node, so that asking again can't hand back what was handed over.

        Raises:
            ProntuarioError: ``cluster.no_quorum``, after several tries.
        """
        request = Request(before.peer, by, instant(self._clock.now()), before.epoch)
        await _insist(lambda: self._roles.keys.ask("handover", request))

    # -- telling of it --------------------------------------------------------------------------------------------------
    async def _listen(self) -> None:
        while True:
            view = self._roles.view
            if view is not None and view.drill is not None and self._is_news(view.drill):
                self._roles.timeline.add(as_event(view.drill, view.epoch))
                await self._record(view.drill)
            await asyncio.sleep(NEWS_S)

    def _is_news(self, drill: Drill) -> bool:
        events = self._roles.timeline.latest(1 << 16)
        told = any(event.kind in KINDS and event.at == drill.at for event in events)
        return not told and (not events or drill.at > events[0].at)

    async def _record(self, drill: Drill) -> None:
        event = AuditEvent(
            at=instant(self._clock.now()),
            action="cluster drill ended",
            user_id=drill.by,
            resource="cluster",
            status=200 if drill.ok else 500,
            detail_code=f"{drill.before}-{drill.after or 'nobody'}-{round(drill.outage_s * 1000)}ms",
        )
        with suppress(ProntuarioError):  # no record is open here: the other node's business
            await self._store.write(lambda tx: audit.append(tx, event))

    def _tell(self, kind: str, pt: str, en: str) -> None:
        node, epoch = self._roles.settings.node, self._roles.epoch
        self._roles.timeline.add(Event(instant(self._clock.now()), node, kind, pt, en, epoch))


async def _insist(call: Callable[[], Awaitable[None]]) -> None:
    """Voters that are slow for a moment are no reason to give up; ``call`` may be carried out twice."""
    for _ in range(_TRIES):
        with suppress(ProntuarioError):
            return await call()
        await asyncio.sleep(_PAUSE_S)
    return await call()


def as_event(drill: Drill, epoch: int) -> Event:
    """The result in plain words, for a timeline."""
    by_pt, by_en = (f" (pedido por {drill.by})", f" (asked for by {drill.by})") if drill.by else ("", "")
    if not drill.ok:
        return Event(
            drill.at,
            drill.before,
            "drill_failed",
            f"O simulado{by_pt} falhou: ninguém assumiu no lugar de {drill.before}.",
            f"The drill{by_en} failed: nobody took over from {drill.before}.",
            epoch,
        )
    seconds_pt, seconds_en = f"{drill.outage_s:.2f}".replace(".", ","), f"{drill.outage_s:.2f}"
    return Event(
        drill.at,
        drill.after,
        "drill",
        f"Simulado{by_pt}: {drill.after} assumiu no lugar de {drill.before}; ninguém atendeu por {seconds_pt} s.",
        f"Drill{by_en}: {drill.after} took over from {drill.before}; nobody served for {seconds_en} s.",
        epoch,
    )


def stop_watch(paths: Paths, config: Config) -> Gap:
    """A stop-watch over both nodes' own doors."""
    local = config.api.host in {"127.0.0.1", "0.0.0.0"}  # noqa: S104  compared, not bound
    own = f"{'localhost' if local else config.api.host}:{config.api.port}"
    return Gap((own, config.cluster.peer_api), ssl.create_default_context(cafile=str(paths.ca)))


async def _epoch_served(client: httpx.AsyncClient, address: str) -> int | None:
    try:
        answer = await client.get(f"https://{address}/health/primary")
    except httpx.HTTPError:
        return None
    return int(answer.headers.get("prontuario-epoch", "0")) if answer.status_code == httpx.codes.OK else None


def _consults_pt(count: int) -> str:
    return "uma consulta" if count == 1 else f"{count} consultas"


__all__ = ["LIMIT_S", "NO_DRILL", "Drills", "Gap", "as_event", "stop_watch"]
