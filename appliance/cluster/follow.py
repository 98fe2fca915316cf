"""The standby's warm copy: ``litestream restore -f`` over what the receiver holds, watched, and finished at a promotion.

What Litestream 0.5.17 needs (FACTS): a follower that starts again fails when a whole image (level 9) newer than its own
position lies there. So it follows a *view*, a folder of links to the levels; level 9 is linked only for the first restore.
It can also stall silently: its ``-txid`` file is compared with what was received.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from appliance.cluster.ltx import LEVELS, SNAPSHOT_LEVEL, level_folder
from appliance.cluster.replication_errors import COPY_DAMAGED, NOT_DRAINED
from appliance.plugin_api.hooks import Health
from appliance.plugin_api.storage import Query
from appliance.store import durable, leash
from appliance.store.litestream_config import program, render_source, restore_command
from appliance.store.process_lock import ProcessLock
from appliance.store.sqlite import inspect
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger

log = get_logger("follow")
DATABASE_NAME: Final = "record.sqlite"
_INTERVAL: Final = "50ms"
_POLL_S: Final = 0.1
_DRAIN_POLL_S: Final = 0.01
_STALL_S: Final = 3.0
_FIRST_RESTORE_S: Final = 1800.0
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
ROOM_BYTES: Final = 64 << 20
"""With less than this free, a copy that can't go on is kept as it is."""
_MAX_LOG_BYTES: Final = 4 << 20
_RESTORE_LIMIT_S: Final = 6 * 3600.0


class Follower:
    """Keeps ``folder``/record.sqlite equal to ``replica``. ``held`` tells the TXID up to which the receiver is whole."""

    def __init__(
        self,
        replica: Path,
        folder: Path,
        held: Callable[[], int],
        *,
        stall_s: float = _STALL_S,
        room_bytes: int = ROOM_BYTES,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._replica = replica.absolute()
        self._folder = folder.absolute()
        self._held = held
        self._stall_s = stall_s
        self._room_bytes = room_bytes
        self._pause_s = pause_s
        self._lock: ProcessLock | None = None
        self._leash: int | None = None
        self._task: asyncio.Task[None] | None = None
        self._behind_since: float | None = None
        self.restarts = 0

    @property
    def database(self) -> Path:
        """The warm copy. Only Litestream writes it; read it with ``store.sqlite.inspect`` after ``finish``."""
        return self._folder / DATABASE_NAME

    @property
    def at(self) -> int:
        """The TXID that the warm copy has reached; 0 before its first restore has ended."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((self._folder / f"{DATABASE_NAME}-txid").read_text().strip() or "0", 16)
        return 0

    @property
    def lag_txids(self) -> int:
        """How many received TXIDs the copy lacks."""
        return max(0, self._held() - self.at)

    @property
    def lag_s(self) -> float:
        """For how long it has lacked something; 0 when it has caught up."""
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    async def start(self) -> None:
        """Begin to follow.

        Raises:
            ProntuarioError: ``store.litestream_missing``, ``store.litestream_running``.
        """
        program()
        durable.make_folder(self._folder)
        self._lock = await ProcessLock.take(self._folder / "follow.lock")
        self._task = asyncio.create_task(self._supervise(self._lock), name="follower")

    async def close(self) -> None:
        """Stop following; the copy stays and can be followed further. Safe to call twice."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    async def health(self) -> Health:
        """Whether the copy keeps up; a check for the health registry."""
        if self.lag_s > self._stall_s:
            return Health(
                "degraded",
                f"the warm copy is {self.lag_txids} transactions behind",
                "see follow.log",
                message_pt=f"a cópia viva está {self.lag_txids} transações atrás",
                advice_pt="veja follow.log",
            )
        return Health("ok", "the warm copy keeps up", message_pt="a cópia viva está em dia")

    async def finish(self, txid: int, *, deadline_s: float) -> Path:
        """Drain up to ``txid``, stop, check: a database that may be opened for writing. Following is over then.

        Raises:
            ProntuarioError: ``cluster.not_drained`` after ``deadline_s`` seconds (it goes on following);
                ``cluster.copy_damaged``: the check failed.
        """
        deadline = time.monotonic() + deadline_s
        while self.at < txid:
            if time.monotonic() > deadline:
                raise NOT_DRAINED(retry_after=1.0, at=self.at, wanted=txid)
            await asyncio.sleep(_DRAIN_POLL_S)
        await self.close()
        await asyncio.to_thread(check_quickly, self.database)
        await to_the_end(_settle, self.database)
        return self.database

    # -- supervision ----------------------------------------------------------------------------------------------------
    async def _supervise(self, lock: ProcessLock) -> None:
        fruitless, pause_s = 0, self._pause_s
        while True:
            if self._held() == 0:
                await asyncio.sleep(_POLL_S)
                continue
            if fruitless > 1 and await asyncio.to_thread(self._has_room):
                log.error("the warm copy can't be followed further; it is made anew", sequence=self.at)
                await to_the_end(self._begin_anew)
            before = self.at
            code = await self._run_once(lock)
            fruitless = 0 if self.at > before else fruitless + 1
            self.restarts += 1
            log.error("following ended; starting it again", exit_code=code, restarts=self.restarts)
            pause_s = self._pause_s if not fruitless else min(pause_s * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)

    async def _run_once(self, lock: ProcessLock) -> int | None:
        """One life of the child; its exit status, None when it had stalled and was ended."""
        arguments = restore_command(self.database, "-f", "-follow-interval", _INTERVAL)
        await to_the_end(self._make_view)
        their_end, leash_end = os.pipe()
        try:
            with self._open_log() as output, _said(render_source(self._view)) as source:
                process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-I", "-S", leash.__file__, str(their_end), str(lock.descriptor), "--"],
                    *arguments,
                    stdin=source,
                    stdout=output,
                    stderr=output,
                    pass_fds=(their_end, lock.descriptor),
                    start_new_session=True,
                )
        finally:
            os.close(their_end)
        try:
            return await self._watch(process, lock)
        finally:
            os.close(leash_end)  # the leash ends the child
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(process.wait())
            if process.returncode is None or process.returncode < 0:
                lock.kill_child()
            lock.forget_child()

    async def _watch(self, process: asyncio.subprocess.Process, lock: ProcessLock) -> int | None:
        at, moved = self.at, time.monotonic()
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _POLL_S)
            now, here = time.monotonic(), self.at
            if here and (link := self._view_level(SNAPSHOT_LEVEL)).is_symlink():
                link.unlink()  # the first restore has ended
            if here >= self._held():
                self._behind_since, moved = None, now
            else:
                self._behind_since = self._behind_since or now
            if here != at:
                at, moved = here, now
            if now - moved > (self._stall_s if here else _FIRST_RESTORE_S):
                log.error("the warm copy stalled", sequence=here, count=self.lag_txids)
                lock.kill_child()
                await process.wait()
                return None
        return process.returncode

    # -- files ----------------------------------------------------------------------------------------------------------
    @property
    def _view(self) -> Path:
        return self._folder / "view"

    def _view_level(self, level: int) -> Path:
        return level_folder(self._view, level)

    def _make_view(self) -> None:
        shutil.rmtree(self._view, ignore_errors=True)
        self._view_level(0).parent.mkdir(parents=True)
        if not self.at:
            self._begin_anew()
        for level in LEVELS:
            if level != SNAPSHOT_LEVEL or not self.at:
                self._view_level(level).symlink_to(level_folder(self._replica, level))

    def _has_room(self) -> bool:
        """Whether the copy could be made anew: on a full disk the old one is all there is."""
        return shutil.disk_usage(self._folder).free > self._room_bytes

    def _begin_anew(self) -> None:
        for path in self._folder.glob(f"{DATABASE_NAME}*"):
            path.unlink()

    def _open_log(self) -> BinaryIO:
        path = self._folder / "follow.log"
        if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


