"""Keeps one worker process: started with the first file, started anew after a file that killed it or took too long."""

from __future__ import annotations

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, Final

import msgspec

from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.worker_wire import LENGTH_BYTES

_READ_BYTES: Final = 1 << 20


class WorkerLostError(Exception):
    """The worker died over the question, or was killed because it took too long."""


class Workshop:
    """One question at a time. ``limit_s`` is how long an answer may take, ``memory_bytes`` what the worker may hold."""

    def __init__(self, limits: Limits, *, memory_bytes: int, limit_s: float) -> None:
        self._command = [
            sys.executable,
            "-m",
            "plugins.medical_images.reading.worker",
            msgspec.json.encode(limits).decode(),
            str(memory_bytes),
        ]
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self.lost = 0
        """Workers that a file has cost."""

    def ask(self, question: bytes) -> Iterator[bytes]:
        """The answers, one by one.

        Raises:
            WorkerLostError: as it says; the next question gets a new worker.
        """
        asked, told = self._pipes()
        try:
            asked.write(len(question).to_bytes(LENGTH_BYTES, "little") + question)
            asked.flush()
            while length := int.from_bytes(self._read(told, LENGTH_BYTES), "little"):
                yield self._read(told, length)
        except (OSError, WorkerLostError) as error:
            self.close()
            self.lost += 1
            raise WorkerLostError from error

    def close(self) -> None:
        """End the worker, whatever it does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            # What native decoders say on their way down may quote the file.
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise WorkerLostError
        return process.stdin, process.stdout

    def _read(self, pipe: IO[bytes], count: int) -> bytes:
        until = time.monotonic() + self._limit_s
        data = bytearray()
        while len(data) < count:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            piece = pipe.read(min(_READ_BYTES, count - len(data))) if ready else b""
            if not piece:
                raise WorkerLostError
            data += piece
        return bytes(data)
