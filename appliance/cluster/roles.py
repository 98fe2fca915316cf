"""The loop around ``decide``: look, decide, let the hands work; one sentence a tick.

Three things never wait for each other: the lease's renewal (its own task), the hands (one job at a time, its own task), and
the address (its own task). etcd may be silent for as long as it likes: the loop goes on looking, the lease runs out by
itself, the address falls with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgspec

from appliance.cluster.decide import decide
from appliance.cluster.decisions import Decision, Job, Observation, Order, Outcome, Settings, State, Tell
from appliance.cluster.etcd_keys import ClusterView, EtcdKeys
from appliance.cluster.events import Timeline
from appliance.cluster.hands import NodeHands
from appliance.cluster.lease import LeaseKeeper
from appliance.cluster.model import LeaseView, Position, Role
from appliance.cluster.sync_key import EtcdSync
from appliance.cluster.voters import Voters
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger
from appliance.telemetry.tracing import NOTHING, SILENT, Span, Tracer, within

log = get_logger("roles")
_LEADING: Final = frozenset({Role.CANDIDATE, Role.PRIMARY, Role.DRAINING})
_GIVING_UP: Final = frozenset({Job.QUIESCE, Job.RESUME, Job.RESIGN})
"""Done in the epoch that ends, for the sake of the next."""
_STALE_S: Final = 1.0
_STOP_S: Final = 15.0
_HURRY: Final = 5
"""How many times faster a node looks while a handover is under way: nobody serves between two looks."""
OnChange = Callable[[Role, int], None]


class RoleSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are and how fast we look. Times in seconds; ``voters``: configured etcd members."""

    node: str
    peer: str
    voters: int = 3
    ttl_s: int = 1
    heartbeat_s: float = 0.2
    tick_s: float = 0.1
    patience: Settings = Settings()


