"""The restore proof as recurring work: of a node alone, of a pair's standby, and of a primary whose standby is away."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from appliance.cluster.model import Position
from appliance.cluster.prove_restore import prove_restore
from appliance.operations.backup import (
    BEHIND,
    BLOBS_DAMAGED,
    DAMAGED,
    NO_ROOM,
    NOT_RESTORABLE,
    RestoreReport,
    check_blobs,
    verify_latest,
)
from appliance.operations.copy_manifest import FILE_CHANGED, FILE_MISSING, CopyGuard, reached
from appliance.operations.schedule_memory import Figure
from appliance.plugin_api.errors import ProntuarioError, define
from appliance.plugin_api.storage import Query, Store
from appliance.records import repository
from appliance.records.validation import validate
from appliance.store.durable import make_folder
from appliance.store.soundness import problems
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

log = get_logger("backup")
SPARE_BYTES: Final = 2 << 30
"""What a proof leaves free on the disk, at least: it must never be what fills it."""
SPOOL_LAG_S: Final = 30.0
"""How long a proof waits for Litestream to bring its last step into the spool; what is not there then is missing."""
GROWS: Final = "audit_event"
"""A table that only grows: every access adds to it."""
_RENEWABLE: Final = frozenset({NOT_RESTORABLE.code, DAMAGED.code, BEHIND.code})
_MIB: Final = 1 << 20

RENEWED = define(
    "backup.renewed",
    500,
    pt=(
        "A cópia falhou na prova ({code}). Uma nova foi feita e provada; a antiga está em {aside}.",
        "Mande examinar o disco. A pasta antiga só uma pessoa apaga: prontuario backup set-aside.",
    ),
    en=(
        "The copy failed its proof ({code}). A new one was made and proven; the old one is in {aside}.",
        "Have the disk examined. Only a person deletes the old folder: prontuario backup set-aside.",
    ),
)
RECORD_DAMAGED = define(
    "backup.record_damaged",
    500,
    pt=(
        "A cópia falhou na prova ({code}) e o próprio prontuário tem {problems} defeitos.",
        "Pare de gravar, não apague nada e chame o suporte agora.",
    ),
    en=(
        "The copy failed its proof ({code}) and the record itself has {problems} faults.",
        "Stop writing, erase nothing and call support now.",
    ),
)


class Renewable(Protocol):
    """Litestream, as far as a failed proof needs it."""

    async def renew(self) -> Path:
        """Begin a new copy; where the old one lies."""
        ...


def read_newest(query: Query) -> str:
    """Read the newest resource as the FHIR service does, and validate it; its type (never its id), empty if there is none.

    Raises:
        ProntuarioError: it can't be read, or is not what FHIR R4 allows.
    """
    newest = query.one("SELECT type, id FROM record_head WHERE deleted = 0 ORDER BY seq DESC LIMIT 1")
    if newest is None:
        return ""
    validate(repository.read(query, str(newest["type"]), str(newest["id"])))
    return str(newest["type"])


def count_growing(query: Query) -> Mapping[str, int]:
    """How many rows the table has that only grows: a copy made later has at least as many."""
    row = query.one("SELECT count(*) FROM audit_event")
    return {GROWS: int(str(row[0])) if row is not None else 0}


async def prove_own_copy(
    spool: Path,
    scratch: Path,
    database: Path,
    store: Store,
    *,
    sync: Callable[[], Awaitable[object]] | None = None,
    renew: Renewable | None = None,
    guard: CopyGuard | None = None,
) -> dict[str, Figure]:
    """Restore what this node's Litestream wrote to ``spool``; with ``renew``, a copy that fails is made anew and proven.

    ``sync`` brings everything that was acknowledged into the spool first, and may answer up to which TXID. ``guard`` knows
    each file of the copy: with it one that is missing or changed is named, keys and blobs too.

    Raises:
        ProntuarioError: ``backup.*``; ``backup.renewed`` when all is well again but somebody must look.
    """
    await asyncio.to_thread(require_room, database, scratch)
    at_least = await store.read(count_growing)
    told = await sync() if sync is not None else None
    txid = told if isinstance(told, int) else None
    if txid is not None:
        await reached(spool, txid, SPOOL_LAG_S)
    prove = partial(_prove_guarded, spool, scratch, at_least, guard)
    try:
        report = await prove(txid)
    except ProntuarioError as error:
        if renew is None or not _of_the_spool(error):
            raise
        aside = await _renew(store, renew, error.kind.code)
        await prove(None)
        raise RENEWED(code=_which(error), aside=aside.name) from error
    return _figures(report.size_bytes, report.rows, report.seconds, report.read)


async def _prove_guarded(
    spool: Path, scratch: Path, at_least: Mapping[str, int], guard: CopyGuard | None, txid: int | None
) -> RestoreReport:
    if guard is None:
        return await verify_latest(spool, scratch, at_least=at_least, read=read_newest)
    wrong = await asyncio.to_thread(guard.look, spool, txid, time.time())

    report = await verify_latest(spool, scratch, at_least=at_least, read=guard.reading(read_newest))
    await asyncio.to_thread(guard.note)
    if wrong is not None:  # all else is well, and the next proof has a manifest again; somebody must look all the same
        raise wrong
    return report


def _of_the_spool(error: ProntuarioError) -> bool:
    """Whether a new copy would be without this fault."""
    file = str(error.details.get("file", ""))
    return error.kind.code in _RENEWABLE or (error.kind in {FILE_MISSING, FILE_CHANGED} and "/ltx/" in file)


def _which(error: ProntuarioError) -> str:
    file = str(error.details.get("file", ""))
    return f"{error.kind.code}: {file}" if file else error.kind.code


async def prove_received(
    replica: Path, position: Position, scratch: Path, database: Path, clock: Clock, *, guard: CopyGuard | None = None
) -> dict[str, Figure]:
    """Restore what this standby received up to ``position``. ``database``: of about the size that it will have.

    Raises:
        ProntuarioError: ``cluster.copy_damaged``, ``backup.no_room``; with a ``guard`` ``backup.file_missing|file_changed``.
    """
    await asyncio.to_thread(require_room, database, scratch)
    wrong = None
    if guard is not None:
        wrong = await asyncio.to_thread(guard.look_received, replica, position.txid)
    proof = await prove_restore(
        replica, position, scratch, now=clock.now(), read=read_newest if guard is None else guard.reading(read_newest)
    )
    if guard is not None:
        await asyncio.to_thread(guard.note)
    if wrong is not None:
        raise wrong
    figures = _figures(proof.size_bytes, proof.rows, proof.seconds, proof.read)
    return {**figures, "epoch": position.epoch, "txid": position.txid}


async def prove_blobs(folder: Path) -> dict[str, Figure]:
    """Read every blob and compare it with its address.

    Raises:
        ProntuarioError: ``backup.blobs_damaged``.
    """
    report = await asyncio.to_thread(check_blobs, folder)
    if report.damaged:
        for address in report.damaged:
            log.error("a blob is damaged", resource_id=address)
        raise BLOBS_DAMAGED(count=len(report.damaged))
    return {"blobs": report.whole}


async def _renew(store: Store, renew: Renewable, code: str) -> Path:
    found = await store.read(problems)
    if found:
        raise RECORD_DAMAGED(code=code, problems=found)
    log.error("the copy failed its proof and is made anew", code=code)
    return await renew.renew()


def require_room(database: Path, scratch: Path) -> None:
    """Make ``scratch``, and see that a restore of ``database`` fits beside it. Blocks.

    Raises:
        ProntuarioError: ``backup.no_room``.
    """
    make_folder(scratch.absolute())
    needed = SPARE_BYTES + (database.stat().st_size if database.exists() else 0)
    free = shutil.disk_usage(scratch).free
    if free < needed:
        raise NO_ROOM(missing_mib=(needed - free) // _MIB + 1)


def _figures(size: int, rows: Mapping[str, int], seconds: float, read: str) -> dict[str, Figure]:
    return {
        "bytes": size,
        "tables": len(rows),
        "rows": sum(rows.values()),
        "audit_events": rows.get(GROWS, 0),
        "seconds": seconds,
        "read": read or "-",
    }


__all__ = [
    "RECORD_DAMAGED",
    "RENEWED",
    "count_growing",
    "prove_blobs",
    "prove_own_copy",
    "prove_received",
    "read_newest",
    "require_room",
]
