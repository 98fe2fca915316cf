"""One process for one document: the question goes in, lines come out, and nothing of it is left however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from appliance.plugin_api.errors import ProntuarioError
from plugins.document_reader.errors import FAILED, KINDS
from plugins.document_reader.messages import Told

CHILD: Final = (sys.executable, "-m", "plugins.document_reader.child")
DIED: Final = "ended early"
_LONGEST_LINE: Final = 64 << 20
_FAREWELL_S: Final = 5.0
_BLOCK: Final = 65_536
_PASSED_ON: Final = ("PATH", "HOME", "TMPDIR", "LANG", "TESSDATA_PREFIX", "VIRTUAL_ENV")
_decoder: Final = msgspec.json.Decoder(Told)


async def answers(question: bytes, *, stall_s: float, command: Sequence[str] = CHILD) -> AsyncGenerator[Told, None]:
    """What the process says, line by line; closing it kills the process and all that it started.

    Raises:
        ProntuarioError: the refusal that the process told; ``document.reader_failed`` (503) when it died, or said nothing
            for ``stall_s`` seconds.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment(), limit=_LONGEST_LINE,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise FAILED(reason="not installed") from error
    feeding = asyncio.ensure_future(_feed(process, question))
    try:
        async for line in _lines(process, stall_s):
            if line.error:
                raise _refusal(line)
            yield line
    finally:
        feeding.cancel()
        _kill(process)
        await _farewell(process, feeding)


def _environment() -> dict[str, str]:
    """The appliance's environment may hold secrets; the process gets our import path and what programs need to run."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path if entry)
    return {**kept, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _refusal(line: Told) -> ProntuarioError:
    kind = KINDS.get(line.error, FAILED)
    details: dict[str, Any] = dict(line.details)
    return kind(field="document", **details)


async def _feed(process: Process, question: bytes) -> None:
    """Write it all and leave the pipe open: its end is how the process learns that nobody waits any more."""
    if process.stdin is not None:
        with suppress(ConnectionError):
            process.stdin.write(question)
            await process.stdin.drain()


async def _lines(process: Process, stall_s: float) -> AsyncGenerator[Told, None]:
    reader = process.stdout
    if reader is None:
        raise FAILED(reason="no output")
    try:
        while True:
            async with asyncio.timeout(stall_s):
                line = await reader.readline()
            if not line:
                break
            yield _decoder.decode(line)
        async with asyncio.timeout(stall_s):
            status = await process.wait()
    except TimeoutError as error:
        raise FAILED(reason="too slow") from error
    except (ValueError, msgspec.MsgspecError) as error:
        raise FAILED(reason="not an answer") from error
    if status != 0:
        raise FAILED(reason=DIED)


def _kill(process: Process) -> None:
    """The process and what it started (its own session), unless all is over."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


async def _farewell(process: Process, feeding: asyncio.Future[None]) -> None:
    """Wait for the end. What is still in the pipe is read away: asyncio counts a process as over only when its pipes are."""
    with suppress(asyncio.CancelledError):
        await feeding
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            while process.stdout is not None and await process.stdout.read(_BLOCK):
                pass
            await process.wait()
