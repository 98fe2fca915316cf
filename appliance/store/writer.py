"""The one writer: waiting changes share a COMMIT, and are answered only after the durability barrier.

Two tasks run side by side: one commits groups, the other takes every group committed so far through the barrier. So
the next group commits while the last one is being made durable, and one pass of the barrier covers all before it. Some
passes may be under way at a time (the next group is synced while the last one travels to the peer); answers keep the order.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Transaction
from appliance.store import errors
from appliance.store.barrier import DurabilityBarrier
from appliance.store.meters import StoreMeters
from appliance.store.sqlite import Error, SqlTransaction, Thread
from appliance.telemetry.logs import get_logger
from appliance.telemetry.tracing import NOTHING, Span, part

T = TypeVar("T")
log = get_logger("store")
RETRY_AFTER_S: Final = 1.0
_BUSY: Final = 5
_FULL: Final = 13
_PRIMARY_CODE: Final = 0xFF
_BUSY_PAUSE_S: Final = 0.02
_PASSES: Final = 64
"""Passes of the barrier under way at a time. Every commit asks at once, so that it shares the very next sync."""


@dataclass(slots=True, eq=False)
class _Waiting:
    change: Callable[[Transaction], Any]
    answer: asyncio.Future[Any]
    here: bool = False
    """Answered after COMMIT, which fsyncs: durable on this node, whatever the barrier says."""
    span: Span = NOTHING
    value: Any = None
    error: BaseException | None = None
    callbacks: list[Callable[[], None]] = field(default_factory=list)


class Writer:
    """Group commit on ``thread``; at most ``group_limit`` changes share a COMMIT."""

    def __init__(
        self,
        thread: Thread,
        barrier: DurabilityBarrier,
        *,
        group_limit: int,
        barrier_timeout_s: float,
        meters: StoreMeters,
    ) -> None:
        self._thread = thread
        self._barrier = barrier
        self._group_limit = group_limit
        self._timeout_s = barrier_timeout_s
        self._meters = meters
        self._waiting: deque[_Waiting] = deque()
        self._committed: list[_Waiting] = []
        self._something_waits = asyncio.Event()
        self._something_committed = asyncio.Event()
        self.changes_committed = 0
        """How many changes were taken into a commit so far."""
        self._closing = False
        self._commits_over = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to serve."""
        self._tasks = [
            asyncio.create_task(self._commit_groups(), name="store commits"),
            asyncio.create_task(self._confirm_groups(), name="store confirms"),
        ]

    async def write(self, change: Callable[[Transaction], T], *, here: bool = False) -> T:
        """See ``plugin_api.storage.Store.write``. A cancelled caller's change is dropped only if nobody took it yet.

        ``here``: the answer means durable on this node only (see ``Database.write_here``).
        """
        if self._closing:
            raise errors.CLOSED(retry_after=RETRY_AFTER_S)
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with part("store commit") as span:
            self._waiting.append(_Waiting(change, answer, here, span))
            self._something_waits.set()
            return await answer

    async def close(self) -> None:
        """Answer everybody who waits, then stop."""
        self._closing = True
        self._something_waits.set()
        await asyncio.gather(*self._tasks)

    async def _commit_groups(self) -> None:
        try:
            while not (self._closing and not self._waiting):
                await self._something_waits.wait()
                self._something_waits.clear()
                while group := self._take_group():
                    await self._commit(group)
        finally:  # also when this task itself breaks: nobody may wait for ever
            self._closing = True
            _fail([*self._waiting], errors.CLOSED(retry_after=RETRY_AFTER_S))
            self._waiting.clear()
            self._commits_over = True
            self._something_committed.set()

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._waiting and len(group) < self._group_limit:
            one = self._waiting.popleft()
            if not one.answer.cancelled():
                group.append(one)
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        failure: ProntuarioError | None = errors.FAILED(retry_after=RETRY_AFTER_S)
        try:
            failure = await self._thread.run(partial(_commit_group, group, self._timeout_s))
        finally:  # also when the thread breaks in a way that nobody foresaw
            if failure is not None:
                log.error("a group of writes could not be committed", code=failure.kind.code, count=len(group))
                _fail(group, failure)
        took_s = time.perf_counter() - started
        self._meters.committed(len(group), took_s)
        for one in group:
            one.span.set("prontuario.group", len(group))
            one.span.set("prontuario.commit_ms", round(took_s * 1000, 3))
        if failure is None:
            self.changes_committed += len(group)
            _conclude([one for one in group if one.here])
            self._committed.extend(one for one in group if not one.here)
            self._something_committed.set()

    async def _confirm_groups(self) -> None:
        room, last = asyncio.Semaphore(_PASSES), None
        while not (self._commits_over and not self._committed):
            await self._something_committed.wait()
            self._something_committed.clear()
            while self._committed:
                await room.acquire()
                group, self._committed = self._committed, []
                last = asyncio.create_task(self._confirm(group, last), name="store confirm")
                last.add_done_callback(lambda _: room.release())
        if last is not None:
            await last

    async def _confirm(self, group: list[_Waiting], before: asyncio.Task[None] | None) -> None:
        started = time.perf_counter()
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._barrier.confirm()
        except (ProntuarioError, OSError, TimeoutError) as error:
            failure = error
        if before is not None:
            await asyncio.wait({before})
        if failure is not None:
            log.warning("writes could not be confirmed", error=type(failure).__name__, count=len(group))
            self._meters.unconfirmed(len(group))
            _fail(group, errors.UNCONFIRMED(retry_after=RETRY_AFTER_S))
            return
        self._meters.confirmed(time.perf_counter() - started)
        _conclude(group)


