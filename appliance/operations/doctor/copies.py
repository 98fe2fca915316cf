"""Copies of the record: Litestream, its spool, the proof that it can be restored, blobs, and what waits for a person."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.doctor.home import runs_here
from appliance.operations.doctor.model import STOPPED, Check, Finding, Words
from appliance.operations.doctor.patient import Patient
from appliance.operations.schedule_memory import Memory, TaskReport, Trouble, load
from appliance.operations.set_aside import list_aside
from appliance.plugin_api.errors import ProntuarioError
from appliance.store.blobs import addresses_in, is_whole, place_of
from appliance.store.litestream_config import program

OLDEST_LITESTREAM: Final = (0, 5, 0)
STALE_S: Final = 120.0
"""Litestream copies every second; two minutes behind the record is not a slow disk any more."""
SCHEDULE: Final = "schedule.report"
PROOFS: Final = ("restore-proof", "lonely-proof")
"""The second: of a pair's primary while its standby is away, and its own copy is the only one."""
PROOF_LATE_S: Final = 2 * 86400.0
SAMPLE: Final = 16
SAMPLE_FROM: Final = 2000
SAMPLE_BYTES: Final = 64 << 20
SAMPLE_S: Final = 3.0
_GIB: Final = 1 << 30
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_AGAIN: Final = ("Reinstale o Prontuário: ele traz o Litestream.", "Install Prontuário again: it brings Litestream.")

LITESTREAM: Final = Check("litestream", "record", pt="Litestream", en="Litestream", runbook="copy-failed")
_LITESTREAM_WELL = LITESTREAM.ok("Litestream {version}.", "Litestream {version}.")
_OFF = LITESTREAM.warns(
    "off",
    ("Desligado: confirmado quer dizer guardado só neste disco.", "Ponha store.litestream = true em prontuario.toml."),
    ("Switched off: acknowledged means kept on this disk only.", "Set store.litestream = true in prontuario.toml."),
)
_ABSENT = LITESTREAM.fails(
    "missing",
    ("O programa litestream não foi encontrado.", _AGAIN[0]),
    ("The litestream program was not found.", _AGAIN[1]),
)
_DEAD = LITESTREAM.fails("dead", ("{path} não roda.", _AGAIN[0]), ("{path} does not run.", _AGAIN[1]))
_OLD = LITESTREAM.fails(
    "old", ("O Litestream {version} é velho demais.", _AGAIN[0]), ("Litestream {version} is too old.", _AGAIN[1])
)

SPOOL: Final = Check("spool", "record", pt="Cópia contínua", en="Continuous copy", runbook="copy-failed")
_SPOOL_WELL = SPOOL.ok("A cópia está em dia.", "The copy is up to date.")
_NOTHING = SPOOL.ok("Não há o que copiar.", "There is nothing to copy.", "empty")
_NO_COPY = SPOOL.warns(
    "missing",
    ("Ainda não há cópia em {folder}.", "Inicie o nó: prontuario up"),
    ("There is no copy in {folder} yet.", "Start the node: prontuario up"),
)
_BEHIND = SPOOL.fails(
    "behind",
    ("A cópia está {seconds} s atrás do prontuário.",
     "Procure 'litestream' no log e reinicie o nó. Até lá, um disco perdido leva isso junto."),
    ("The copy is {seconds} s behind the record.",
     "Look for 'litestream' in the log and restart the node. Until then a lost disk loses that much."),
)  # fmt: skip

RESTORE: Final = Check("restore-proof", "record", pt="Prova de restauração", en="Restore proof", runbook="copy-failed")
_PROVEN = RESTORE.ok("Provada há {hours} h.", "Proven {hours} h ago.")
_NOTHING_TO_PROVE = RESTORE.ok("Não há o que provar.", "There is nothing to prove.", "empty")
_PROVE: Final = (
    "Com o nó rodando (num par, na reserva): prontuario schedule run restore-proof",
    "With the node running (in a pair, on the standby): prontuario schedule run restore-proof",
)
_NEVER = RESTORE.warns(
    "never", ("A cópia nunca foi provada.", _PROVE[0]), ("The copy has never been proven.", _PROVE[1])
)
_PROOF_OLD = RESTORE.fails(
    "old",
    ("A última prova da cópia tem {days} dias.", _PROVE[0]),
    ("The copy was last proven {days} days ago.", _PROVE[1]),
)
_PROOF_FAILED = RESTORE.fails(
    "failed",
    ("A prova da cópia falhou: {cause}", "{step}"),
    ("The copy's proof failed: {cause}", "{step}"),
)

