"""The quarterly full simulation: a note is written, the copy is restored and read, the other node takes over and reads it too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.operations.backup import verify_latest
from appliance.operations.copy_manifest import reached
from appliance.operations.drills import failover, note, watched
from appliance.operations.drills.conductor import Drill
from appliance.operations.drills.errors import NOTE_DIFFERS, WRITES_LOST
from appliance.operations.drills.failover import FailoverParts
from appliance.operations.drills.note import SyntheticNote
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.proof import SPOOL_LAG_S, require_room
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query

QUARTER_S: Final = 91 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The copy of the record that is being written now: its folder, and what has everything acknowledged copied.

    ``sync`` may answer up to which TXID the copy will reach.
    """

    spool: Path
    sync: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationParts:
    """``copy``: None while this node writes none; ``scratch``: on the same disk as ``database``."""

    pair: FailoverParts
    copy: Callable[[], Copy | None]
    scratch: Path
    database: Path
    here: Callable[[], bool]


def simulation_drill(parts: SimulationParts) -> Drill:
    """Of a pair the node that leads; a node alone restores and reads, and says that it has nobody to hand over to."""

    async def perform(rehearsal: Rehearsal) -> None:
        await _simulate(rehearsal, parts)

    return Drill(
        name="simulation", title_pt="simulação completa trimestral", title_en="quarterly full simulation", every_s=QUARTER_S,
        about_pt="Uma nota de um paciente que não existe é gravada, lida na cópia restaurada e, depois da troca, no outro Mac.",
        about_en="A note of a patient who does not exist is written, read in the restored copy and, handed over, on the other Mac.",
        perform=perform, disturbs=True, shared=True, here=parts.here,
    )  # fmt: skip


async def _simulate(rehearsal: Rehearsal, parts: SimulationParts) -> None:
    store, clock = parts.pair.store, parts.pair.clock
    written: SyntheticNote | None = None
    moved = False
    try:
        pt, en = "Nota de um paciente sintético gravada", "A synthetic patient's note is written"
        async with rehearsal.step("note", pt, en, needed=True):
            written = await note.write(store, clock, "simulation")
        assert written is not None  # noqa: S101  the step is needed
        await _restore(rehearsal, parts, written)
        moved = await failover.hand_over(rehearsal, parts.pair, "simulation")
        if moved and parts.pair.partner is not None:
            await failover.read_there(rehearsal, parts.pair.partner, written)
    finally:
        if written is not None and not moved:
            place = written.place
            async with rehearsal.step("cleaning", "Paciente sintético removido", "The synthetic patient is deleted"):
                await note.forget(store, clock, place)


async def _restore(rehearsal: Rehearsal, parts: SimulationParts, written: SyntheticNote) -> None:
    pt, en = "A cópia é restaurada e a nota é lida nela", "The copy is restored and the note is read in it"
    copy = parts.copy()
    if copy is None:
        why = ("este nó não grava cópia (store.litestream).", "this node writes no copy (store.litestream).")
        rehearsal.not_configured("restore", pt, en, why=why)
        return
    async with rehearsal.step("restore", pt, en) as figures:
        require_room(parts.database, parts.scratch)
        made = [
            await watched.write_one(parts.pair.store, parts.pair.clock, "simulation") for _ in range(watched.AT_LEAST)
        ]
        told = await copy.sync()
        if isinstance(told, int):
            await reached(copy.spool, told, SPOOL_LAG_S)
        found: dict[int, str] = {}

        def read(q: Query) -> str:
            found.update(watched.roots(q, [one.size for one in made]))
            return note.digest_of(q, written.place)

        report = await verify_latest(copy.spool, parts.scratch, read=read)
        lost = watched.missing(made, found)
        rehearsal.measured(report.seconds, lost=lost, watched=len(made))
        figures.update(bytes=report.size_bytes, rows=report.total_rows, restore_s=report.seconds, missing=lost)
        _judge(report.read == written.sha256, lost, len(made))


def _judge(same: bool, lost: int, count: int) -> None:
    refused: ProntuarioError | None = None
    if lost:
        refused = WRITES_LOST(lost=lost, watched=count)
    elif not same:
        refused = NOTE_DIFFERS(where="backup")
    if refused is not None:
        raise refused
