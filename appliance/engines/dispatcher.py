"""The requests of one engine: admitted, queued, handed over, answered, retried. Synchronous but for ``submit``.

They are handed to the own child, and to the other node's engine while that one is lent. There is one queue for both.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Final

from appliance.engines.admission import AdmissionQueue
from appliance.engines.engine_metrics import EngineMetrics
from appliance.engines.errors import (
    BUSY,
    DEADLINE,
    DIED,
    FAILED,
    INTERNAL_CODES,
    OVERFLOW,
    POISON,
    REJECTED,
    THE_REQUESTS_OWN,
    TOO_LARGE,
)
from appliance.engines.frames import FrameTooLargeError
from appliance.engines.poison import PoisonRegister, fingerprint
from appliance.engines.requests import PendingRequest
from appliance.engines.targets import Line, Target, Targets
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Cancel, Failed, Output, Submit
from appliance.telemetry.tracing import Kind, Span, begin_child, code_of

_ATTEMPTS: Final = 2
_RETRY_AFTER_DEATH_S: Final = 2.0
_TRIAL_S: Final = 3.0
"""A suspect that has run this long without an output lets the next one in; a slow one must not hold up all others."""
_PLACES_EVERY_S: Final = 0.5
_SHORTEST_RETRY_S: Final = 1.0
_LONGEST_RETRY_S: Final = 60.0


class Dispatcher:
    """Queue, running set and retry rules of one engine.

    A request that was alive at a death runs again only as the one suspect on trial, until its first output: so a request
    that kills is found at the second death, and its neighbours are not blamed for it.
    """

    def __init__(self, spec: EngineSpec, metrics: EngineMetrics | None = None) -> None:
        self._spec = spec
        self._metrics = metrics
        self._queue: AdmissionQueue[PendingRequest] = AdmissionQueue(spec.queue_limit)
        self._suspects: deque[PendingRequest] = deque()
        self._trial: PendingRequest | None = None
        self._targets = Targets(spec.max_running)
        self._teller: asyncio.TimerHandle | None = None
        self._ids = itertools.count(1)
        self._service_s = 1.0
        self.poison = PoisonRegister()
        self._probe = fingerprint(*spec.probe) if spec.probe is not None else b""
        """Never blamed: a probe that is refused would have a healthy engine killed for ever."""
        self.refusal: Callable[[], ProntuarioError] | None = None
        """When set, new requests are refused with what it makes."""
        self.last_output_at = float("-inf")
        """Loop time of the own child's newest sign of real work."""

    @property
    def waiting(self) -> int:
        """Requests that no child has seen, or that wait for their second try."""
        return len(self._queue) + len(self._suspects)

    @property
    def running(self) -> int:
        """Requests in the child."""
        return len(self._targets.own.slots)

    @property
    def away(self) -> int:
        """Requests in the other node's engine."""
        return len(self._targets.far.slots)

    @property
    def far_room(self) -> int:
        """How many more the other node's engine may take now."""
        far = self._targets.far
        return far.slots.room if far.open else 0

    # -- the caller's side ------------------------------------------------------------------------------------------------
    async def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncGenerator[bytes, None]:
        """See ``EngineHandle.submit``."""
        span = begin_child("engine", Kind.CLIENT)
        try:
            request = self._admit(kind, payload, options, span)
        except ProntuarioError as error:
            span.fail(code_of(error))
            span.end()
            raise
        try:
            while True:
                while request.readable:
                    yield request.take()
                if request.ended:
                    break
                await request.changed()
            if request.error is not None:
                raise request.error
        finally:
            if not request.ended:
                self._abandon(request)
                self._finish(request, None, "cancelled")
            span.end()

    def _admit(self, kind: str, payload: bytes, options: CallOptions, span: Span) -> PendingRequest:
        self._name(span, kind, options)
        if self.refusal is not None:
            raise self.refusal()
        if self._queue.full:
            self._make_room(options)
        loop = asyncio.get_running_loop()
        request = PendingRequest(kind, payload, options, loop.time() + options.deadline_s, span)
        if len(self.poison):
            mark = request.mark()
            if self.poison.poisonous(mark):
                self._count("poison")
                raise POISON(engine=self._spec.name)
            request.suspect = self.poison.suspect(mark)
        request.timer = loop.call_later(max(0.0, options.deadline_s), self._late, request)
        request.queued_at = loop.time()
        self._queue.push(request)
        self.pump()
        self._tell_places_soon()
        return request

    def _name(self, span: Span, kind: str, options: CallOptions) -> None:
        if span.recorded:
            span.rename(f"engine {self._spec.name}")
            span.set("prontuario.engine", self._spec.name)
            span.set("prontuario.request", kind)
            span.set("prontuario.lane", options.lane.value)

    def _make_room(self, options: CallOptions) -> None:
        """In a full queue the least urgent gives way, and who fills it to who has less in it.

        Raises:
            ProntuarioError: ``engine.busy`` 429 when there is no such request.
        """
        leaving = self._queue.gives_way_to(options.lane, options.user)
        if leaving is None:
            self._count("busy")
            raise self._busy()
        self._queue.remove(leaving)
        self._finish(leaving, self._busy(), "busy")

    def _busy(self) -> ProntuarioError:
        return BUSY(engine=self._spec.name, waiting=self.waiting, retry_after=self._retry_after())

    def _tell_places_soon(self) -> None:
        if self._teller is None and any(request.options.on_queue for request in (*self._suspects, *self._queue)):
            self._teller = asyncio.get_running_loop().call_later(_PLACES_EVERY_S, self._tell_places)

    def _tell_places(self) -> None:
        self._teller = None
        for place, suspect in enumerate(self._suspects, 1):
            if suspect.options.on_queue is not None:
                suspect.options.on_queue(place)
        for request in self._queue:
            if request.options.on_queue is not None:
                request.options.on_queue(self._queue.place(request))
        self._tell_places_soon()

    def _retry_after(self) -> float:
        rounds = self.waiting / max(1, self._spec.max_running + self._targets.far.slots.limit)
        return min(_LONGEST_RETRY_S, max(_SHORTEST_RETRY_S, rounds * self._service_s))

    def _late(self, request: PendingRequest) -> None:
        if not request.ended:
            self._abandon(request)
            self._finish(request, DEADLINE(engine=self._spec.name, retry_after=_SHORTEST_RETRY_S), "deadline")

    def _abandon(self, request: PendingRequest) -> None:
        """Take it out of wherever it is; its slot is free at once."""
        target = self._targets.working_on(request.request_id)
        if target is not None:
            target.slots.free(request.request_id)
            if target.line is not None:
                target.line.send(Cancel(request.request_id))
            self._settle_trial(request)
            self.pump()
        elif request in self._suspects:
            self._suspects.remove(request)
        else:
            self._queue.remove(request)

    # -- the engines' side ------------------------------------------------------------------------------------------------
    def attach(self, line: Line) -> None:
        """A fresh child is ready."""
        self._targets.own.line = line
        self.pump()

    @property
    def held(self) -> frozenset[Lane]:
        """Lanes that wait for the time being."""
        return self._queue.held

    def hold(self, lanes: frozenset[Lane]) -> None:
        """Requests of these lanes wait, until ``hold`` names others; what runs already is not touched."""
        self._queue.held = lanes
        self.pump()

    def pump(self) -> None:
        """Hand over as many requests as there are slots for."""
        while (request := self._next()) is not None:
            self._hand_over(request, self._targets.choose(request) or self._targets.own)

    def _next(self) -> PendingRequest | None:
        own = self._targets.own
        if self._suspects and self._trial is None and own.open:
            self._trial = self._suspects.popleft()
            asyncio.get_running_loop().call_later(_TRIAL_S, self._trial_survived, self._trial)
            return self._trial
        while (request := self._queue.pop(self._targets.may_run)) is not None:
            if not request.suspect:
                return request
            self._suspects.append(request)
            if self._trial is None:
                return self._next()
        return None

    def _hand_over(self, request: PendingRequest, target: Target) -> None:
        assert target.line is not None, "chosen, but not open"  # noqa: S101
        now = asyncio.get_running_loop().time()
        request.request_id = next(self._ids)
        request.attempts += 1
        request.started_at = now
        options = request.options
        left_s = max(0.0, request.deadline - now)
        target.slots.add(request)
        if self._metrics is not None:
            self._metrics.queued.labels(self._spec.name, options.lane.value).observe(now - request.queued_at)
        self._tell_start(request, target, now)
        if options.on_queue is not None:
            options.on_queue(0)
        try:
            target.line.send(
                Submit(
                    request.request_id, request.kind, request.payload, left_s, options.lane.value, options.tenant,
                    request.span.traceparent,
                )
            )  # fmt: skip
        except FrameTooLargeError as error:
            target.slots.free(request.request_id)
            self._settle_trial(request)
            self._finish(request, TOO_LARGE(engine=self._spec.name, size=error.size), "too_large")
            return
        if target is self._targets.far:
            self._count_shared("sent")

    def _tell_start(self, request: PendingRequest, target: Target, now: float) -> None:
        span = request.span
        if span.recorded:
            span.set("prontuario.queue_ms", round((now - request.queued_at) * 1000, 3))
            span.set("prontuario.attempt", request.attempts)
            span.set("prontuario.where", "own" if target is self._targets.own else "far")
            span.set("prontuario.running", len(target.slots))

    def on_output(self, output: Output) -> None:
        """A piece of an answer; those of forgotten requests are dropped."""
        target = self._targets.working_on(output.request_id)
        request = target.slots.get(output.request_id) if target is not None else None
        if target is None or request is None:
            return
        now = asyncio.get_running_loop().time()
        if target is self._targets.own:
            self.last_output_at = now
        if not request.heard:
            request.span.set("prontuario.first_output_ms", round((now - request.started_at) * 1000, 3))
            if self._metrics is not None:
                self._metrics.first_output.labels(self._spec.name).observe(now - request.started_at)
        kept_up = request.add(output.payload)
        if output.final:
            self._answered(request, target)
        elif not kept_up:
            self._abandon(request)
            self._finish(request, OVERFLOW(engine=self._spec.name), "overflow")
        if output.final or request is self._trial:
            self._settle_trial(request)
            self.pump()

    def _answered(self, request: PendingRequest, target: Target) -> None:
        target.slots.free(request.request_id)
        self._service_s += 0.1 * (asyncio.get_running_loop().time() - request.started_at - self._service_s)
        self._finish(request, None, "ok")
        if request.suspect:
            self.poison.acquit(request.mark())

    def on_failed(self, failed: Failed) -> None:
        """The own engine gave a request up."""
        request = self._targets.own.slots.free(failed.request_id)
        if request is None:
            return
        internal = failed.code in INTERNAL_CODES
        kind = FAILED if internal else REJECTED
        self.last_output_at = asyncio.get_running_loop().time()
        self._settle_trial(request)
        self._finish(request, kind(engine=self._spec.name, reason=failed.code), "failed" if internal else "rejected")
        self.pump()

    def _trial_survived(self, request: PendingRequest) -> None:
        if request is self._trial:
            self._trial = None
            self.pump()

    def _settle_trial(self, request: PendingRequest) -> None:
        if request is self._trial:
            self._trial = None

    # -- the other node's engine ------------------------------------------------------------------------------------------
    def lend(self, line: Line, room: int) -> None:
        """The other node's engine works for us by ``line``: up to ``room`` requests at a time."""
        self._targets.far.line = line
        self._targets.far.slots.resize(room)
        self.pump()

    def recall(self) -> None:
        """It works for us no longer; what it had is run again here, unless its caller has read a part of the answer."""
        far = self._targets.far
        line, far.line = far.line, None
        far.slots.resize(0)
        for request in reversed(far.slots.empty()):
            if line is not None:
                line.send(Cancel(request.request_id))
            self._came_back(request)
        self.pump()

    def on_far_end(self, request_id: int) -> None:
        """Its answer is complete; what was forgotten is ignored, here and below."""
        request = self._targets.far.slots.get(request_id)
        if request is not None:
            self._count_shared("answered")
            self._answered(request, self._targets.far)
            self.pump()

    def on_far_error(self, request_id: int, error: ProntuarioError) -> None:
        """It did not answer to the end: the request's own fault is its caller's to hear, any other sends it home."""
        request = self._targets.far.slots.free(request_id)
        if request is None:
            return
        if error.kind in THE_REQUESTS_OWN:
            self._count_shared("refused")
            self._finish(request, error, error.kind.code.removeprefix("engine."))
        else:
            if error.kind is DIED:
                self.poison.blame([request.mark()])
            self._came_back(request, suspect=error.kind is DIED)
        self.pump()

    def _came_back(self, request: PendingRequest, *, suspect: bool = False) -> None:
        request.stays = True
        if not suspect:
            request.attempts -= 1  # only a death counts as one
        self._count_shared("broken" if request.answered else "failed_over")
        if self.refusal is not None and not request.answered:
            self._finish(request, self.refusal(), "unavailable")
        else:
            self._after_death(request)

    # -- death ------------------------------------------------------------------------------------------------------------
    def detach(self, *, blame: bool) -> None:
        """The child is gone. ``blame`` is False when we ended it for reasons of our own."""
        self._targets.own.line = None
        running = self._targets.own.slots.empty()
        trial, self._trial = self._trial, None
        if blame and running:
            alive = [trial] if trial is not None else running
            self.poison.blame({request.mark() for request in alive} - {self._probe})
        for request in reversed(running):
            self._after_death(request)
        self._tell_places_soon()

    def _after_death(self, request: PendingRequest) -> None:
        mark = request.mark()
        if not request.answered:
            request.forget()
        if self.poison.poisonous(mark):
            self._finish(request, POISON(engine=self._spec.name), "poison")
        elif request.answered or not request.options.idempotent or request.attempts >= _ATTEMPTS:
            self._finish(request, DIED(engine=self._spec.name, retry_after=_RETRY_AFTER_DEATH_S), "died")
        elif self.poison.suspect(mark):
            request.suspect = True
            self._suspects.appendleft(request)
        else:
            self._queue.push(request, first=True)

    def end_waiting(self, make_error: Callable[[], ProntuarioError]) -> None:
        """Give up on everything that no child is working on."""
        waiting = [*self._suspects, *self._queue.drain()]
        self._suspects.clear()
        for request in waiting:
            self._finish(request, make_error(), "unavailable")

    def end_all(self, make_error: Callable[[], ProntuarioError]) -> None:
        """Give up on everything: the engine is stopped."""
        own, far = self._targets.own, self._targets.far
        away = far.slots.empty()
        if far.line is not None:
            for request in away:
                far.line.send(Cancel(request.request_id))
        running = [*own.slots.empty(), *away]
        own.line = far.line = self._trial = None
        for request in running:
            self._finish(request, make_error(), "unavailable")
        self.end_waiting(make_error)

    def _finish(self, request: PendingRequest, error: ProntuarioError | None, outcome: str) -> None:
        request.span.set("prontuario.outcome", outcome)
        if error is not None:
            request.span.fail(error.kind.code)
        request.end(error)
        self._count(outcome)

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.requests.labels(self._spec.name, outcome).inc()

    def _count_shared(self, event: str) -> None:
        if self._metrics is not None:
            self._metrics.shared.labels(self._spec.name, event).inc()
