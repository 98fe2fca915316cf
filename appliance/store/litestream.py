"""Litestream as a supervised child: started on a leash, watched, restarted with back-off, never orphaned."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.plugin_api.hooks import Health
from appliance.store import errors, leash
from appliance.store.control import ControlClient
from appliance.store.litestream_barrier import LitestreamBarrier
from appliance.store.litestream_config import choose_socket, program, render
from appliance.store.process_lock import ProcessLock
from appliance.store.spool import thin
from appliance.store.threads import to_the_end
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("litestream")
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 10.0
_STEADY_S: Final = 60.0
_MISSED_PINGS: Final = 3
_THIN_EVERY_S: Final = 600.0
_START_POLL_S: Final = 0.02
_ANXIOUS_S: Final = 5.0
_MAX_LOG_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long Litestream may stay silent, in seconds: at its start, and later between and within pings."""

    start_s: float = 20.0
    between_pings_s: float = 5.0
    ping_s: float = 5.0


class Litestream:
    """Keeps ``spool`` equal to ``database``. Give ``barrier`` to ``Database.open``, then ``start``; stop it last."""

    def __init__(
        self,
        database: Path,
        spool: Path,
        run: Path,
        *,
        log_file: Path | None = None,
        metrics: Metrics | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._patience = patience
        self._database = database.absolute()
        self._spool = spool.absolute()
        self._run = run.absolute()
        self._log_file = log_file or self._spool.with_name("litestream.log")
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket = choose_socket(self._run)
        self._control = ControlClient(self._socket)
        self._pings = ControlClient(self._socket)
        self.barrier = LitestreamBarrier(self._database, self._control, on_damage=self._start_over)
        self._lock: ProcessLock | None = None
        self._leash: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._restarts = 0
        self._damaged = False
        self._put_aside: Path | None = None
        self._working_files = self._database.with_name(f".{self._database.name}-litestream")
        self._started_at = 0.0
        self._up = metrics.gauge("litestream_up", "Whether the Litestream child runs") if metrics else None
        self._deaths = metrics.counter("litestream_restarts_total", "Times it had to be restarted") if metrics else None

    @property
    def pid(self) -> int | None:
        """Litestream's own pid, while it runs."""
        return self._lock.child_pid if self._lock is not None and self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it answers. The database file must exist.

        Raises:
            ProntuarioError: ``store.litestream_missing``, ``store.litestream_running``; ``store.failed`` when it does
                not answer in time (its log says why).
        """
        binary = program()
        self._prepare()
        self._lock = await ProcessLock.take(self._database.with_name(f"{self._database.name}.litestream-lock"))
        self._supervisor = asyncio.create_task(self._supervise(binary, self._lock), name="litestream")
        try:
            async with asyncio.timeout(self._patience.start_s):
                await self._first_answer()
        except TimeoutError:
            await self.stop()
            raise errors.FAILED(retry_after=self._patience.between_pings_s) from None

    async def stop(self) -> None:
        """Let it sync what is left and end; safe to call twice."""
        self._stopping.set()
        await self.barrier.close()
        await self._pings.close()
        if self._supervisor is not None:
            await self._supervisor
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._socket.parent != self._run:
            self._socket.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self._socket.parent.rmdir()

    async def health(self) -> Health:
        """Whether writes can be confirmed now; a check for the health registry."""
        if self._process is None:
            return Health(
                "failed",
                "litestream is not running: no write is confirmed",
                f"see {self._log_file.name}",
                message_pt="o litestream não está rodando: nenhuma gravação é confirmada",
                advice_pt=f"veja {self._log_file.name}",
            )
        if self.barrier.waits_s > _ANXIOUS_S:
            return Health(
                "failed",
                "litestream does not confirm writes",
                "check disk space and litestream.log",
                message_pt="o litestream não confirma gravações",
                advice_pt="confira o espaço em disco e litestream.log",
            )
        if self._restarts and time.monotonic() - self._started_at < _STEADY_S:
            return Health(
                "degraded",
                f"litestream was restarted {self._restarts} times",
                "see litestream.log",
                message_pt=f"o litestream foi reiniciado {self._restarts} vezes",
                advice_pt="veja litestream.log",
            )
        return Health("ok", "litestream confirms writes", message_pt="o litestream confirma as gravações")

    async def renew(self) -> Path:
        """Begin a new spool with a snapshot, because the old one failed its proof; returns where that one was put aside.

        Nothing is acknowledged until the new spool is complete. Whoever has looked at the old one deletes it.
        """
        aside = self._spool.with_name(f"{self._spool.name}.failed-{time.time_ns()}")
        self._put_aside = aside
        self._start_over()
        await self.barrier.confirm()
        return aside

    def _prepare(self) -> None:
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        config = self._run / "litestream.yml"
        config.touch(mode=0o600)
        config.write_bytes(render(self._database, self._spool, self._socket))
        if self._log_file.exists() and self._log_file.stat().st_size > _MAX_LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))

    # -- supervision ----------------------------------------------------------------------------------------------------
    async def _supervise(self, binary: Path, lock: ProcessLock) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            self._started_at = time.monotonic()
            if self._damaged:
                await to_the_end(self._clear_away)
            code = await self._run_once(binary, lock)
            if self._stopping.is_set():
                return
            self._restarts += 1
            if self._deaths is not None:
                self._deaths.inc()
            pause_s = _FIRST_PAUSE_S if time.monotonic() - self._started_at > _STEADY_S else pause_s
            log.error("litestream ended by itself; starting it again", exit_code=code, restarts=self._restarts)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _start_over(self) -> None:
        """Litestream's files are damaged: it makes them anew from the database, beginning with a snapshot."""
        log.error("litestream's files are damaged; they are made anew")
        self._damaged = True
        if self._lock is not None:
            self._lock.kill_child()

    def _clear_away(self) -> None:
        if self._put_aside is not None:
            self._spool.rename(self._put_aside)
            self._spool.mkdir(mode=0o700)
            self._put_aside = None
        shutil.rmtree(self._working_files, ignore_errors=True)
        self._damaged = False

    async def _run_once(self, binary: Path, lock: ProcessLock) -> int:
        """One life of the child; its exit status."""
        their_end, self._leash = os.pipe()
        arguments = [str(their_end), str(lock.descriptor), "--", str(binary), "replicate"]
        arguments += ["-no-expand-env", "-config", str(self._run / "litestream.yml")]
        try:
            with self._log_file.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *[sys.executable, "-I", "-S", leash.__file__, *arguments],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(their_end, lock.descriptor),
                    start_new_session=True,  # Ctrl-C is for core: it stops Litestream after the last write
                )
        finally:
            os.close(their_end)
        self._tell_up(1)
        watcher = asyncio.create_task(self._watch(lock), name="litestream watch")
        try:
            return await self._process.wait()
        finally:
            watcher.cancel()
            await asyncio.wait({watcher})
            self._loosen()
            if self._process.returncode is None or self._process.returncode < 0:
                lock.kill_child()  # the leash itself was killed
            lock.forget_child()
            self._process = None
            self._tell_up(0)

    async def _watch(self, lock: ProcessLock) -> None:
        """Loosen the leash when asked to stop, and end a child that is alive but does not answer."""
        missed, answered, thinned_at = 0, False, time.monotonic() - _THIN_EVERY_S
        while missed < _MISSED_PINGS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._patience.between_pings_s)
            if self._stopping.is_set():
                self._loosen()
                return
            if await self._answers():
                missed, answered = 0, True
            elif answered or time.monotonic() - self._started_at > self._patience.start_s:
                missed += 1
            if time.monotonic() - thinned_at >= _THIN_EVERY_S:
                thinned_at = time.monotonic()
                await asyncio.to_thread(thin, self._spool, now_s=time.time())
        log.error("litestream does not answer; ending it", pid=self.pid)
        lock.kill_child()

    async def _first_answer(self) -> None:
        while True:
            if await self._answers():
                return
            await asyncio.sleep(_START_POLL_S)

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(self._patience.ping_s):
                await self._pings.call("GET", "/info")
        except (OSError, TimeoutError):
            return False
        return True

    def _loosen(self) -> None:
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None

    def _tell_up(self, value: int) -> None:
        if self._up is not None:
            self._up.set(value)