@contextlib.contextmanager
def _said(content: bytes) -> Iterator[int]:
    """A descriptor from which ``content`` (less than a pipe holds) is read, and then its end."""
    source, sink = os.pipe()
    try:
        os.write(sink, content)
    finally:
        os.close(sink)
    try:
        yield source
    finally:
        os.close(source)


def restore_copy(replica: Path, to: Path, *, txid: int | None = None) -> None:
    """Restore ``replica`` into the file ``to``, up to ``txid`` or as far as it goes. Blocks; minutes for a large one.

    Raises:
        ProntuarioError: ``cluster.copy_damaged``: Litestream could not (a file is missing or broken).
    """
    options = [] if txid is None else ["-txid", f"{txid:016x}"]
    done = subprocess.run(
        restore_command(to, *options),
        input=render_source(replica),
        capture_output=True,
        timeout=_RESTORE_LIMIT_S,
        check=False,
    )
    if done.returncode != 0 or not to.exists():
        raise COPY_DAMAGED(reason=f"litestream {done.returncode}")


def check_quickly(database: Path) -> None:
    """SQLite's ``quick_check``. Blocks (0.1 s at 100 MB).

    Raises:
        ProntuarioError: ``cluster.copy_damaged``.
    """

    def check(query: Query) -> str:
        row = query.one("PRAGMA quick_check(1)")
        return "" if row is None else str(row[0])

    if inspect(database, check) != "ok":
        raise COPY_DAMAGED(reason="quick_check")


def _settle(database: Path) -> None:
    database.with_name(f"{database.name}-txid").unlink(missing_ok=True)
    with database.open("rb") as file:
        durable.sync(file.fileno())
    durable.sync_folder(database.parent)
