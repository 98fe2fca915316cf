"""Which recurring work a node has, and the desk behind which people see it: one list for a node alone, one for a pair."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.config import Paths
from appliance.daemon.record import READ_ONLY, RecordSession, RecordSlot
from appliance.operations import set_aside
from appliance.operations.copy_manifest import CopyGuard
from appliance.operations.drills.simulation import Copy
from appliance.operations.orphans import OrphanCollector
from appliance.operations.proof import prove_blobs, prove_own_copy
from appliance.operations.schedule import Schedule, Task
from appliance.operations.schedule_memory import Figure, TaskReport
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health
from appliance.store.blobs import BlobStore
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

log = get_logger("schedule")
Verb = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
AskPeer = Callable[[str], Awaitable[bytes]]
SERVICE: Final = "schedule"
REPORT: Final = "report"
DAY_S: Final = 24 * 3600.0
RESTORE_PROOF: Final = "restore-proof"
PROOF_PT, PROOF_EN = "Prova de restauração da cópia", "Proof that the copy can be restored"
_PEER_LIMIT_S: Final = 3.0
_FRESH_S: Final = 60.0


def everywhere(paths: Paths, clock: Clock) -> list[Task]:
    """What every node does whatever its role."""

    async def tell_aside() -> Mapping[str, Figure]:
        found = await asyncio.to_thread(set_aside.list_aside, paths, clock.now().timestamp())
        return set_aside.figures(found)

    return [
        Task(
            name="blob-check",
            title_pt="Leitura de todos os arquivos de áudio e imagem",
            title_en="Reading every audio and image file",
            every_s=7 * DAY_S,
            run=lambda: prove_blobs(paths.blobs),
        ),
        Task(
            name="set-aside",
            title_pt="O que foi posto de lado e espera uma pessoa",
            title_en="What was set aside and waits for a person",
            every_s=DAY_S,
            run=tell_aside,
        ),
    ]


def with_the_record(collector: OrphanCollector, slot: RecordSlot) -> Task:
    """What only the node does whose record is open for writing."""

    async def collect() -> Mapping[str, Figure]:
        return (await collector.collect()).figures()

    return Task(
        name="orphan-blobs",
        title_pt="Arquivos que nenhum registro cita",
        title_en="Files that no row names",
        every_s=DAY_S,
        run=collect,
        here=lambda: slot.is_open and slot.mode != READ_ONLY,
    )


def own_proof(paths: Paths, record: RecordSession, slot: RecordSlot) -> Task:
    """The restore proof of a node alone; a copy that fails it is made anew. Blocks a little: reads the keys."""
    guard = copy_guard(paths)

    async def prove() -> Mapping[str, Figure]:
        opened = record.record
        assert opened is not None  # noqa: S101  ``here`` says so
        assert opened.litestream is not None  # noqa: S101  likewise
        litestream = opened.litestream
        return await prove_own_copy(
            paths.spool,
            scratch(paths),
            paths.database,
            slot,
            sync=litestream.barrier.sync,
            renew=litestream,
            guard=guard,
        )

    return Task(
        name=RESTORE_PROOF,
        title_pt=PROOF_PT,
        title_en=PROOF_EN,
        every_s=DAY_S,
        run=prove,
        here=lambda: record.record is not None and record.record.litestream is not None,
    )


def copy_guard(paths: Paths) -> CopyGuard:
    """What watches over each file of this node's copy. Blocks a little: reads the keys that core has just opened."""
    return CopyGuard(paths.home / "data", paths.secrets, paths.blobs)


def own_copy(paths: Paths, record: RecordSession) -> Copy | None:
    """The copy that a node alone writes; None while no record is open, or it writes none."""
    opened = record.record
    if opened is None or opened.litestream is None:
        return None
    return Copy(spool=paths.spool, sync=opened.litestream.barrier.sync)