def _conclude(group: list[_Waiting]) -> None:
    """What they asked for is durable: whoever wanted to know afterwards is told, and they are answered."""
    loop = asyncio.get_running_loop()
    for one in group:
        if one.error is None:
            for callback in one.callbacks:
                loop.call_soon(callback)
    _answer(group)


def _answer(group: list[_Waiting]) -> None:
    for one in group:
        if one.answer.done():  # the caller went away
            continue
        if one.error is None:
            one.answer.set_result(one.value)
        else:
            one.answer.set_exception(one.error)


def _fail(group: list[_Waiting], failure: ProntuarioError) -> None:
    for one in group:
        if one.error is None:
            one.error = ProntuarioError(failure.kind, retry_after=failure.retry_after, details=failure.details)
    _answer(group)


# -- on the writer's thread ---------------------------------------------------------------------------------------------
def _commit_group(group: list[_Waiting], busy_limit_s: float, connection: Any) -> ProntuarioError | None:
    """BEGIN IMMEDIATE … COMMIT around every change of ``group``; the failure that all of them share, if any."""
    try:
        _begin(connection, busy_limit_s)
        for one in group:
            _run_change(one, connection)
            if not connection.in_transaction:  # SQLite itself gave up the whole transaction (disk full, I/O error)
                return as_failure(one.error)
        connection.execute("COMMIT")
    except Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return as_failure(error)
    return None


def _begin(connection: Any, limit_s: float) -> None:
    deadline = time.monotonic() + limit_s
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except Error as error:
            if _code(error) != _BUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _run_change(one: _Waiting, connection: Any) -> None:
    with _Savepoint(one, connection) as transaction:
        one.value = one.change(transaction)
    if connection.in_transaction:
        connection.execute("RELEASE change")


class _Savepoint:
    """Undoes a change that raises, and keeps its error for its caller: the neighbours go on."""

    def __init__(self, one: _Waiting, connection: Any) -> None:
        self._one = one
        self._connection = connection
        self._transaction = SqlTransaction(connection)

    def __enter__(self) -> SqlTransaction:
        self._connection.execute("SAVEPOINT change")
        return self._transaction

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        self._transaction.end()
        if error is None:
            self._one.callbacks = self._transaction.callbacks
            return True
        if not isinstance(error, Exception):
            return False
        self._one.error = as_failure(error) if _code(error) == _FULL else error
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK TO change")
        return True


def _code(error: BaseException | None) -> int:
    return int(getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY_CODE


def as_failure(error: BaseException | None) -> ProntuarioError:
    """The store's own error for a failed BEGIN or COMMIT: nothing of it was written."""
    if isinstance(error, ProntuarioError):
        return error
    kind = {_FULL: errors.FULL, _BUSY: errors.BUSY}.get(_code(error), errors.FAILED)
    return kind(retry_after=RETRY_AFTER_S)
