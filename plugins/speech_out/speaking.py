"""One speaking process: text in, PCM out as it is made, and no process left behind however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

from appliance.plugin_api.errors import define
from plugins.speech_out.resampling import Resampler

FAILED = define(
    "voice.failed",
    503,
    pt=("A voz falhou: {reason}.", "Leia na tela e tente de novo em instantes."),
    en=("The voice failed: {reason}.", "Read it on the screen and try again in a moment."),
)
_BLOCK: Final = 16_384
_FIRST_BLOCK: Final = 2_048
"""The first sound leaves early; after it, larger blocks cost less."""
_FAREWELL_S: Final = 5.0
_MOST_HEADER: Final = 4_096
_PASSED_ON: Final = ("PATH", "HOME", "TMPDIR", "ESPEAK_DATA_PATH")


async def spoken(command: Sequence[str], text: str, *, stall_s: float, rate_hz: int) -> AsyncGenerator[bytes, None]:
    """Mono s16le PCM at ``rate_hz``, in whole samples. Closing it kills the process and all that it started.

    Raises:
        ProntuarioError: ``voice.failed`` (503): no such program, no sound, or none for ``stall_s`` seconds.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, start_new_session=True
        )
    except OSError as error:
        raise FAILED(reason="not installed") from error
    feeding = asyncio.ensure_future(_feed(process, text.encode()))
    try:
        async for block in _sound(process, stall_s, rate_hz):
            yield block
    finally:
        feeding.cancel()
        _kill(process)
        await _farewell(process, feeding)


async def _farewell(process: Process, feeding: asyncio.Future[None]) -> None:
    """Wait for the end. What is still in the pipe is read away: asyncio counts a process as over only when its pipes are."""
    with suppress(asyncio.CancelledError):
        await feeding
    with suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            while process.stdout is not None and await process.stdout.read(_BLOCK):
                pass
            await process.wait()


async def _feed(process: Process, text: bytes) -> None:
    if process.stdin is not None:
        with suppress(ConnectionError):
            process.stdin.write(text)
            await process.stdin.drain()
        process.stdin.close()


async def _sound(process: Process, stall_s: float, rate_hz: int) -> AsyncGenerator[bytes, None]:
    reader = process.stdout
    if reader is None:
        raise FAILED(reason="no output")
    odd, wanted, spoke = b"", _FIRST_BLOCK, False
    try:
        async with asyncio.timeout(stall_s):
            resampler = Resampler(await _header(reader), rate_hz)
        while True:
            async with asyncio.timeout(stall_s):
                block = odd + await reader.read(wanted)
            whole = len(block) - len(block) % 2
            odd, wanted = block[whole:], _BLOCK
            if not block:
                break
            if pcm := resampler.feed(block[:whole]):
                spoke = True
                yield pcm
    except TimeoutError as error:
        raise FAILED(reason="no sound") from error
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise FAILED(reason="not a sound") from error
    if await process.wait() != 0 or not spoke:
        raise FAILED(reason="ended early")
    if rest := resampler.flush():
        yield rest


async def _header(reader: asyncio.StreamReader) -> int:
    """Read as far as the samples; the rate in Hz. The lengths of a streamed WAV mean nothing and are not looked at."""
    riff, _, wave = struct.unpack("<4sI4s", await reader.readexactly(12))
    if (riff, wave) != (b"RIFF", b"WAVE"):
        raise ValueError("not a WAV stream")
    rate_hz = 0
    while True:
        name, size = struct.unpack("<4sI", await reader.readexactly(8))
        if name == b"data":
            break
        if size > _MOST_HEADER:
            raise ValueError("a chunk before the samples is too long")
        chunk = await reader.readexactly(size + size % 2)
        if name == b"fmt ":
            coding, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", chunk[:16])
            if (channels, bits) != (1, 16) or coding not in {1, 0xFFFE}:
                raise ValueError("not mono 16-bit PCM")
    if not rate_hz:
        raise ValueError("no format")
    return int(rate_hz)


def _kill(process: Process) -> None:
    """The process and what it started (its own session), unless all is over."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
