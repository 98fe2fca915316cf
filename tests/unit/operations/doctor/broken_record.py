"""A database that is damaged, an audit log that somebody changed, copies that trail or fail their proof."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import closing

import msgspec
from pysqlite3 import dbapi2

from appliance.security.audit_heads import latest
from appliance.store.blobs import place_of
from appliance.store.sqlite import SqlQuery
from tests.unit.operations.doctor.ward import BLOB, NOW, Ward, breaks

TROUBLE = {
    "code": "backup.damaged", "cause_pt": "A cópia está danificada.", "cause_en": "The copy is damaged.",
    "step_pt": "Chame o suporte.", "step_en": "Call support.",
}  # fmt: skip


@breaks("sqlite.affected", says="3.40.1")
def _(ward: Ward) -> None:
    ward.on(sqlite_version=(3, 40, 1))


@breaks("database.closed")
def _(ward: Ward) -> None:
    """A folder where the file should be can't be opened by anybody."""
    ward.paths.database.rename(ward.folder / "elsewhere.sqlite")
    ward.paths.database.mkdir()


@breaks("database.damaged", says="backup restore")
def _(ward: Ward) -> None:
    with closing(dbapi2.connect(str(ward.paths.database))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(ward.paths.database.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    ward.paths.database.write_bytes(bytes(content))


@breaks("schema.newer", says="migration 9999")
def _(ward: Ward) -> None:
    ward.sql("INSERT INTO schema_migration (number, name, checksum, readable_by) VALUES (9999, 'x', 'x', 9999)")


@breaks("schema.changed", says="Migration 3")
def _(ward: Ward) -> None:
    ward.sql("UPDATE schema_migration SET checksum = 'x' WHERE number = 3")


@breaks("audit-log.forged")
def _(ward: Ward) -> None:
    ward.sql("UPDATE audit_head SET signature = zeroblob(64)")


@breaks("audit-log.short", says="3 were signed")
def _(ward: Ward) -> None:
    ward.sql("DELETE FROM audit_event WHERE seq = 3")


@breaks("audit-log.cut", says="signed on")
def _(ward: Ward) -> None:
    """Cut off together with the head that counted it; the file beside the record still knows."""
    with closing(dbapi2.connect(str(ward.paths.database))) as connection:
        connection.row_factory = dbapi2.Row
        head = latest(SqlQuery(connection))
    ward.paths.audit_head.write_bytes(msgspec.json.encode(head))
    ward.sql("DELETE FROM audit_head")
    ward.sql("DELETE FROM audit_event WHERE seq = 3")


@breaks("audit-log.differs")
def _(ward: Ward) -> None:
    """Who rewrites an event and makes the tree fit it lacks the key to sign the new root."""
    ward.sql("UPDATE audit_node SET hash = zeroblob(32)")


@breaks("litestream.off")
def _(ward: Ward) -> None:
    ward.set("store", litestream=False)


@breaks("litestream.missing")
def _(ward: Ward) -> None:
    (ward.bin / "litestream").unlink()


@breaks("litestream.dead", says="does not run")
def _(ward: Ward) -> None:
    ward.program("litestream", status=1)


@breaks("litestream.old", says="0.3.13")
def _(ward: Ward) -> None:
    ward.program("litestream", "litestream v0.3.13\n")


@breaks("spool.missing")
def _(ward: Ward) -> None:
    next(ward.paths.spool.rglob("*.ltx")).unlink()


@breaks("spool.behind", says="600 s")
def _(ward: Ward) -> None:
    written = time.time()
    wal = ward.paths.database.with_name("record.sqlite-wal")
    wal.write_bytes(b"commits")
    os.utime(wal, (written, written))
    os.utime(next(ward.paths.spool.rglob("*.ltx")), (written - 600, written - 600))


@breaks("restore-proof.never", says="prontuario schedule run")
def _(ward: Ward) -> None:
    ward.remember("restore-proof")


@breaks("restore-proof.old", says="3 days")
def _(ward: Ward) -> None:
    ward.remember("restore-proof", ok_s=NOW.timestamp() - 3 * 86400)


@breaks("restore-proof.failed", says="The copy is damaged.")
def _(ward: Ward) -> None:
    ward.remember("restore-proof", ok_s=NOW.timestamp() - 3600, failures=1, trouble=TROUBLE)


@breaks("blobs.damaged", says=hashlib.sha256(BLOB).hexdigest())
def _(ward: Ward) -> None:
    place_of(ward.paths.blobs, hashlib.sha256(BLOB).hexdigest()).write_bytes(BLOB[:-1])


@breaks("set-aside.waiting", says="1 old folders")
def _(ward: Ward) -> None:
    (ward.paths.home / "data" / "spool.failed-1").mkdir()


@breaks("routines.failed", says="blob-check failed 2")
def _(ward: Ward) -> None:
    ward.remember("blob-check", failures=2, trouble=TROUBLE)
