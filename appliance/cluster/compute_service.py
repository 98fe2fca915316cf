"""The lender's side of shared inference: what this node's engines could do for the other one, and doing it.

Who asks has shown a node's certificate to the peer server. Nothing that is asked or answered is logged or kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Final

import msgspec

from appliance.cluster.compute_messages import OFFERS, RUN, SERVICE, Offer, Offers, Run, identity_of
from appliance.cluster.peer_messages import MAX_CALL_BYTES, Answer, Call
from appliance.cluster.replication_errors import PEER_MISUNDERSTOOD
from appliance.engines.errors import BUSY, UNAVAILABLE
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.tracing import SILENT, Kind, Tracer, code_of
from appliance.telemetry.tracing_context import parse_traceparent

_SOON_S: Final = 1.0


class ComputeService:
    """``engines``: this node's; ``version``: of the software, which must be the other node's as well.

    ``tracer`` continues the traces in which the other node asks.
    """

    def __init__(
        self, engines: Callable[[], Iterable[EngineSupervisor]], version: str, tracer: Tracer = SILENT
    ) -> None:
        self._engines = engines
        self._version = version
        self._tracer = tracer
        self._serving: Counter[str] = Counter()

    async def on_call(self, call: Call) -> AsyncGenerator[Answer, None]:
        """The pieces of an answer, as a handler of the peer server. Closing the iterator cancels the request.

        Raises:
            ProntuarioError: ``engine.unavailable`` 503: another model by now; ``engine.busy`` 429: no slot is free, nothing
                waits here; what the engine's ``submit`` raises; ``cluster.peer_misunderstood``: no such verb or body.
        """
        if call.verb == OFFERS:
            yield Answer(msgspec.msgpack.encode(self.offers()))
        elif call.verb == RUN:
            async with aclosing(self._traced(_read(call.body))) as pieces:
                async for piece in pieces:
                    yield Answer(piece)
        else:
            raise PEER_MISUNDERSTOOD(question=f"{SERVICE} {call.verb}")

    def offers(self) -> Offers:
        """What could be lent now: the slots that this node's own requests leave."""
        found = []
        for engine in self._engines():
            identity = identity_of(engine, self._version)
            if identity is not None:
                found.append(Offer(identity, self._room(engine)))
        return Offers(tuple(found))

    def _room(self, engine: EngineSupervisor) -> int:
        own = engine.running + engine.waiting - self._serving[engine.spec.name]
        return max(0, engine.spec.max_running - max(0, own))

    async def _traced(self, run: Run) -> AsyncGenerator[bytes, None]:
        """As ``_run``. A generator shares its reader's context, so its span is not made the one of the moment."""
        span = self._tracer.join(f"lend {run.identity.engine}", Kind.SERVER, parse_traceparent(run.traceparent))
        span.set("prontuario.engine", run.identity.engine)
        span.set("prontuario.request", run.kind)
        span.set("prontuario.lane", run.lane.value)
        try:
            async with aclosing(self._run(run)) as pieces:
                async for piece in pieces:
                    yield piece
        except (ProntuarioError, asyncio.CancelledError, GeneratorExit) as error:
            span.fail(code_of(error))
            raise
        finally:
            span.end()

    async def _run(self, run: Run) -> AsyncGenerator[bytes, None]:
        engine = self._wanted(run)
        name = engine.spec.name
        if engine.running + engine.waiting >= engine.spec.max_running:
            raise BUSY(engine=name, waiting=engine.waiting, retry_after=_SOON_S)
        user, _, patient = run.tenant.partition("|")
        # Not run twice here: what an engine died of goes back to the node that knows its caller.
        options = CallOptions(run.lane, run.deadline_s, user, patient, idempotent=False)
        self._serving[name] += 1
        try:
            async with aclosing(engine.submit(run.kind, run.payload, options)) as pieces:
                async for piece in pieces:
                    if len(piece) > MAX_CALL_BYTES:  # fits no message; the asker computes it itself
                        raise UNAVAILABLE(engine=name, retry_after=_SOON_S)
                    yield piece
        finally:
            self._serving[name] -= 1

    def _wanted(self, run: Run) -> EngineSupervisor:
        for engine in self._engines():
            if identity_of(engine, self._version) == run.identity:
                return engine
        raise UNAVAILABLE(engine=run.identity.engine, retry_after=_SOON_S)


def _read(body: bytes) -> Run:
    try:
        return msgspec.msgpack.decode(body, type=Run)
    except msgspec.MsgspecError as error:
        raise PEER_MISUNDERSTOOD(question=f"{SERVICE} {RUN}") from error
