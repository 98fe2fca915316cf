"""Drills of this node: what they are made of here, the desk behind which people see them, and the other node's reports."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.care.under_way import consults_under_way
from appliance.config import Config, Paths
from appliance.daemon.enrolment import OPERATOR
from appliance.daemon.record import READ_ONLY, RecordSlot
from appliance.engines.fleet import EngineFleet
from appliance.operations.doctor.rounds import doctor_command, examine_apart
from appliance.operations.drills.audit_pack import AuditParts, audit_drill
from appliance.operations.drills.cloud import cloud_drill
from appliance.operations.drills.conductor import Conductor, Ground
from appliance.operations.drills.failover import FailoverParts, Partner, answer, failover_drill
from appliance.operations.drills.health import Engine, Finding, HealthParts, health_drill
from appliance.operations.drills.mirror import MirrorParts
from appliance.operations.drills.model import DrillRow, Summary
from appliance.operations.drills.simulation import Copy, SimulationParts, simulation_drill
from appliance.operations.schedule import Schedule
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_host.host import PluginHost
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.security.audit_heads import HeadSigner
from appliance.security.authority import Authority
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("drills")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
AskPeer = Callable[[str, bytes], Awaitable[bytes]]
SERVICE: Final = "drills"
HISTORY: Final = "history"
REPORT: Final = "report"
DOCTOR_LIMIT_S: Final = 300.0
_PEER_LIMIT_S: Final = 3.0
_FRESH_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class NodeSeal:
    """Implements ``operations.drills.signing.Seal``: the key that signs audit heads, certified for this node under the root."""

    signer: HeadSigner
    root: Authority
    node: str

    @property
    def key_id(self) -> str:
        """As in the hospital's papers."""
        return self.signer.key_id

    def sign(self, kind: str, content: bytes) -> bytes:
        """See ``Seal.sign``."""
        return self.signer.sign_document(kind, content)

    def certificate(self, now: datetime) -> bytes:
        """See ``Seal.certificate``."""
        return self.root.certify_signer(self.node, self.signer.public_key, now)

    def authority(self) -> bytes:
        """See ``Seal.authority``."""
        return self.root.root_pem


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSources:
    """What drills are made of on any node."""

    paths: Paths
    config: Config
    clock: Clock
    metrics: Metrics
    schedule: Schedule
    store: RecordSlot
    fleet: EngineFleet
    host: PluginHost
    signer: HeadSigner
    authority: Authority
    node: str
    version: str


