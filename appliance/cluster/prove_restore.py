"""Proof that what the standby holds can become the record: restored aside, checked, counted, and read. Run on a schedule."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from appliance.cluster.follow import DATABASE_NAME, restore_copy
from appliance.cluster.model import Position
from appliance.cluster.replication_errors import COPY_DAMAGED
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.store.durable import make_folder
from appliance.store.soundness import count_rows, problems
from appliance.store.sqlite import Error, inspect
from appliance.telemetry.clock import instant
from appliance.telemetry.logs import get_logger

log = get_logger("follow")
_TRIES: Final = 3


class RestoreProof(msgspec.Struct, frozen=True):
    """A restore that proved itself. ``rows`` counts each table's rows; ``read`` is what the FHIR read answered."""

    at: str
    position: Position
    seconds: float
    size_bytes: int
    rows: dict[str, int]
    read: str


async def prove_restore(
    replica: Path,
    position: Position,
    scratch: Path,
    *,
    now: datetime,
    read: Callable[[Query], str],
    at_least: Mapping[str, int] | None = None,
) -> RestoreProof:
    """Restore ``replica`` up to ``position`` into a folder below ``scratch`` (deleted again) and check everything.

    ``read`` does one FHIR read and names what it read; ``at_least`` are row counts that the record had by then (of tables
    that only grow).

    Raises:
        ProntuarioError: ``cluster.copy_damaged`` with the step that failed.
    """
    began = time.monotonic()
    folder = scratch / f"proof-{time.time_ns()}"
    try:
        size, rows, answer = await asyncio.to_thread(_prove, replica, position.txid, folder, read, at_least or {})
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    seconds = round(time.monotonic() - began, 3)
    log.info("what was received can be restored", epoch=position.epoch, sequence=position.txid, bytes=size)
    return RestoreProof(instant(now), position, seconds, size, rows, answer)


def _prove(
    replica: Path, txid: int, folder: Path, read: Callable[[Query], str], at_least: Mapping[str, int]
) -> tuple[int, dict[str, int], str]:
    make_folder(folder)
    copy = folder / DATABASE_NAME
    for left in reversed(range(_TRIES)):
        try:
            restore_copy(replica, copy, txid=txid)
            break
        except ProntuarioError:  # a file that the plan had named may have gone meanwhile, covered by a larger one
            copy.unlink(missing_ok=True)
            if not left:
                raise
    try:
        if inspect(copy, problems):
            raise COPY_DAMAGED(reason="integrity_check")
        rows = inspect(copy, count_rows)
        short = [table for table, count in at_least.items() if rows.get(table, 0) < count]
        if short:
            raise COPY_DAMAGED(reason=f"rows of {', '.join(sorted(short))}")
        return copy.stat().st_size, rows, inspect(copy, read)
    except Error as error:
        raise COPY_DAMAGED(reason="read") from error