BLOBS: Final = Check(
    "blobs", "record", pt="Áudios e imagens", en="Audio and images", runbook="copy-failed", needs_config=False
)
_BLOBS_WELL = BLOBS.ok(
    "{count} arquivos sorteados foram lidos e estão inteiros; toda semana o nó lê todos.",
    "{count} files chosen by lot were read and are whole; every week the node reads all of them.",
)
_BLOBS_DAMAGED = BLOBS.fails(
    "damaged",
    ("De {count} arquivos lidos, {damaged} estão danificados, como {example}.",
     "Não apague nada: o outro nó ou a cópia os tem. Mande examinar o disco e chame o suporte."),
    ("Of {count} files read, {damaged} are damaged, such as {example}.",
     "Erase nothing: the other node or the copy has them. Have the disk examined and call support."),
)  # fmt: skip

ASIDE: Final = Check(
    "set-aside", "record", pt="Posto de lado", en="Set aside", runbook="copy-failed", needs_config=False
)
_NONE_ASIDE = ASIDE.ok("Nada espera uma pessoa.", "Nothing waits for a person.")
_ASIDE = ASIDE.warns(
    "waiting",
    ("{count} pastas antigas esperam que alguém olhe ({gib} GiB, a mais velha de {days} dias).",
     "Veja quais: prontuario backup set-aside. Só uma pessoa as apaga."),
    ("{count} old folders wait for somebody to look ({gib} GiB, the oldest {days} days old).",
     "See which: prontuario backup set-aside. Only a person deletes them."),
)  # fmt: skip

ROUTINES: Final = Check(
    "routines", "record", pt="Tarefas de rotina", en="Recurring work", runbook="routine-failed", needs_config=False
)
_ROUTINES_WELL = ROUTINES.ok("Nenhuma falhou na última vez.", "None failed the last time.")
_ROUTINE_FAILED = ROUTINES.warns(
    "failed", ("{name} falhou {times} vez(es): {cause}", "{step}"), ("{name} failed {times} time(s): {cause}", "{step}")
)


@LITESTREAM
def litestream(patient: Patient) -> Finding:
    """The Litestream program is there and new enough."""
    if not patient.config.store.litestream:
        return _OFF()
    try:
        found = program(patient.machine.python_prefix, patient.machine.search_path)
    except ProntuarioError:
        return _ABSENT()
    version = _version_of(patient, found)
    if version is None:
        return _DEAD(path=found)
    return (_OLD if version < OLDEST_LITESTREAM else _LITESTREAM_WELL)(version=".".join(map(str, version)))


def _version_of(patient: Patient, found: Path) -> tuple[int, ...] | None:
    try:
        said = patient.machine.ask(str(found), "version")
    except OSError:
        return None
    match = _VERSION.search(said.out + said.err) if said is not None and not said.status else None
    return tuple(int(part) for part in match.groups()) if match else None


@SPOOL
def spool(patient: Patient) -> Finding:
    """The spool is there and does not trail the record.

    Only commits count, and they go to the write-ahead log: a checkpoint writes the database hours later, and leaves nothing to copy.
    """
    paths = patient.paths
    if not patient.config.store.litestream or not paths.database.exists():
        return _NOTHING()
    copies = chain(paths.spool.rglob("*.ltx"), paths.replicas.rglob("*.ltx"))
    newest = max((moment for path in copies if (moment := _written(path)) is not None), default=None)
    if newest is None:
        return _NO_COPY(folder=paths.spool)
    wal = paths.database.with_name(paths.database.name + "-wal")
    written = _written(wal) if _holds_something(wal) else None
    behind = 0.0 if written is None else written - newest
    return _BEHIND(seconds=f"{behind:.0f}") if behind > STALE_S else _SPOOL_WELL()


