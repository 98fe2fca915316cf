"""One life of an engine child: spawn, talk, end. No policy lives here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from appliance.engines.channel import Channel
from appliance.engines.shared_block import prefix_for
from appliance.engines.stderr_tail import StderrTail
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.messages import FromEngine, ToEngine

_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME", "VIRTUAL_ENV")
"""The core's environment may hold secrets; a child gets only what programs need to run."""
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_LEAST_WATCHDOG_S: Final = 5.0
_LAST_WORDS_S: Final = 0.5
"""How long a dead child's stderr is still read; a grandchild may hold it open for ever."""


def child_environment(spec: EngineSpec) -> dict[str, str]:
    """What the child of ``spec`` gets: a few names of ours, our import path, and what the plugin asks for."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    return {**kept, **_OFFLINE, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **spec.environment}


class EngineProcess(asyncio.SubprocessProtocol):
    """A running child. ``gone`` is resolved with a short reason as soon as it ends, hangs up or is killed."""

    def __init__(
        self,
        spec: EngineSpec,
        *,
        on_message: Callable[[FromEngine], None],
        on_writable: Callable[[], None] = lambda: None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._spec = spec
        self._prefix = prefix_for(os.getpid(), secrets.token_hex(3))
        self.channel = Channel(self._prefix, on_message=on_message, on_writable=on_writable, on_lost=self._lost)
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self._drained = asyncio.Event()
        self._figures: psutil.Process | None = None
        self.gone: asyncio.Future[str] = loop.create_future()
        self.stderr = StderrTail()
        self.pid = 0

    async def spawn(self) -> None:
        """Start the child in a session of its own, so that a terminal's Ctrl-C does not reach it.

        Raises:
            OSError: the machine has no process or descriptor left.
        """
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            await self._exec(theirs)
            await self.channel.connect(ours)
        except BaseException:
            ours.close()
            await self.end()
            raise
        finally:
            theirs.close()

    async def _exec(self, theirs: socket.socket) -> None:
        limits = (max(2 * self._spec.stall_limit_s, _LEAST_WATCHDOG_S), 2 * self._spec.load_limit_s)
        arguments = [str(theirs.fileno()), self._prefix, *(f"{limit:g}" for limit in limits)]
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: self,
            sys.executable,
            "-m",
            "appliance.engines.child",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            env=child_environment(self._spec),
            start_new_session=True,
        )
        self._transport = transport
        self.pid = transport.get_pid() or 0

    def send(self, message: ToEngine) -> None:
        """Queue a message for the child. Raises ``FrameTooLargeError``."""
        self.channel.send(message)

    def kill(self, reason: str) -> None:
        """SIGKILL the child and everything that it started; ``reason`` is remembered as the cause of death."""
        if not self.gone.done():
            self.gone.set_result(reason)
        if self.pid and not self._exited.is_set():
            self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Make sure that it is gone and leave nothing behind: no process, no descriptor, no shared memory."""
        self.kill("ended")
        if self._transport is not None:
            await self._exited.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), _LAST_WORDS_S)
            self._transport.close()
        self.channel.close()

    def resident_bytes(self) -> int:
        """The child's resident memory; 0 once it is gone."""
        try:
            return int(self._seen().memory_info().rss)
        except psutil.Error:
            return 0

    @property
    def stopped(self) -> bool:
        """Whether a signal has stopped it (a debugger's halt is another state)."""
        try:
            return bool(self._seen().status() == psutil.STATUS_STOPPED)
        except psutil.Error:
            return False

    def _seen(self) -> psutil.Process:
        if self._figures is None:
            self._figures = psutil.Process(self.pid)
        return self._figures

    def _lost(self, reason: str) -> None:
        if not self.gone.done():
            self.gone.set_result(reason)

    @property
    def cause_of_death(self) -> str:
        """The first reason that was noticed, made precise by the exit status (``SIGSEGV``, ``exit 3``)."""
        reason = self.gone.result() if self.gone.done() else "alive"
        code = self._transport.get_returncode() if self._transport is not None else None
        if reason not in {"hung up", "exited"} or code is None:
            return reason
        return signal.Signals(-code).name if code < 0 else f"exit {code}"

    # -- asyncio.SubprocessProtocol ---------------------------------------------------------------------------------------
    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        """Something on stderr."""
        self.stderr.feed(data)

    def process_exited(self) -> None:
        """The process is gone; whatever it started goes too."""
        self._exited.set()
        if self.pid:
            self._kill_group()
        self._lost("exited")

    def connection_lost(self, _error: Exception | None) -> None:
        """The process is gone and its stderr is read to the end."""
        self._drained.set()
