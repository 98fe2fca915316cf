"""The record itself: the SQLite library, the database's soundness and schema, the audit log's newest signed head."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final, TypeVar

from pysqlite3 import dbapi2

from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Patient
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.security import audit
from appliance.security.audit_heads import SignedHead, latest, verify_head
from appliance.security.head_memory import read_head
from appliance.store.migrate import known_migrations
from appliance.store.sqlite import SqlQuery, check_library

T = TypeVar("T")
LOOK_S: Final = 4.0
"""How long the database's soundness is looked at; what is left is the daily restore proof's matter."""
_STEPS: Final = 50_000
_MIB: Final = 1 << 20
_INTERRUPTED: Final = "interrupted"

SQLITE: Final = Check("sqlite", "record", pt="Biblioteca SQLite", en="SQLite library", needs_config=False)
_SQLITE_WELL = SQLITE.ok("SQLite {version}.", "SQLite {version}.")
_AFFECTED = SQLITE.fails(
    "affected",
    (
        "O SQLite {version} pode corromper o prontuário (falha WAL-reset).",
        "Reinstale o Prontuário: ele traz um SQLite posterior a 3.51.2.",
    ),
    (
        "SQLite {version} can corrupt the record (WAL-reset bug).",
        "Install Prontuário again: it brings a SQLite past 3.51.2.",
    ),
)

DATABASE: Final = Check(
    "database", "record", pt="Banco de dados", en="Database", runbook="copy-failed", needs_config=False
)
_NO_DATABASE = DATABASE.ok("Ainda não há prontuário aqui.", "There is no record here yet.", "empty")
_SOUND = DATABASE.ok("quick_check passou, {mib} MiB.", "quick_check passed, {mib} MiB.")
_SOUND_SO_FAR = DATABASE.ok(
    "Nada errado nos primeiros {seconds} s de quick_check ({mib} MiB); o resto fica com a prova diária de restauração.",
    "Nothing wrong in the first {seconds} s of quick_check ({mib} MiB); the rest is the daily restore proof's.",
    "partly",
)
_CLOSED = DATABASE.fails(
    "closed",
    ("O prontuário não abre ({error}).", "Confira dono e modo de {path}; se estiverem certos, chame o suporte."),
    ("The record can't be opened ({error}).", "Check owner and mode of {path}; if they are right, call support."),
)
_DAMAGED = DATABASE.fails(
    "damaged",
    ("O arquivo do prontuário está danificado.",
     "Pare o nó, guarde o arquivo danificado e restaure: prontuario backup restore --to PASTA_NOVA."),
    ("The record's file is damaged.",
     "Stop the node, keep the damaged file and restore: prontuario backup restore --to A_NEW_FOLDER."),
)  # fmt: skip

SCHEMA: Final = Check(
    "schema", "record", pt="Versão do banco", en="The database's version", runbook="rolling-upgrade", needs_config=False
)
_SCHEMA_WELL = SCHEMA.ok(
    "Migração {applied}; este programa conhece {known}.", "Migration {applied}; this program knows {known}."
)
_SCHEMA_NONE = SCHEMA.ok("Ainda não há prontuário aqui.", "There is no record here yet.", "empty")
_SCHEMA_OLD = SCHEMA.ok(
    "Migração {applied}; ao iniciar, o nó passa para {known}.",
    "Migration {applied}; at its start the node goes to {known}.",
    "older",
)
_NEWER = SCHEMA.fails(
    "newer",
    (
        "O banco é de uma versão mais nova (migração {applied}; este programa conhece {known}).",
        "Instale a versão mais nova do Prontuário.",
    ),
    (
        "The database is of a newer version (migration {applied}; this program knows {known}).",
        "Install the newer Prontuário.",
    ),
)
_CHANGED = SCHEMA.fails(
    "changed",
    ("A migração {number} não é a que fez este banco.", "Reinstale a versão original do Prontuário e chame o suporte."),
    (
        "Migration {number} is not the one that made this database.",
        "Install the original version of Prontuário again and call support.",
    ),
)

AUDIT: Final = Check(
    "audit-log", "record", pt="Registro de auditoria", en="Audit log", runbook="audit-mismatch", needs_config=False
)
_AUDIT_WELL = AUDIT.ok(
    "A assinatura de {at} confere com os primeiros {size} eventos.",
    "The signature of {at} agrees with the first {size} events.",
)
_AUDIT_NONE = AUDIT.ok("Ainda não há nada assinado.", "Nothing is signed yet.", "empty")
_CALL_PT: Final = (
    "Não apague nada, guarde uma cópia da pasta do nó e chame o suporte: alguém pode ter mudado o registro."
)
_CALL_EN: Final = "Erase nothing, keep a copy of the node's folder and call support: somebody may have changed the log."
_FORGED = AUDIT.fails(
    "forged",
    ("A assinatura de {at} não é verdadeira.", _CALL_PT),
    ("The signature of {at} is not genuine.", _CALL_EN),
)
_SHORT = AUDIT.fails(
    "short",
    ("O registro tem {found} eventos, e {size} foram assinados em {at}.", _CALL_PT),
    ("The log has {found} events, and {size} were signed on {at}.", _CALL_EN),
)
_DIFFERS = AUDIT.fails(
    "differs",
    ("O registro não é o que foi assinado em {at}.", _CALL_PT),
    ("The log is not what was signed on {at}.", _CALL_EN),
)

_CUT = AUDIT.fails(
    "cut",
    (
        "O registro, com {found} eventos, não é o que este Mac viu assinado em {at}, com {size}.",
        "Sem uma restauração de cópia, alguém pode tê-lo mudado: não apague nada, copie a pasta do nó e chame o suporte.",
    ),
    (
        "The log, with {found} events, is not the one that this Mac saw signed on {at}, with {size}.",
        "Unless a copy was restored, somebody may have changed it: erase nothing, copy the node's folder and call support.",
    ),
)


def read_record(patient: Patient, query: Callable[[Query], T]) -> T | None:
    """Run ``query`` on the database, also beside a running node; None when there is none or it has no such table."""
    if not patient.paths.database.exists():
        return None
    try:
        with closing(_open(patient)) as connection:
            connection.row_factory = dbapi2.Row
            return query(SqlQuery(connection))
    except dbapi2.OperationalError:
        return None


def _open(patient: Patient) -> Any:
    return dbapi2.connect(f"{patient.paths.database.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)


@SQLITE
def sqlite(patient: Patient) -> Finding:
    """The SQLite library does not have the WAL-reset bug."""
    version = ".".join(map(str, patient.machine.sqlite_version))
    try:
        check_library(patient.machine.sqlite_version)
    except ProntuarioError:
        return _AFFECTED(version=version)
    return _SQLITE_WELL(version=version)


@DATABASE
def database(patient: Patient) -> Finding:
    """``PRAGMA quick_check`` finds nothing, as far as it comes in a few seconds."""
    path = patient.paths.database
    if not path.exists():
        return _NO_DATABASE()
    mib = f"{path.stat().st_size / _MIB:.1f}"
    until = time.monotonic() + LOOK_S
    try:
        with closing(_open(patient)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except dbapi2.OperationalError as error:
        if str(error) == _INTERRUPTED:
            return _SOUND_SO_FAR(seconds=f"{LOOK_S:g}", mib=mib)
        return _CLOSED(error=type(error).__name__, path=path)
    except dbapi2.DatabaseError:
        return _DAMAGED()
    return _SOUND(mib=mib) if answer == "ok" else _DAMAGED()


@SCHEMA
def schema(patient: Patient) -> Finding:
    """This program can use the database: every migration in it is known, or allows older programs."""
    rows = read_record(
        patient, lambda q: q.all("SELECT number, checksum, readable_by FROM schema_migration ORDER BY number")
    )
    if not rows:
        return _SCHEMA_NONE()
    known = {migration.number: migration for migration in known_migrations()}
    newest, applied = max(known), int(str(rows[-1]["number"]))
    for row in rows:
        number = int(str(row["number"]))
        if number not in known:
            if int(str(row["readable_by"])) > newest:
                return _NEWER(applied=applied, known=newest)
        elif row["checksum"] != known[number].checksum:
            return _CHANGED(number=number)
    return (_SCHEMA_OLD if applied < newest else _SCHEMA_WELL)(applied=applied, known=newest)


@AUDIT
def audit_log(patient: Patient) -> Finding:
    """The newest signed heads, in the record and beside it, are heads of the log. Once a day the node reads every event."""
    # Before the log is read: a node that runs may remember a later head meanwhile.
    remembered = read_head(patient.paths.audit_head)
    return read_record(patient, lambda q: _audit_finding(q, remembered)) or _AUDIT_NONE()


def _audit_finding(q: Query, remembered: SignedHead | None) -> Finding:
    head, found = latest(q), audit.size_of(q)
    if remembered is not None and not _is_head(q, remembered, found):
        return _CUT(found=found, size=remembered.size, at=remembered.signed_at)
    if head is None:
        return _AUDIT_NONE()
    if not verify_head(head):
        return _FORGED(at=head.signed_at)
    if found < head.size:
        return _SHORT(found=found, size=head.size, at=head.signed_at)
    if not _is_head(q, head, found):
        return _DIFFERS(at=head.signed_at)
    return _AUDIT_WELL(at=head.signed_at, size=head.size)


def _is_head(q: Query, head: SignedHead, found: int) -> bool:
    return head.size <= found and audit.root_at(q, head.size).hex() == head.root
