"""Audio of any kind becomes 16 kHz mono PCM, in bounded memory and off the event loop.

``decode`` runs a decoder process (``audio_decoders``) and hands on its output as it comes: a slow reader slows the
decoder down, closing the iterator kills it. The content decides what a file is; a name or a media type is never trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path

from appliance.care.audio_decoders import EXIT_TRUNCATED, Decoder, standard_decoders
from appliance.care.audio_errors import (
    AUDIO_DAMAGED,
    AUDIO_DECODER_MISSING,
    AUDIO_DECODER_STALLED,
    AUDIO_EMPTY,
    AUDIO_TOO_BIG,
    AUDIO_TOO_LONG,
    AUDIO_TRUNCATED,
)
from appliance.care.audio_format import Inspection, inspect
from appliance.care.audio_length import declared_seconds
from appliance.plugin_api.capabilities import SAMPLE_RATE_HZ

BYTES_PER_SECOND = SAMPLE_RATE_HZ * 2
BLOCK_BYTES = 64 << 10
STALL_S = 60.0
"""A decoder that gives nothing for so long, while we wait for it, is killed."""
SPOOL_PREFIX = "spool-"
_ENVIRONMENT = {"PATH": os.defpath, "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}


async def decode(
    source: Path, *, max_hours: float, decoders: Sequence[Decoder] | None = None, stall_s: float = STALL_S
) -> AsyncIterator[bytes]:
    """Blocks of 16 kHz mono s16le PCM, each of whole samples.

    A file that is cut short yields everything that is there and *then* raises ``audio.truncated``: the caller decides
    whether the part is worth keeping.

    Raises:
        ProntuarioError: ``audio.empty`` 422, ``audio.unsupported`` 415, ``audio.damaged`` 422, ``audio.truncated`` 422,
            ``audio.too_long`` 413, ``audio.decoder_missing`` 503, ``audio.decoder_stalled`` 422.
    """
    seen = await asyncio.to_thread(inspect, source)
    declared_s = await asyncio.to_thread(declared_seconds, source, seen.format)
    if declared_s is not None and declared_s > max_hours * 3600:
        raise AUDIO_TOO_LONG(field="audio", hours=f"{max_hours:g}")
    limit = int(max_hours * 3600 * BYTES_PER_SECOND)
    produced, status = 0, 0
    for decoder in _usable(seen, standard_decoders() if decoders is None else decoders):
        run = _Run(decoder.command(_absolute(source), seen.format), stall_s)
        try:
            async for block in run.blocks():
                produced += len(block)
                if produced > limit:
                    raise AUDIO_TOO_LONG(field="audio", hours=f"{max_hours:g}")
                yield block
        finally:
            status = await run.end()
        if produced or status == 0:
            break
    _judge(produced, status, seen)


def _absolute(source: Path) -> Path:
    return source.absolute()


def _usable(seen: Inspection, decoders: Sequence[Decoder]) -> list[Decoder]:
    usable = [decoder for decoder in decoders if decoder.handles(seen.format) and decoder.available()]
    if not usable:
        raise AUDIO_DECODER_MISSING(format=seen.format.name)
    return usable


def _judge(produced: int, status: int, seen: Inspection) -> None:
    if produced == 0 and (status == EXIT_TRUNCATED or seen.truncated):
        raise AUDIO_TRUNCATED(field="audio")
    if produced == 0:
        raise (AUDIO_EMPTY if status == 0 else AUDIO_DAMAGED)(field="audio")
    if status != 0 or seen.truncated:
        raise AUDIO_TRUNCATED(field="audio")


class _Run:
    """One decoder process, in a process group of its own so that its children end with it."""

    def __init__(self, command: Sequence[str], stall_s: float) -> None:
        self._command = command
        self._stall_s = stall_s
        self._process: asyncio.subprocess.Process | None = None

    async def blocks(self) -> AsyncIterator[bytes]:
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
            start_new_session=True,
            limit=BLOCK_BYTES,
        )
        assert process.stdout is not None  # noqa: S101  asked for a pipe above
        odd = b""
        while True:
            try:
                block = odd + await asyncio.wait_for(process.stdout.read(BLOCK_BYTES), self._stall_s)
            except TimeoutError:
                raise AUDIO_DECODER_STALLED(field="audio") from None
            if len(block) == len(odd):
                return
            whole = len(block) & ~1
            odd = block[whole:]
            if whole:
                yield block[:whole]

    async def end(self) -> int:
        """The exit status, after making sure that nothing of it runs any longer."""
        process = self._process
        if process is None:
            return 0
        if process.stdout is not None and not process.stdout.at_eof():
            self._kill(process)
            while await process.stdout.read(BLOCK_BYTES):
                pass  # what was in the pipe; asyncio counts the process as ended only after the end of its output
        try:
            return await asyncio.wait_for(process.wait(), self._stall_s)
        except TimeoutError:
            self._kill(process)
            return await process.wait()

    @staticmethod
    def _kill(process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.asynccontextmanager
async def spooled(chunks: AsyncIterable[bytes], folder: Path, *, max_bytes: int) -> AsyncIterator[Path]:
    """A private temporary file (mode 0600) holding ``chunks``, gone afterwards whatever happens.

    Some containers keep their table of contents at the end, so a decoder needs a file and not a pipe. The plaintext
    lies on disk only while it is decoded; ``sweep`` removes what a kill -9 left behind.

    Raises:
        ProntuarioError: ``audio.too_big`` 413.
    """
    await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{SPOOL_PREFIX}{secrets.token_hex(12)}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb", buffering=0) as file:  # noqa: ASYNC230, PTH123  each write below is off the loop
            size = 0
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise AUDIO_TOO_BIG(field="audio", limit_mib=max_bytes >> 20)
                await asyncio.to_thread(_write_all, file.fileno(), chunk)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def sweep(folder: Path) -> int:
    """Remove spool files of an earlier life; returns how many. Call once at start, before any decoding."""
    stale = [path for path in folder.glob(f"{SPOOL_PREFIX}*") if path.is_file()] if folder.is_dir() else []
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)
