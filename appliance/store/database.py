"""The record's database: one writer with group commit, read-only readers, migrations applied at opening."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.barrier import DurabilityBarrier, LocalBarrier
from appliance.store.meters import StoreMeters
from appliance.store.migrate import Migration, known_migrations, migrate
from appliance.store.sqlite import Thread, check_library, open_reader, open_writer, read_consistently
from appliance.store.writer import Writer
from appliance.telemetry.metrics import Metrics

T = TypeVar("T")
READ_LIMIT_S: Final = 15.0


class Database:
    """Implements ``plugin_api.storage.Store``. Make it with ``open``; close it, or the process can't end."""

    def __init__(
        self, path: Path, writer_thread: Thread, readers: list[Thread], writer: Writer, barrier: DurabilityBarrier
    ) -> None:
        self.path = path
        self._writer_thread = writer_thread
        self._readers = readers
        self._writer = writer
        self._barrier = barrier

    @classmethod
    async def open(
        cls,
        path: Path,
        config: StoreConfig,
        *,
        barrier: DurabilityBarrier | None = None,
        metrics: Metrics | None = None,
        migrations: list[Migration] | None = None,
    ) -> Database:
        """Open ``path`` (made when missing, readable by its owner only) and bring its schema up to date.

        Raises:
            ProntuarioError: ``store.affected_sqlite``, ``store.newer_database``, ``store.migration_changed``,
                ``store.migration_failed``.
        """
        check_library()
        barrier = barrier or LocalBarrier()
        path = _make_private(path)
        busy_s = config.barrier_timeout_s
        async with AsyncExitStack() as on_failure:
            writer_thread = await open_writer(path, busy_timeout_s=busy_s, sqlite_checkpoints=not barrier.checkpoints)
            on_failure.push_async_callback(writer_thread.close)
            await writer_thread.run(partial(migrate, known_migrations() if migrations is None else migrations))
            readers: list[Thread] = []
            while len(readers) < max(1, config.readers):
                readers.append(await open_reader(path, busy_timeout_s=busy_s))
                on_failure.push_async_callback(readers[-1].close)
            on_failure.pop_all()
        writer = Writer(
            writer_thread,
            barrier,
            group_limit=config.group_limit,
            barrier_timeout_s=config.barrier_timeout_s,
            meters=StoreMeters(metrics),
        )
        writer.start()
        return cls(path, writer_thread, readers, writer, barrier)

    @property
    def mode(self) -> str:
        """What an acknowledgement means now: ``single``, ``paired``, ``degraded`` or ``read-only``."""
        return self._barrier.mode

    @property
    def changes_committed(self) -> int:
        """How many changes were committed since the database was opened, whether or not they are confirmed yet."""
        return self._writer.changes_committed

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run ``change`` in its own savepoint of the next group commit; its value once it is durable.

        Raises:
            ProntuarioError: ``store.full`` (507), ``store.failed``, ``store.busy``, ``store.closed`` (503): nothing was
                written; ``store.unconfirmed`` (503): it may have been, and a repeat with the same Idempotency-Key is safe.
            Exception: whatever ``change`` raised; a constraint violation is ``appliance.store.sqlite.IntegrityError``.
        """
        return await self._writer.write(change)

    async def write_here(self, change: Callable[[Transaction], T]) -> T:
        """Like ``write``, but answered when the change is fsynced on this node, whether or not it may acknowledge.

        Only for what describes this node's own doings and gives nobody a promise: who read what while it could only be
        read from. Whoever leads next has it with this record, or finds it in the review queue.

        Raises:
            ProntuarioError: as ``write``.
        """
        return await self._writer.write(change, here=True)

    async def read(self, query: Callable[[Query], T]) -> T:
        """Run ``query`` over one snapshot, on the reader with the shortest queue, in one hop to its thread.

        Raises:
            ProntuarioError: ``store.slow_read`` (503): it took over 15 s, and others need the connection.
        """
        reader = min(self._readers, key=lambda thread: thread.pending)
        return await reader.run(partial(read_consistently, query, READ_LIMIT_S))

    async def close(self) -> None:
        """Answer every waiting writer, then close all connections."""
        try:
            await self._writer.close()
        finally:  # an open connection's thread would keep the process from ending
            for thread in (*self._readers, self._writer_thread):
                await thread.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _make_private(path: Path) -> Path:
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return path
