"""A child process of ``prontuario up``: started with a ready pipe and a leash, restarted when it dies.

The child gets two inherited descriptors: it writes one JSON line to ``--ready-fd`` once it serves, and it ends when
``--leash-fd`` reads EOF, which happens when its parent is gone for whatever reason, kill -9 included.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from appliance.telemetry.logs import get_logger

log = get_logger("up")
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
HEALTHY_AFTER_S = 60.0
"""A child that lived this long starts again without waiting."""


class Child:
    """One supervised process. ``module`` is run with ``python -m``; ``stop_limit_s`` is its time to drain.

    ``restart``: False leaves it dead when it dies by itself. ``within``: a command that becomes it (``nsenter … --``).
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        *,
        stop_limit_s: float,
        restart: bool = True,
        within: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.restarts = 0
        self._command = [*within, sys.executable, "-m", module, *arguments]
        self._stop_limit_s = stop_limit_s
        self._restart = restart
        self._process: asyncio.subprocess.Process | None = None
        self._leash: int | None = None
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self, *, ready_limit_s: float) -> dict[str, Any]:
        """Start it and wait for its ready line, which is returned; from then on it is kept alive.

        Raises:
            ChildFailedError: it ended, or said nothing in time.
        """
        ready = await self._launch(ready_limit_s)
        if self._restart:
            self._keeper = asyncio.create_task(self._keep(ready_limit_s))
        return ready

    async def stop(self) -> None:
        """SIGTERM, its time to drain, then SIGKILL. Safe to call twice."""
        self._stopping = True
        if self._keeper:
            self._keeper.cancel()
        process = self._process
        if process is not None and process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self._stop_limit_s)
            except TimeoutError:
                log.warning("child did not drain in time and was killed", component=self.name)
                process.kill()
                await process.wait()
        self._drop_leash()

    async def _launch(self, ready_limit_s: float) -> dict[str, Any]:
        leash_read, leash_write = os.pipe()
        ready_read, ready_write = os.pipe()
        self._drop_leash()
        self._leash = leash_write
        try:
            # A session of its own: Ctrl-C reaches only `up`, which then stops its children in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                f"--leash-fd={leash_read}",
                f"--ready-fd={ready_write}",
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(leash_read, ready_write),
                start_new_session=True,
            )
        finally:
            os.close(leash_read)
            os.close(ready_write)
        return await self._read_ready(ready_read, ready_limit_s)

    async def _read_ready(self, ready_read: int, limit_s: float) -> dict[str, Any]:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ready_read, "rb", buffering=0)
        )
        try:
            line = await asyncio.wait_for(reader.readline(), limit_s)
        except TimeoutError:
            if self._process is not None:
                self._process.kill()
            raise ChildFailedError(f"{self.name} said nothing for {limit_s:g} s") from None
        finally:
            transport.close()
        if not line:
            process = self._process
            code = await process.wait() if process else None
            raise ChildFailedError(f"{self.name} ended with {code} before it served", code)
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _keep(self, ready_limit_s: float) -> None:
        loop = asyncio.get_running_loop()
        failures, started = 0, loop.time()
        while not self._stopping and self._process is not None:
            code = await self._process.wait()
            failures = 0 if loop.time() - started > HEALTHY_AFTER_S else failures + 1
            pause = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] if failures else 0.0
            log.warning(
                "child ended and will be started again", component=self.name, exit_code=code, restarts=self.restarts
            )
            await asyncio.sleep(pause)
            self.restarts += 1
            started = loop.time()
            try:
                await self._launch(ready_limit_s)
                log.info("child serves again", component=self.name, pid=self.pid)
            except ChildFailedError as error:
                log.warning("child did not come back", component=self.name, exit_code=error.code)

    def _drop_leash(self) -> None:
        if self._leash is not None:
            os.close(self._leash)
            self._leash = None


class ChildFailedError(Exception):
    """A child did not come up; ``code`` is its exit status, if it ended."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code
