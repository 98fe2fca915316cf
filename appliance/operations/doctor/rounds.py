"""Doctor at the dashboard's request: in a process of its own, one at a time; the last report is kept with who asked, and when.

A process, because a check may hang in a system call that nobody can cancel, or hold the interpreter's lock for long: core
must feel neither. What needs root or a shell is told as not seen, as ``prontuario doctor`` tells any account but root's.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.doctor.run import Report
from appliance.operations.errors import DOCTOR_LATE, DOCTOR_SILENT
from appliance.operations.schedule_memory import Trouble, trouble_of
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.logs import get_logger

log = get_logger("doctor")
CHECK_S: Final = 30.0
"""Each check's deadline: core works beside it, so it gets more time than at an operator's terminal."""
LIMIT_S: Final = 180.0
FILE: Final = "data/doctor.json"
"""In the home."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One examination that ended: who asked (a username), when it began (FHIR instant), how long it took, what it found."""

    by: str
    at: str
    seconds: float
    report: Report


class DoctorView(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands on ``node``. ``asked_*``: of the examination under way, empty when there is none.

    ``trouble``: why the one after ``last`` came to nothing; None when it ended, or there was none.
    """

    node: str
    running: bool
    asked_by: str = ""
    asked_at: str = ""
    last: Round | None = None
    trouble: Trouble | None = None


def doctor_command(home: Path, *more: str) -> list[str]:
    """The command line that examines ``home`` and prints ``Report`` as JSON."""
    return [sys.executable, "-m", "appliance.daemon", "doctor", "--home", str(home), "--json", *more]


async def examine_apart(command: Sequence[str], limit_s: float) -> Report:
    """Run ``command`` as a process of its own; cancelled, it is ended too.

    Raises:
        ProntuarioError: ``doctor.late`` after ``limit_s`` seconds; ``doctor.silent``: it did not say what it found.
        OSError: it can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(limit_s):
            told, _ = await process.communicate()
    except TimeoutError:
        raise DOCTOR_LATE(seconds=f"{limit_s:g}") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        return msgspec.json.decode(told, type=Report)
    except msgspec.MsgspecError as error:
        raise DOCTOR_SILENT(status=process.returncode) from error


class DoctorRounds:
    """One for each node. ``file`` keeps the last round over a restart; made while the node starts, it reads that file."""

    def __init__(
        self, file: Path, node: str, command: Sequence[str], clock: Clock, *, limit_s: float = LIMIT_S
    ) -> None:
        self._file = file
        self._node = node
        self._command = tuple(command)
        self._clock = clock
        self._limit_s = limit_s
        self._last = _load(file)
        self._trouble: Trouble | None = None
        self._asked = ("", "")
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, stack: AsyncExitStack, home: Path, node: str, clock: Clock) -> DoctorRounds:
        """The node's own, which ends with ``stack``."""
        rounds = cls(home / FILE, node, doctor_command(home, "--deadline", f"{CHECK_S:g}"), clock)
        stack.push_async_callback(rounds.close)
        return rounds

    def view(self) -> DoctorView:
        """From memory."""
        by, at = self._asked
        return DoctorView(
            node=self._node, running=self._running, asked_by=by, asked_at=at, last=self._last, trouble=self._trouble
        )

    def begin(self, by: str) -> None:
        """Examine now. While one goes on, its findings serve whoever asks: no second one begins."""
        if self._running:
            return
        self._asked = (by, instant(self._clock.now()))
        self._task = asyncio.create_task(self._examine(), name="doctor")

    async def close(self) -> None:
        """End what goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _examine(self) -> None:
        began = self._clock.monotonic()
        by, at = self._asked
        try:
            report = await examine_apart(self._command, self._limit_s)
        except (ProntuarioError, OSError) as error:
            self._trouble = trouble_of(error, limit_s=self._limit_s)
            log.warning("doctor came to nothing", code=self._trouble.code)
        else:
            seconds = round(self._clock.monotonic() - began, 1)
            self._last, self._trouble = Round(by=by, at=at, seconds=seconds, report=report), None
            log.info("doctor has examined this node", code=report.status, duration_ms=round(seconds * 1000))
            await asyncio.to_thread(_save, self._file, self._last)
        finally:
            self._asked = ("", "")


def _load(file: Path) -> Round | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Round)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("doctor's last report can't be read", error=type(error).__name__)
        return None


def _save(file: Path, last: Round) -> None:
    try:
        make_folder(file.parent.absolute())
        write_file(file, msgspec.json.encode(last))
    except OSError as error:
        log.warning("doctor's report could not be kept", error=type(error).__name__)
