"""The borrower's side of shared inference: the other node's engines lent to the queues of ours, and taken back at once.

It has a connection of its own to the other node's peer server: an answer never waits before a part of the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Final, Literal, cast

import msgspec

from appliance.cluster.compute_messages import OFFERS, RUN, SERVICE, Identity, Offer, Offers, Run, identity_of
from appliance.cluster.peer_link import PeerLink
from appliance.cluster.peer_messages import Answer, Call, FrameError
from appliance.cluster.replication_errors import PEER_AWAY
from appliance.engines.dispatcher import Dispatcher
from appliance.engines.errors import BUSY, THE_REQUESTS_OWN
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import Lane
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.messages import Cancel, Output, Submit, ToEngine
from appliance.telemetry.logs import get_logger

log = get_logger("compute")
State = Literal["both", "off", "peer_away", "peer_does_not_share", "peer_not_ready", "other_model"]
"""``both``, or why only this node computes."""
EVERY_S: Final = 0.5
"""Between two looks at what is offered."""
SILENCE_S: Final = 3.0
"""A peer that has not said for so long what it offers has frozen: what it had is run again here."""
REST_S: Final = 5.0
"""After an engine's own trouble it gets nothing for so long."""
MOST_AWAY: Final = 48
"""Of all engines together; the peer server works on 64 questions of one connection."""
_BEYOND_S: Final = 5.0
"""The peer tells its own deadline; only if it does not, ours ends the wait so much later."""


class FarEngine:
    """Implements ``targets.Line``: the way from one of our queues to the other node's engine."""

    def __init__(self, link: PeerLink, requests: Dispatcher, identity: Identity, away: set[asyncio.Task[None]]) -> None:
        """``away`` is shared by all of them and holds what is under way."""
        self.identity = identity
        self.requests = requests
        self._link = link
        self._away = away
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._rests_until = float("-inf")

    @property
    def writable(self) -> bool:
        """Whether the other node may be asked now."""
        rested = asyncio.get_running_loop().time() >= self._rests_until
        return rested and self._link.is_up and len(self._away) < MOST_AWAY

    def send(self, message: ToEngine) -> None:
        """Start a request, or cancel one."""
        if isinstance(message, Submit):
            task = asyncio.create_task(self._run(message), name="far request")
            self._tasks[message.request_id] = task
            self._away.add(task)
            task.add_done_callback(self._away.discard)
            task.add_done_callback(lambda _: self._tasks.pop(message.request_id, None))
        elif isinstance(message, Cancel) and message.request_id in self._tasks:
            self._tasks[message.request_id].cancel()

    async def _run(self, submit: Submit) -> None:
        trouble = await self._forward(submit)
        if trouble is None:
            self.requests.on_far_end(submit.request_id)
            return
        if trouble.kind not in THE_REQUESTS_OWN:
            pause_s = EVERY_S if trouble.kind in {BUSY, PEER_AWAY} else REST_S
            self._rests_until = asyncio.get_running_loop().time() + pause_s
            log.info("the other node's engine did not answer", engine=self.identity.engine, code=trouble.kind.code)
        self.requests.on_far_error(submit.request_id, trouble)

    async def _forward(self, submit: Submit) -> ProntuarioError | None:
        """Hand the pieces on as they come; what kept the answer from being complete."""
        run = Run(
            self.identity, submit.kind, submit.payload, submit.deadline_s, Lane(submit.lane), submit.tenant,
            submit.traceparent,
        )  # fmt: skip
        question = Call(SERVICE, RUN, msgspec.msgpack.encode(run))
        answers = self._link.stream(question, Answer, silence_s=submit.deadline_s + _BEYOND_S)
        try:
            async with aclosing(cast("AsyncGenerator[Answer, None]", answers)) as pieces:
                async for piece in pieces:
                    self.requests.on_output(Output(submit.request_id, piece.body, final=False))
        except ProntuarioError as error:
            return error
        except (OSError, FrameError):
            return PEER_AWAY()
        return None


class SharedInference:
    """Looks at what the other node offers and lends it to our queues; ``start`` and ``close`` it.

    Lent is only an engine of the same name, model, settings and software. ``link`` is its own, and closed with it.
    """

    def __init__(self, link: PeerLink, engines: Callable[[], Iterable[EngineSupervisor]], version: str) -> None:
        self._link = link
        self._engines = engines
        self._version = version
        self._known: dict[str, Identity] = {}
        self._lent: dict[str, FarEngine] = {}
        self._away: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self.state: State = "peer_away"

    def start(self) -> None:
        """Begin to connect and to look."""
        self._link.start()
        self._keeper = asyncio.create_task(self._keep(), name="shared inference")

    async def close(self) -> None:
        """Take everything back and hang up."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
            self._keeper = None
        self._alone("off")
        await self._link.close()

    async def _keep(self) -> None:
        while True:
            try:
                answer = await self._link.ask(Call(SERVICE, OFFERS, b""), Answer, deadline_s=SILENCE_S)
                self._lend(msgspec.msgpack.decode(answer.body, type=Offers).offers)
            except ProntuarioError as error:
                self._alone("peer_away" if error.kind is PEER_AWAY else "peer_does_not_share")
            except msgspec.MsgspecError:
                self._alone("peer_does_not_share")
            await asyncio.sleep(EVERY_S)

    def _lend(self, offers: Iterable[Offer]) -> None:
        by_name = {offer.identity.engine: offer for offer in offers}
        differ = False
        for engine in self._engines():
            name = engine.spec.name
            offer, own = by_name.get(name), self._own(engine)
            if offer is not None and own == offer.identity:
                engine.requests.lend(self._line(engine, own), offer.room)
            else:
                differ |= offer is not None and own is not None
                self._take_back(name)
        self._enter("both" if self._lent else "other_model" if differ else "peer_not_ready")

    def _own(self, engine: EngineSupervisor) -> Identity | None:
        """What this engine is; while its child restarts, what it was."""
        identity = identity_of(engine, self._version)
        if identity is not None:
            self._known[engine.spec.name] = identity
        return self._known.get(engine.spec.name)

    def _line(self, engine: EngineSupervisor, identity: Identity) -> FarEngine:
        line = self._lent.get(engine.spec.name)
        if line is None or line.identity != identity or line.requests is not engine.requests:
            self._take_back(engine.spec.name)  # a model that was replaced has left a supervisor of its own
            line = self._lent[engine.spec.name] = FarEngine(self._link, engine.requests, identity, self._away)
        return line

    def _take_back(self, name: str) -> None:
        line = self._lent.pop(name, None)
        if line is not None:
            line.requests.recall()

    def _alone(self, state: State) -> None:
        for name in list(self._lent):
            self._take_back(name)
        self._enter(state)

    def _enter(self, state: State) -> None:
        if state != self.state:
            log.info("who computes", reason_code=state, count=len(self._lent))
        self.state = state