def _holds_something(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _written(path: Path) -> float | None:
    """When it was written, in seconds since 1970; None: Litestream has compacted it away meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


@RESTORE
def restore_proof(patient: Patient) -> Finding:
    """The copy was restored and read lately, and that went well."""
    if not patient.config.store.litestream or not (patient.paired or patient.paths.database.exists()):
        return _NOTHING_TO_PROVE()  # a standby has no record of its own, and proves what it received
    if patient.paired and not runs_here(patient.paths.run):
        return STOPPED(RESTORE)  # the other node may be the one that proves
    found = _memory(patient)
    proofs = [found[name] for name in PROOFS if name in found]
    trouble = next((one.trouble for one in proofs if one.trouble is not None), None)
    if trouble is not None:
        cause, step = _told(trouble)
        return _PROOF_FAILED(cause=cause, step=step)
    ok_s = max((one.ok_s for one in proofs), default=0.0)
    if not ok_s:
        return _NEVER()
    age = patient.machine.now().timestamp() - ok_s
    return _PROOF_OLD(days=f"{age / 86400:.0f}") if age > PROOF_LATE_S else _PROVEN(hours=f"{age / 3600:.0f}")


@BLOBS
def blobs(patient: Patient) -> Finding:
    """A few files chosen by lot hold what their names say."""
    folder = patient.paths.blobs
    known = list(islice(addresses_in(folder), SAMPLE_FROM))
    chosen = random.sample(known, min(SAMPLE, len(known)))
    read = list(_read(folder, chosen))
    damaged = sorted(address for address, whole in read if not whole)
    if damaged:
        return _BLOBS_DAMAGED(count=len(read), damaged=len(damaged), example=damaged[0])
    return _BLOBS_WELL(count=len(read))


def _read(folder: Path, addresses: list[str]) -> Iterator[tuple[str, bool]]:
    until = time.monotonic() + SAMPLE_S
    for address in addresses:
        place = place_of(folder, address)
        if place.exists() and place.stat().st_size <= SAMPLE_BYTES:
            yield address, is_whole(folder, address) or not place.exists()  # erased meanwhile
        if time.monotonic() > until:
            return


@ASIDE
def set_aside(patient: Patient) -> Finding:
    """Nothing that failed or was overtaken takes room unseen."""
    found = list_aside(patient.paths, patient.machine.now().timestamp())
    if not found:
        return _NONE_ASIDE()
    size = sum(one.bytes for one in found)
    return _ASIDE(count=len(found), gib=f"{size / _GIB:.2f}", days=f"{max(one.age_days for one in found):.0f}")


@ROUTINES
def routines(patient: Patient) -> Finding:
    """Recurring work succeeds; the restore proof has a check of its own."""
    failing = {name: one for name, one in _memory(patient).items() if one.trouble is not None and name not in PROOFS}
    for name, memory in sorted(failing.items(), key=lambda item: -item[1].failures):
        if memory.trouble is not None:
            cause, step = _told(memory.trouble)
            return _ROUTINE_FAILED(name=name, times=memory.failures, cause=cause, step=step)
    return _ROUTINES_WELL()


def _memory(patient: Patient) -> dict[str, Memory]:
    """Each task's past on the node whose work it is now: a running node knows both nodes', the file only its own."""
    if runs_here(patient.paths.run):
        try:
            rows = msgspec.convert(patient.line.ask(SCHEDULE)["tasks"], list[TaskReport])
        except (OSError, LookupError, msgspec.ValidationError):
            rows = []
        here = sorted((row for row in rows if row.here), key=lambda row: row.trouble is not None)
        if here:
            return {row.name: _remembered(row) for row in here}
    return load(patient.paths.home / "data" / "schedule.json")


def _remembered(row: TaskReport) -> Memory:
    ok_s = datetime.fromisoformat(row.ok_at).timestamp() if row.ok_at else 0.0
    return Memory(due_s=0.0, ok_s=ok_s, ok_at=row.ok_at, failures=row.failures, trouble=row.trouble)


def _told(trouble: Trouble) -> tuple[Words, Words]:
    return Words(trouble.cause_pt, trouble.cause_en), Words(trouble.step_pt, trouble.step_en)
