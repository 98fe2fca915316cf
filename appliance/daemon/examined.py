"""Core's side of ``prontuario doctor``: what a running node tells of itself, and what the two nodes of a pair tell each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from appliance.daemon.assembly import Core
from appliance.daemon.control import Verb
from appliance.daemon.pair.neighbour import Neighbour
from appliance.operations.doctor.facts import SERVICE, Live, NodeFacts, Part, Told, clock_offset_s, facts_of
from appliance.plugin_api.errors import ProntuarioError
from appliance.telemetry.logs import get_logger

log = get_logger("doctor")
PEER_S: Final = 3.0
FACTS: Final = "facts"
LATE: Final = "late"
UNREADABLE: Final = "unreadable"


class Examined:
    """Answers the operator's verb ``doctor``, and in a pair (``join``) the other node's question."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._neighbour: Neighbour | None = None

    def join(self, neighbour: Neighbour) -> None:
        """This node is one half of a pair; call it before ``neighbour`` starts."""
        self._neighbour = neighbour
        neighbour.services[SERVICE] = self.serve_peer

    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {SERVICE: self._on_doctor}

    async def serve_peer(self, verb: str, body: bytes) -> bytes:
        """The other node asks: a ``Service`` of the peer link."""
        del verb, body
        facts = await self._facts()
        return msgspec.msgpack.encode(Told(facts, self._core.clock.now().timestamp()))

    async def live(self) -> Live:
        """This node now, and the other one if it answers."""
        (peer, code, offset), own, answers = await asyncio.gather(self._peer(), self._facts(), self._core.health.ask())
        reports = self._core.host.report()
        return Live(
            own=own,
            api_host=self._core.config.api.host,
            api_port=self._core.config.api.port,
            parts={
                name: Part(one.status, one.message_pt, one.message, one.advice_pt, one.advice)
                for name, one in answers.items()
            },
            quarantined={one.name: one.reason for one in reports if one.state == "quarantined"},
            peer=peer,
            peer_code=code,
            clock_offset_s=offset,
        )

    async def _on_doctor(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"live": msgspec.to_builtins(await self.live())}

    async def _facts(self) -> NodeFacts:
        return await asyncio.to_thread(facts_of, self._core.paths, self._core.config)

    async def _peer(self) -> tuple[NodeFacts | None, str, float | None]:
        """The other node's facts, why they are not known, and how far its clock is off."""
        if self._neighbour is None:
            return None, "", None
        clock, loop = self._core.clock, asyncio.get_running_loop()
        asked, began = clock.now().timestamp(), loop.time()
        try:
            async with asyncio.timeout(PEER_S):
                answer = await self._neighbour.call(SERVICE, FACTS, b"")
            took = loop.time() - began
            told = msgspec.msgpack.decode(answer, type=Told)
        except TimeoutError:
            return None, LATE, None
        except msgspec.MsgspecError:
            return None, UNREADABLE, None
        except ProntuarioError as error:
            log.debug("the other node did not tell its facts", code=error.kind.code)
            return None, error.kind.code, None
        return told.facts, "", clock_offset_s(told.at, asked, asked + took)