class RoleLoop:
    """``run`` until ``stop``. Everything else may be asked at any time from the same event loop."""

    def __init__(
        self,
        settings: RoleSettings,
        hands: NodeHands,
        keys: EtcdKeys,
        clock: Clock,
        *,
        timeline: Timeline | None = None,
        on_change: OnChange | None = None,
        tracer: Tracer = SILENT,
    ) -> None:
        self.settings = settings
        self.keys = keys
        self.clock = clock
        self.hands = hands
        self._tracer = tracer
        self.timeline = timeline or Timeline(None)
        self.keeper = LeaseKeeper(keys.client, clock, ttl_s=settings.ttl_s, heartbeat_s=settings.heartbeat_s)
        self.sync = EtcdSync(keys, self.keeper, settings.node, settings.peer, clock)
        self.voters = Voters(keys.client, settings.voters)
        self.view: ClusterView | None = None
        self._view_at = 0.0
        self._state = State()
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._job: asyncio.Task[Outcome] | None = None
        self._address: asyncio.Task[None] | None = None
        self._has_address: bool | None = None
        self._wants_address = False
        self._stopping = False

    @property
    def role(self) -> Role:
        return self._state.role

    @property
    def epoch(self) -> int:
        """Of our own reign while leading; otherwise the highest that was seen."""
        return self._state.epoch

    @property
    def prompt(self) -> str | None:
        """What the operator is asked to decide, as a code of ``events.PROMPTS``."""
        silent = self.view is None or self.clock.monotonic() - self._view_at > self.settings.patience.prompt_s
        return "voters_silent" if silent else self._state.prompt

    def lease(self) -> LeaseView | None:
        """For the barrier, at each acknowledgement."""
        return self.keeper.view() if self._state.role in {Role.PRIMARY, Role.CANDIDATE, Role.DRAINING} else None

    async def run(self) -> None:
        """Look and act until ``stop`` has been carried out; leaves neither lease nor address behind."""
        voters = asyncio.create_task(self.voters.run(lambda: self.role in _LEADING), name="voters")
        try:
            while not (self._stopping and self._idle()):
                await self._tick()
                self._wake.clear()
                handover = self.view is not None and self.view.handover is not None
                try:
                    async with asyncio.timeout(self.settings.tick_s / (_HURRY if handover else 1)):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            voters.cancel()
            await asyncio.wait({voters})
            await self._tidy_up()

    async def stop(self, limit_s: float = _STOP_S) -> None:
        """Hand over if the peer can take it, otherwise close; ``run`` returns then, at the latest after ``limit_s``."""
        self._stopping = True
        ends = self.clock.monotonic() + limit_s
        while not self._idle() and self.clock.monotonic() < ends:  # noqa: ASYNC110  the limit is on the lease clock
            await asyncio.sleep(self.settings.tick_s)
        self._state = msgspec.structs.replace(self._state, role=Role.FENCED)
        if self._job is not None:
            self._job.cancel()
            await asyncio.wait({self._job})
            self._job = None

    def observe(self) -> Observation:
        """What is known now; nothing is asked."""
        now = self.clock.monotonic()
        return Observation(
            now=now,
            node=self.settings.node,
            peer=self.settings.peer,
            view=self.view if now - self._view_at <= _STALE_S else None,
            lease=self.keeper.view(),
            report=self.hands.report(),
            busy=self._job is not None,
            voters=self.settings.voters,
            stopping=self._stopping,
        )

    # -- one tick ------------------------------------------------------------------------------------------------------
    async def _tick(self) -> None:
        asked_at = self.clock.monotonic()
        try:
            self.view = await self.keys.view(deadline_s=0.9)
            self._view_at = asked_at
        except ProntuarioError as error:
            log.debug("the voters do not answer", code=error.kind.code)
        outcome = self._finished()
        decision = decide(self._state, msgspec.structs.replace(self.observe(), outcome=outcome), self.settings.patience)
        before, self._state = self._state, decision.state
        self._follow_through(decision, before.role)

    def _follow_through(self, decision: Decision, before: Role) -> None:
        for told in decision.tells:
            self.tell(told)
        if decision.state.role is not before:
            log.info("role changed", role=decision.state.role, epoch=decision.state.epoch)
            if self._on_change is not None:
                self._on_change(decision.state.role, decision.state.epoch)
        order = decision.order.job if decision.order is not None else "none"
        log.debug("looked", role=decision.state.role, epoch=decision.state.epoch, step=order)
        self._wants_address = decision.vip and self.keeper.valid()
        if self._address is None or self._address.done():
            self._address = asyncio.create_task(self._move_address(), name="address")
        if decision.order is not None and self._job is None:
            self._job = asyncio.create_task(self._work(decision.order), name=f"hands {decision.order.job}")
            self._job.add_done_callback(lambda _: self._wake.set())

    def tell(self, told: Tell) -> None:
        """Put a transition into the timeline."""
        at = instant(self.clock.now())
        self.timeline.tell(told.kind, at=at, node=self.settings.node, other=told.other, epoch=told.epoch)

    def _finished(self) -> Outcome | None:
        job = self._job
        if job is None or not job.done():
            return None
        self._job = None
        return None if job.cancelled() else job.result()

    def _idle(self) -> bool:
        return self._job is None and self._state.role not in _LEADING and self.keeper.view() is None

    # -- hands ---------------------------------------------------------------------------------------------------------
    async def _work(self, order: Order) -> Outcome:
        began = self.clock.monotonic()
        with within(self._begin(order)) as span:
            outcome = await self._try(order)
            span.set("prontuario.outcome", "ok" if outcome.ok else "failed")
            if not outcome.ok:
                span.fail("step.failed")
        took_ms = round((self.clock.monotonic() - began) * 1000)
        log.info(
            "a step ended",
            step=order.job,
            epoch=order.epoch,
            status="ok" if outcome.ok else "failed",
            duration_ms=took_ms,
        )
        return outcome

    def _begin(self, order: Order) -> Span:
        """A part of the trace of the epoch that a handover leads into: what both nodes do for it is found there."""
        if not self._tracer.on:
            return NOTHING
        into = order.epoch + 1 if order.job in _GIVING_UP else order.epoch
        pair = "|".join(sorted((self.settings.node, self.settings.peer)))
        digest = hashlib.sha256(f"epoch {into} of {pair}".encode()).hexdigest()
        span = self._tracer.always(f"cluster {order.job}", digest[:32])
        span.set("prontuario.step", order.job)
        span.set("prontuario.epoch", order.epoch)
        return span

    async def _try(self, order: Order) -> Outcome:
        try:
            if order.job is Job.TAKE_LEAD:
                return await self._take_lead(order)
            position = await self._hand(order)
        except (ProntuarioError, OSError) as error:
            code = error.kind.code if isinstance(error, ProntuarioError) else "os"
            log.warning("a step failed and will be tried again", step=order.job, epoch=order.epoch, code=code)
            return Outcome(order, ok=False)
        return Outcome(order, ok=True, position=position) if isinstance(position, Position) else Outcome(order, ok=True)

    def _hand(self, order: Order) -> Coroutine[Any, Any, Position | None]:
        hands, epoch, base = self.hands, order.epoch, order.base
        work: dict[Job, Callable[[], Coroutine[Any, Any, Position | None]]] = {
            Job.FENCE: lambda: hands.fence(epoch),
            Job.DRAIN: lambda: hands.drain_received(accept_loss=order.accept_loss),
            Job.CLAIM: lambda: self.sync.claim(epoch, base),
            Job.OPEN: lambda: hands.open_record(epoch),
            Job.CLOSE: hands.close_record,
            Job.QUIESCE: hands.quiesce,
            Job.RESUME: hands.resume,
            Job.RESIGN: self.keeper.release,
            Job.SET_ASIDE: lambda: hands.set_aside_and_compare(base),
            Job.FOLLOW: lambda: hands.follow(epoch, base),
            Job.MARK_LOST: self.sync.mark_out_of_sync,
            Job.FORGET_HANDOVER: lambda: self.keys.forget("handover"),
            Job.FORGET_PROMOTE: lambda: self.keys.forget("promote"),
        }
        return work[order.job]()

    async def _take_lead(self, order: Order) -> Outcome:
        seen = self.view
        if seen is None or seen.sync is None:
            return Outcome(order, ok=False)
        try:
            lease = await self.keeper.obtain()
            epoch = await self.keys.take_lead(seen, self.settings.node, lease, instant(self.clock.now()))
        except ProntuarioError:
            await self.keeper.release()  # unknown is no: this lease must not come to lead behind our back
            raise
        if epoch is None:
            await self.keeper.release()
            return Outcome(order, ok=False)
        self.keeper.lead(epoch)
        forced = seen.promote is not None and seen.promote.node == self.settings.node and seen.promote.accept_loss
        if forced and seen.promote is not None:
            self.tell(Tell("promoted_with_loss", epoch, seen.promote.by))
        return Outcome(order, ok=True, epoch=epoch)

    async def _move_address(self) -> None:
        """Bring the address up, keep it as long as the lease, or let it go. A failure is tried again at the next tick."""
        view = self.keeper.view()
        try:
            if self._wants_address and view is not None:
                move = self.hands.renew_vip if self._has_address else self.hands.acquire_vip
                await move(view.epoch, view.expires)
                self._has_address = True
            elif self._has_address is not False:
                await self.hands.release_vip()
                self._has_address = False
        except (ProntuarioError, OSError) as error:
            self._has_address = None
            code = error.kind.code if isinstance(error, ProntuarioError) else "os"
            log.warning("the address could not be moved", code=code)

    async def _tidy_up(self) -> None:
        self._wants_address = False
        if self._address is not None:
            await asyncio.wait({self._address})
        if self._job is not None:
            await asyncio.wait({self._job})
        await self._move_address()
        await self.keeper.release()