class DrillRoom:
    """Implements ``appliance.api.admin_drills.DrillDesk``. ``furnish`` it once the node's place is known."""

    def __init__(self, sources: DrillSources) -> None:
        """Blocks a little: reads what was remembered."""
        self._of = sources
        self._ask_peer: AskPeer | None = None
        self._peer: tuple[float, list[Summary]] = (float("-inf"), [])
        ground = Ground(
            node=sources.node, hospital=sources.config.node.hospital, version=sources.version, clock=sources.clock,
            metrics=sources.metrics, seal=NodeSeal(sources.signer, sources.authority, sources.node),
            folder=folder_of(sources.paths), consults=self._consults, elsewhere=self._elsewhere,
        )  # fmt: skip
        self.conductor = Conductor(ground, sources.schedule)

    def furnish(
        self,
        scratch: Path,
        copy: Callable[[], Copy | None],
        partner: Partner | None = None,
        peer: AskPeer | None = None,
    ) -> None:
        """Add this node's drills to the schedule. ``copy``: of the moment; ``partner`` and ``peer``: of a pair."""
        of = self._of
        self._ask_peer = peer
        pair = FailoverParts(store=of.store, clock=of.clock, partner=partner)
        for drill in (
            health_drill(
                HealthParts(
                    doctor=lambda: examine(of.paths.home), engines=self._engines, store=of.store,
                    reads=lambda: of.store.is_open,
                )
            ),
            failover_drill(pair),
            cloud_drill(
                self._cloud, self._leads,
                MirrorParts(
                    mirror=Path(of.config.store.mirror) if of.config.store.mirror else None, store=of.store, clock=of.clock,
                    copy=copy, scratch=scratch, database=of.paths.database,
                ),
            ),
            simulation_drill(
                SimulationParts(pair=pair, copy=copy, scratch=scratch, database=of.paths.database, here=self._leads)
            ),
            audit_drill(
                AuditParts(
                    store=of.store, clock=of.clock, signer=of.signer, secrets=of.paths.secrets, node=of.node,
                    here=self._leads,
                )
            ),
        ):  # fmt: skip
            self.conductor.add(drill)
        self.conductor.recall()

    def _leads(self) -> bool:
        return self._of.store.is_open and self._of.store.mode != READ_ONLY

    def _engines(self) -> dict[str, Engine]:
        return {engine.spec.name: engine for engine in self._of.fleet.engines()}

    def _cloud(self) -> object | None:
        try:
            return self._of.host.abilities.cloud_sync().instance
        except ProntuarioError:
            return None

    async def _consults(self) -> int:
        now = self._of.clock.now()
        return await self._of.store.read(lambda q: consults_under_way(q, now))

    # -- DrillDesk ------------------------------------------------------------------------------------------------------
    async def drills(self) -> Sequence[DrillRow]:
        """See ``DrillDesk.drills``."""
        return await self.conductor.rows()

    async def history(self) -> Sequence[Summary]:
        """See ``DrillDesk.history``."""
        return await self.conductor.history()

    def check(self, name: str) -> None:
        """See ``DrillDesk.check``."""
        self.conductor.check(name)

    def ask(self, name: str, by: str) -> None:
        """See ``DrillDesk.ask``."""
        self.conductor.ask(name, by)

    async def report(self, report_id: str) -> bytes:
        """See ``DrillDesk.report``."""
        try:
            return await asyncio.to_thread(self.conductor.shelf.pdf, report_id)
        except ProntuarioError:
            if self._ask_peer is None:
                raise
        return await self._ask_peer(REPORT, report_id.encode())

    # -- the other node -------------------------------------------------------------------------------------------------
    async def _elsewhere(self) -> Sequence[Summary]:
        asked_at, known = self._peer
        if self._ask_peer is None or time.monotonic() - asked_at < _FRESH_S:
            return known
        try:
            async with asyncio.timeout(_PEER_LIMIT_S):
                known = msgspec.msgpack.decode(await self._ask_peer(HISTORY, b""), type=list[Summary])
        except (ProntuarioError, TimeoutError, msgspec.MsgspecError) as error:
            log.debug("the other node's drills are not known", error=type(error).__name__)
        self._peer = time.monotonic(), known
        return known

    async def serve_peer(self, verb: str, body: bytes) -> bytes:
        """The other node asks: a ``Service`` of the peer link."""
        if verb == HISTORY:
            return msgspec.msgpack.encode(await asyncio.to_thread(self.conductor.shelf.history))
        if verb == REPORT:
            return await asyncio.to_thread(self.conductor.shelf.pdf, body.decode(errors="replace"))
        return await answer(self._of.store, self._of.clock, verb, body)

    # -- the operator's socket ------------------------------------------------------------------------------------------
    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {
            "drill.list": self._on_list, "drill.run": self._on_run, "drill.history": self._on_history,
            "drill.report": self._on_report,
        }  # fmt: skip

    async def _on_list(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"drills": msgspec.to_builtins(await self.drills())}

    async def _on_history(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"history": msgspec.to_builtins(await self.history())}

    async def _on_run(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(request.get("name", ""))
        self.check(name)
        event = AuditEvent(
            at=instant(self._of.clock.now()), action="drill run", user_id=OPERATOR, resource=f"drill/{name}", status=202
        )
        if self._leads():
            await self._of.store.write(lambda tx: audit.append(tx, event))
        self.ask(name, OPERATOR)
        return {"soon": name}

    async def _on_report(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"pdf": base64.b64encode(await self.report(str(request.get("id", "")))).decode()}


def folder_of(paths: Paths) -> Path:
    """Where a node's drill reports lie."""
    return paths.home / "data" / "drills"


async def examine(home: Path, limit_s: float = DOCTOR_LIMIT_S) -> list[Finding]:
    """Run ``prontuario doctor`` as a person would, in a process of its own: what hangs there hangs nobody here.

    Raises:
        ProntuarioError, OSError: see ``doctor.rounds.examine_apart``.
    """
    told = await examine_apart(doctor_command(home), limit_s)
    return [Finding(one.id, one.status) for one in told.findings]
