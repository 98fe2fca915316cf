"""The copy outside this Mac, restored and read: what is left if the building is not. Only where the hospital keeps one.

Something of the hospital's own (a NAS, a mounted bucket, rsync, rclone) carries the folder of the running copy to ``[store]
mirror``; Prontuário sends nothing anywhere. So what is rehearsed is whether that something works: acknowledged writes are
made, given time to be carried, and looked for in a restore of nothing but the mirror.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.operations.backup import verify_latest
from appliance.operations.copy_manifest import reached
from appliance.operations.drills import watched
from appliance.operations.drills.errors import MIRROR_EMPTY, WRITES_LOST
from appliance.operations.drills.rehearsal import Rehearsal
from appliance.operations.drills.simulation import Copy
from appliance.operations.proof import SPOOL_LAG_S, read_newest, require_room
from appliance.plugin_api.storage import Query, Store
from appliance.telemetry.clock import Clock

CARRIED_S: Final = 3600.0
"""How long what carries the copy has for it: an hourly rsync passes, a weekly one fails, and the report says by how much."""
_STEP: Final = (
    "mirror",
    "A cópia fora deste Mac é restaurada e lida",
    "The copy outside this Mac is restored and read",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorParts:
    """``mirror``: None where the hospital keeps none; ``copy``: None while this node writes none. Times in seconds."""

    mirror: Path | None
    store: Store
    clock: Clock
    copy: Callable[[], Copy | None]
    scratch: Path
    database: Path
    carried_s: float = CARRIED_S


async def rehearse_mirror(rehearsal: Rehearsal, parts: MirrorParts) -> None:
    """One step; none where no mirror is configured. RTO: seconds of the restore; RPO: watched writes that were not there."""
    copy = parts.copy()
    if parts.mirror is None:
        return
    name, pt, en = _STEP
    if copy is None:
        why = ("este nó não grava cópia (store.litestream).", "this node writes no copy (store.litestream).")
        rehearsal.not_configured(name, pt, en, why=why)
        return
    async with rehearsal.step(name, pt, en) as figures:
        there = parts.mirror / copy.spool.name
        await asyncio.to_thread(require_room, parts.database, parts.scratch)
        made = [await watched.write_one(parts.store, parts.clock, "cloud") for _ in range(watched.AT_LEAST)]
        told = await copy.sync()
        if isinstance(told, int) and await reached(copy.spool, told, SPOOL_LAG_S):
            await reached(there, told, parts.carried_s)
        if not await asyncio.to_thread(there.is_dir):
            raise MIRROR_EMPTY(folder=copy.spool.name)
        found: dict[int, str] = {}

        def read(q: Query) -> str:
            found.update(watched.roots(q, [one.size for one in made]))
            return read_newest(q)

        report = await verify_latest(there, parts.scratch, read=read)
        lost = watched.missing(made, found)
        rehearsal.measured(report.seconds, lost=lost, watched=len(made))
        figures.update(bytes=report.size_bytes, rows=report.total_rows, restore_s=report.seconds, missing=lost)
        if lost:
            raise WRITES_LOST(lost=lost, watched=len(made))
