"""Checks of the record: the SQLite library, the database's integrity, Litestream and its spool."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from pysqlite3 import dbapi2

from appliance.operations.doctor_context import Finding, Patient
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.store.litestream_config import program
from appliance.store.sqlite import SqlQuery, check_library

T = TypeVar("T")
OLDEST_LITESTREAM: Final = (0, 5, 0)
STALE_S: Final = 120.0
"""Litestream copies every second; two minutes behind the record is not a slow disk any more."""
_PROGRAM_TIMEOUT_S: Final = 10.0
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def read_record(patient: Patient, query: Callable[[Query], T]) -> T | None:
    """Run ``query`` on the database, also beside a running node; None when there is none or it has no such table."""
    path = patient.paths.database
    if not path.exists():
        return None
    try:
        with closing(
            dbapi2.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as connection:
            connection.row_factory = dbapi2.Row
            return query(SqlQuery(connection))
    except dbapi2.OperationalError:
        return None


def sqlite_library(patient: Patient) -> Finding:
    """The SQLite library does not have the WAL-reset bug."""
    version = ".".join(map(str, patient.machine.sqlite_version))
    try:
        check_library(patient.machine.sqlite_version)
    except ProntuarioError:
        return Finding(
            "sqlite", "failed", f"SQLite {version} can corrupt the record (WAL-reset bug).",
            "Install Prontuário again: it brings a SQLite past 3.51.2.",
        )  # fmt: skip
    return Finding("sqlite", "ok", f"SQLite {version}.")


def integrity(patient: Patient) -> Finding:
    """``PRAGMA quick_check`` finds nothing."""
    path = patient.paths.database
    if not path.exists():
        return Finding("database", "ok", "There is no record yet.")
    advice = "Stop the node and restore: prontuario backup restore --to A_NEW_FOLDER. Keep the damaged file."
    try:
        with closing(dbapi2.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except dbapi2.OperationalError as error:
        return Finding(
            "database", "failed", f"The record can't be opened ({type(error).__name__}).", "Check its owner and mode."
        )
    except dbapi2.DatabaseError:
        return Finding("database", "failed", "The record's file is damaged.", advice)
    if answer != "ok":
        return Finding("database", "failed", "The record's file is damaged.", advice)
    return Finding("database", "ok", f"quick_check passed, {path.stat().st_size / (1 << 20):.1f} MiB.")


def litestream(patient: Patient) -> Finding:
    """The Litestream program is there and new enough."""
    if not patient.config.store.litestream:
        return Finding("litestream", "warning", "Switched off: acknowledged means kept on this disk only.",
                       "Set store.litestream = true.")  # fmt: skip
    again = "Install Prontuário again: it brings Litestream."
    try:
        found = program(patient.machine.python_prefix, patient.machine.search_path)
    except ProntuarioError:
        return Finding("litestream", "failed", "The litestream program was not found.", again)
    version = _version_of(found)
    if version is None:
        return Finding("litestream", "failed", f"{found} does not run.", again)
    text = ".".join(map(str, version))
    if version < OLDEST_LITESTREAM:
        return Finding("litestream", "failed", f"Litestream {text} is too old.", again)
    return Finding("litestream", "ok", f"Litestream {text}.")


def spool(patient: Patient) -> Finding:
    """The spool is there and does not trail the record."""
    paths = patient.paths
    if not patient.config.store.litestream or not paths.database.exists():
        return Finding("spool", "ok", "There is nothing to copy.")
    newest = max((path.stat().st_mtime for path in paths.spool.rglob("*.ltx")), default=None)
    if newest is None:
        return Finding("spool", "warning", f"There is no copy in {paths.spool} yet.", "Start the node: prontuario up")
    wal = paths.database.with_name(paths.database.name + "-wal")
    written = max(path.stat().st_mtime for path in (paths.database, wal) if path.exists())
    if written - newest > STALE_S:
        return Finding(
            "spool", "failed", f"The copy is {written - newest:.0f} s behind the record.",
            "Look for 'litestream' in the log; restart the node. Until then a lost disk loses that much.",
        )  # fmt: skip
    return Finding("spool", "ok", "The copy is up to date.")


def _version_of(found: Path) -> tuple[int, ...] | None:
    try:
        done = subprocess.run(
            [str(found), "version"], capture_output=True, text=True, timeout=_PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout + done.stderr)
    return tuple(int(part) for part in match.groups()) if match and done.returncode == 0 else None
