"""Restoring the record from Litestream's spool, and proving that it can be restored."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from appliance.plugin_api.errors import define
from appliance.plugin_api.storage import Query
from appliance.store.blobs import addresses_in, is_whole
from appliance.store.durable import make_folder, sync_folder
from appliance.store.litestream_config import render_source, restore_command
from appliance.store.soundness import count_rows, problems
from appliance.store.sqlite import Error, inspect
from appliance.telemetry.clock import instant
from appliance.telemetry.logs import get_logger

log = get_logger("backup")
T = TypeVar("T")
DATABASE_NAME: Final = "record.sqlite"
_RESTORE_LIMIT_S: Final = 6 * 3600.0
_TRIES: Final = 3
_RETRY_PAUSE_S: Final = 0.5

TARGET_TAKEN = define(
    "backup.target_taken",
    409,
    pt=("Já existe um prontuário em {path}; nada foi sobrescrito.", "Escolha uma pasta vazia."),
    en=("There is a record in {path} already; nothing was overwritten.", "Choose an empty folder."),
)
NOT_RESTORABLE = define(
    "backup.not_restorable",
    500,
    pt=("A cópia não pôde ser restaurada (código {exit_code}).", "Confira a pasta da cópia e o horário pedido."),
    en=("The copy could not be restored (exit code {exit_code}).", "Check the copy's folder and the time asked for."),
)
BEHIND = define(
    "backup.behind",
    500,
    pt=("Na cópia restaurada faltam {missing} registros de {table}.", "Não apague nada e chame o suporte."),
    en=("The restored copy lacks {missing} rows of {table}.", "Erase nothing and call support."),
)
NO_ROOM = define(
    "backup.no_room",
    507,
    pt=("Não há disco livre para provar a restauração: faltam {missing_mib} MiB.", "Libere espaço em disco."),
    en=("There is no room to prove a restore: {missing_mib} MiB are missing.", "Free disk space."),
)
BLOBS_DAMAGED = define(
    "backup.blobs_damaged",
    500,
    pt=(
        "{count} arquivos de áudio ou imagem estão danificados neste nó.",
        "Não apague nada; o outro nó ou a cópia os tem. Chame o suporte.",
    ),
    en=(
        "{count} audio or image files are damaged on this node.",
        "Erase nothing; the other node or the copy has them. Call support.",
    ),
)
DAMAGED = define(
    "backup.damaged",
    500,
    pt=(
        "A cópia restaurada está danificada ({problems} problemas).",
        "Restaure um horário anterior e chame o suporte.",
    ),
    en=("The restored copy is damaged ({problems} problems).", "Restore an earlier time and call support."),
)


class BlobReport(msgspec.Struct, frozen=True):
    """What was found in the folder of blobs: whole files, and the addresses of those whose hash is wrong."""

    whole: int
    damaged: tuple[str, ...]


class RestoreReport(msgspec.Struct, frozen=True):
    """A restore that succeeded. ``rows`` counts each table's rows; ``integrity`` is SQLite's ``integrity_check``."""

    database: str
    at: str | None
    size_bytes: int
    integrity: str
    tables: int
    total_rows: int
    rows: dict[str, int]
    seconds: float
    blobs: BlobReport | None = None
    read: str = ""
    """What was read from it as a user reads."""


def restore(
    spool: Path,
    to: Path,
    at: datetime | None = None,
    *,
    blobs: Path | None = None,
    on_stage: Callable[[str], None] = lambda _stage: None,
) -> RestoreReport:
    """Restore the record into the folder ``to`` (as ``record.sqlite``), as it was ``at`` a time or as it is now. Blocks.

    The file gets its name only after it has passed every check, so ``to`` never holds half a record. With ``blobs``, every
    blob there is read and compared with its address. ``on_stage`` is told ``restore``, ``check``, ``count``, ``blobs``.

    Raises:
        ProntuarioError: ``backup.target_taken`` (409), ``backup.not_restorable``, ``backup.damaged``,
            ``store.litestream_missing``.
        ValueError: ``at`` has no time zone.
    """
    began = time.monotonic()
    target = to / DATABASE_NAME
    if target.exists():
        raise TARGET_TAKEN(path=str(target))
    make_folder(to.absolute())
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=to) as scratch:
        draft = Path(scratch) / DATABASE_NAME
        on_stage("restore")
        _run_litestream(spool, draft, at)
        on_stage("check")
        integrity = _read(draft, _integrity)
        on_stage("count")
        rows = _read(draft, count_rows)
        size = draft.stat().st_size
        if target.exists():
            raise TARGET_TAKEN(path=str(target))
        draft.rename(target)
        sync_folder(to)
    on_stage("blobs")
    return RestoreReport(
        database=str(target),
        at=None if at is None else instant(at),
        size_bytes=size,
        integrity=integrity,
        tables=len(rows),
        total_rows=sum(rows.values()),
        rows=rows,
        seconds=round(time.monotonic() - began, 3),
        blobs=None if blobs is None else check_blobs(blobs),
    )


async def verify_latest(
    spool: Path,
    scratch: Path,
    *,
    blobs: Path | None = None,
    at_least: Mapping[str, int] | None = None,
    read: Callable[[Query], str] | None = None,
) -> RestoreReport:
    """Prove that the record can be restored now: into a folder below ``scratch`` that is deleted again.

    ``at_least``: rows that tables which only grow had before this call; ``read`` reads something as a user would.

    Raises:
        ProntuarioError: see ``restore``; ``backup.behind``, ``backup.damaged`` when ``read`` can't; what ``read`` raises.
    """
    folder = scratch / f"proof-{time.time_ns()}"
    try:
        report = await asyncio.to_thread(_prove, spool, folder, blobs, at_least or {}, read)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    log.info("the copy can be restored", count=report.total_rows, bytes=report.size_bytes)
    return report


def _prove(
    spool: Path,
    folder: Path,
    blobs: Path | None,
    at_least: Mapping[str, int],
    read: Callable[[Query], str] | None,
) -> RestoreReport:
    report = restore(spool, folder, blobs=blobs)
    for table, count in at_least.items():
        if (missing := count - report.rows.get(table, 0)) > 0:
            raise BEHIND(missing=missing, table=table)
    if read is None:
        return report
    return msgspec.structs.replace(report, read=_read(Path(report.database), read))


def check_blobs(folder: Path) -> BlobReport:
    """Read every blob below ``folder`` and compare it with its address. Needs no key. Blocks."""
    whole, damaged = 0, []
    for address in addresses_in(folder):
        if is_whole(folder, address):
            whole += 1
        else:
            damaged.append(address)
    return BlobReport(whole=whole, damaged=tuple(sorted(damaged)))


def _read(database: Path, query: Callable[[Query], T]) -> T:
    """What ``query`` finds in a restored file; one that SQLite can't even read is damaged too."""
    try:
        return inspect(database, query)
    except Error as error:
        raise DAMAGED(problems=1) from error


def _integrity(query: Query) -> str:
    if found := problems(query):
        raise DAMAGED(problems=found)
    return "ok"


def _run_litestream(spool: Path, output: Path, at: datetime | None) -> None:
    options = []
    if at is not None:
        if at.tzinfo is None:
            raise ValueError("a time to restore must say its time zone")
        options = ["-timestamp", instant(at)]
    command, source = restore_command(output, *options), render_source(spool)
    for _ in range(_TRIES):  # a live Litestream may compact away a file that the plan had named
        exit_code = subprocess.run(
            command, input=source, capture_output=True, timeout=_RESTORE_LIMIT_S, check=False
        ).returncode
        if exit_code == 0 and output.exists():
            return
        output.unlink(missing_ok=True)
        time.sleep(_RETRY_PAUSE_S)
    log.error("litestream restore failed", exit_code=exit_code)
    raise NOT_RESTORABLE(exit_code=exit_code)