def scratch(paths: Paths) -> Path:
    """Where proofs restore to: the same disk as the record, so that there is room for one."""
    return paths.home / "data" / "proofs"


class Recurring:
    """Implements ``appliance.api.admin_schedule.ScheduleDesk``; the other node's report comes over the peer link."""

    def __init__(self, paths: Paths, schedule: Schedule, clock: Clock, node: str) -> None:
        self.schedule = schedule
        self._paths = paths
        self._clock = clock
        self._node = node
        self._ask_peer: AskPeer | None = None
        self._peer: tuple[float, list[TaskReport]] = (float("-inf"), [])
        self._collector: OrphanCollector | None = None

    def furnish(self, blobs: BlobStore, slot: RecordSlot, tasks: Sequence[Task], peer: AskPeer | None = None) -> None:
        """Take in what this node does. ``peer``: asks the other node's schedule for a verb."""
        self._collector = OrphanCollector(self._paths.blobs, blobs, slot, self._clock)
        for task in (*tasks, with_the_record(self._collector, slot), *everywhere(self._paths, self._clock)):
            self.schedule.add(task)
        self._ask_peer = peer

    async def start(self) -> None:
        """Begin, and clear away what a proof left that was cut short."""
        await asyncio.to_thread(shutil.rmtree, scratch(self._paths), ignore_errors=True)
        self.schedule.start()

    # -- ScheduleDesk ---------------------------------------------------------------------------------------------------
    async def report(self) -> Sequence[TaskReport]:
        """Both nodes' tasks; of the other one what it said last, if it is away now."""
        return [*self.schedule.report(self._node), *await self._of_peer()]

    def check(self, name: str) -> None:
        """See ``Schedule.check``."""
        self.schedule.check(name)

    def run_soon(self, name: str) -> None:
        """See ``Schedule.run_soon``."""
        self.schedule.run_soon(name)

    async def health(self) -> Health:
        """The worst of both nodes' recurring work; a check for the registry."""
        own = await self.schedule.health()
        if own.status != "ok":
            return own
        for row in await self._of_peer():
            if row.here and row.trouble is not None:
                trouble = row.trouble
                return Health(
                    "degraded",
                    f"{row.node}: {row.title_en}: {trouble.cause_en}",
                    trouble.step_en,
                    message_pt=f"{row.node}: {row.title_pt}: {trouble.cause_pt}",
                    advice_pt=trouble.step_pt,
                )
        return own

    async def _of_peer(self) -> list[TaskReport]:
        asked_at, known = self._peer
        if self._ask_peer is None or time.monotonic() - asked_at < _FRESH_S:
            return known
        self._peer = time.monotonic(), known
        try:
            async with asyncio.timeout(_PEER_LIMIT_S):
                told = await self._ask_peer(REPORT)
            self._peer = time.monotonic(), msgspec.msgpack.decode(told, type=list[TaskReport])
        except (ProntuarioError, TimeoutError, msgspec.MsgspecError) as error:
            log.debug("the other node's schedule is not known", error=type(error).__name__)
        return self._peer[1]

    async def serve_peer(self, verb: str, body: bytes) -> bytes:
        """The other node asks: a ``Service`` of the peer link."""
        del verb, body
        return msgspec.msgpack.encode(self.schedule.report(self._node))

    # -- the operator's socket ------------------------------------------------------------------------------------------
    def verbs(self) -> dict[str, Verb]:
        """For ``ControlSocket``."""
        return {"schedule.report": self._on_report, "schedule.run": self._on_run, "backup.orphans": self._on_orphans}

    async def _on_report(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"tasks": msgspec.to_builtins(await self.report())}

    async def _on_run(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(request.get("name", ""))
        self.check(name)
        self.run_soon(name)
        return {"soon": name}

    async def _on_orphans(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._collector is not None, "furnished before the socket opens"  # noqa: S101
        return {"orphans": msgspec.to_builtins(await self._collector.look())}
