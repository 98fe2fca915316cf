"""Opening SQLite the one right way, and the small objects through which plain functions use it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import aiosqlite
from pysqlite3 import dbapi2

from appliance.plugin_api.storage import Query, Row, SqlValue
from appliance.store import errors

T = TypeVar("T")
Error: type[Exception] = dbapi2.Error
IntegrityError: type[Exception] = dbapi2.IntegrityError
"""A constraint said no: the caller's change was undone, its neighbours were not."""

FIRST_AFFECTED: Final = (3, 7, 0)
LAST_AFFECTED: Final = (3, 51, 2)
_ITER_CHUNK: Final = 64
_WRITER_CACHE_KIB: Final = 16 * 1024
_READER_CACHE_KIB: Final = 8 * 1024
"""For the inner pages of the trees, which every statement needs; the rest the kernel keeps, once for all connections."""
_CACHED_STATEMENTS: Final = 512
_STEPS_BETWEEN_LOOKS: Final = 50_000
"""SQLite's virtual machine steps between two looks at the clock: some milliseconds."""
_INTERRUPT: Final = 9


def check_library(version: tuple[int, ...] = dbapi2.sqlite_version_info) -> None:
    """Refuse a SQLite with the WAL-reset bug: a second process that checkpoints (Litestream) can corrupt the file.

    Raises:
        ProntuarioError: ``store.affected_sqlite``.
    """
    if FIRST_AFFECTED <= tuple(version) <= LAST_AFFECTED:
        raise errors.AFFECTED_SQLITE(version=".".join(map(str, version)))


class Thread:
    """One SQLite connection on its own thread (aiosqlite's). Must be closed: the thread is not a daemon."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.pending = 0

    async def run(self, function: Callable[[Any], T]) -> T:
        """``function(raw connection)`` in one hop to the thread. Calls queue up in order."""
        self.pending += 1
        try:
            return await self._connection._execute(self._call, function)  # type: ignore[no-any-return, no-untyped-call]  # noqa: SLF001  aiosqlite (pinned) has no public way to run a function in one hop
        finally:
            self.pending -= 1

    def _call(self, function: Callable[[Any], T]) -> T:
        return function(self._connection._conn)  # noqa: SLF001  see run

    async def close(self) -> None:
        """Finish what is queued, then close the connection and end the thread."""
        await self._connection.close()


async def open_writer(path: Path, *, busy_timeout_s: float, sqlite_checkpoints: bool) -> Thread:
    """The read-write connection to an absolute path. ``sqlite_checkpoints=False`` leaves the WAL to Litestream."""
    prepare = partial(_prepare_writer, busy_timeout_s=busy_timeout_s, sqlite_checkpoints=sqlite_checkpoints)
    return await _open(path.as_uri(), prepare)


async def open_reader(path: Path, *, busy_timeout_s: float) -> Thread:
    """A read-only connection to an absolute path (``mode=ro`` and ``query_only``)."""
    return await _open(path.as_uri() + "?mode=ro", partial(_prepare_reader, busy_timeout_s=busy_timeout_s))


async def _open(uri: str, prepare: Callable[[Any], None]) -> Thread:
    async with AsyncExitStack() as on_failure:
        thread = Thread(await aiosqlite.Connection(partial(_connect, uri), _ITER_CHUNK))
        on_failure.push_async_callback(thread.close)
        await thread.run(prepare)
        on_failure.pop_all()
    return thread


def _connect(uri: str) -> Any:
    check_library()
    connection = dbapi2.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )
    connection.row_factory = dbapi2.Row
    return connection


def _prepare_writer(connection: Any, *, busy_timeout_s: float, sqlite_checkpoints: bool) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise errors.FAILED(mode=mode)
    connection.execute("PRAGMA synchronous = FULL")
    if sys.platform == "darwin":  # fsync there leaves data in the drive's cache
        connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA checkpoint_fullfsync = 1")
    if not sqlite_checkpoints:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")


def _prepare_reader(connection: Any, *, busy_timeout_s: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")


class _Ended:
    """Stands in for the connection once a transaction is over."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("this transaction is over; do all database work inside the function given to write or read")


_ENDED: Final = _Ended()


class SqlQuery:
    """``plugin_api.storage.Query`` over a connection."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def one(self, sql: str, params: Sequence[SqlValue] = ()) -> Row | None:
        row: Row | None = self._connection.execute(sql, params).fetchone()
        return row

    def all(self, sql: str, params: Sequence[SqlValue] = ()) -> list[Row]:
        rows: list[Row] = self._connection.execute(sql, params).fetchall()
        return rows

    def end(self) -> None:
        """Whoever kept this object can't use it any more."""
        self._connection = _ENDED


class SqlTransaction(SqlQuery):
    """``plugin_api.storage.Transaction`` over a connection, inside one savepoint."""

    __slots__ = ("callbacks",)

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.callbacks: list[Callable[[], None]] = []

    def execute(self, sql: str, params: Sequence[SqlValue] = ()) -> int:
        _refuse_transaction_control(sql)
        count: int = self._connection.execute(sql, params).rowcount
        return count

    def execute_many(self, sql: str, rows: Sequence[Sequence[SqlValue]]) -> None:
        _refuse_transaction_control(sql)
        self._connection.executemany(sql, rows)

    def after_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


_CONTROL: Final = frozenset(
    {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "ATTACH", "DETACH", "VACUUM"}
)


@lru_cache(maxsize=4096)
def _refuse_transaction_control(sql: str) -> None:
    words = sql.split(None, 1)
    if words and words[0].rstrip(";").upper() in _CONTROL:
        raise ValueError("a change can't begin, end or leave its transaction: its neighbours share it")


def read_consistently(query: Callable[[Query], T], limit_s: float, connection: Any) -> T:
    """Run ``query`` over one snapshot of the database, and break its SQL off after ``limit_s`` seconds.

    Raises:
        ProntuarioError: ``store.slow_read`` (503).
    """
    deadline = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    connection.execute("BEGIN")
    seen = SqlQuery(connection)
    try:
        return query(seen)
    except Error as error:
        if getattr(error, "sqlite_errorcode", None) == _INTERRUPT:
            raise errors.SLOW_READ(retry_after=limit_s) from error
        raise
    finally:
        seen.end()
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("COMMIT")


def inspect(path: Path, query: Callable[[Query], T]) -> T:
    """Run ``query`` on a database file that nobody else has open (a restored copy), read-only. Blocks."""
    connection = _connect(path.absolute().as_uri() + "?mode=ro&immutable=1")
    try:
        _prepare_reader(connection, busy_timeout_s=0)
        return query(SqlQuery(connection))
    finally:
        connection.close()


def fold_wal(path: Path) -> None:
    """Move everything committed into the database file itself. Nobody else may have it open. Blocks.

    Raises:
        Error: the file is no database, or damaged.
    """
    connection = _connect(path.absolute().as_uri())
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
