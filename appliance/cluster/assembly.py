"""Files that arrive in parts: written aside, in order, and made durable before anybody gives them a name."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from appliance.cluster.replication_errors import BAD_PART
from appliance.store import durable

_STALE_S: Final = 600.0
"""After that long without a new part a file is given up."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A whole, durable file without its name yet, and the SHA-256 (hex) of its bytes."""

    path: Path
    sha256: str


@dataclass(slots=True)
class _Unfinished:
    path: Path
    file: BinaryIO
    at: int = 0
    touched: float = field(default_factory=time.monotonic)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)


class Assembler:
    """Puts parts together below ``folder``, which is its own: what an earlier process left there is deleted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        durable.make_folder(folder)
        for leftover in folder.iterdir():
            leftover.unlink()
        self._unfinished: dict[str, _Unfinished] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def take(self, key: str, offset: int, size: int, body: bytes) -> Assembled | None:
        """The next part of the file ``key`` of ``size`` bytes; the file when this was its last. Offset 0 begins anew.

        Raises:
            ProntuarioError: ``cluster.bad_part`` when it is not the part that comes next; ``store.full``,
                ``store.failed``. The sender begins again at offset 0.
        """
        async with self._turns.setdefault(key, asyncio.Lock()):  # FIFO: in the order of the calls
            try:
                done = await asyncio.to_thread(self._take, key, offset, size, body)
            except OSError as error:
                self._drop(key)
                raise durable.as_failure(error) from error
        if done is not None:
            self._turns.pop(key, None)
        return done

    def _take(self, key: str, offset: int, size: int, body: bytes) -> Assembled | None:
        if offset == 0:
            self._drop(key)
            self._drop_stale()
            path = self._folder / os.urandom(16).hex()
            self._unfinished[key] = _Unfinished(path, path.open("xb"))
        one = self._unfinished.get(key)
        if one is None or one.at != offset or offset + len(body) > size or (not body and size):
            self._drop(key)
            raise BAD_PART(name=key)
        one.file.write(body)
        one.digest.update(body)
        one.at += len(body)
        one.touched = time.monotonic()
        if one.at < size:
            return None
        one.file.flush()
        durable.sync(one.file.fileno())
        one.file.close()
        del self._unfinished[key]
        return Assembled(one.path, one.digest.hexdigest())

    def _drop(self, key: str) -> None:
        if one := self._unfinished.pop(key, None):
            with contextlib.suppress(OSError):
                one.file.close()
            one.path.unlink(missing_ok=True)

    def _drop_stale(self) -> None:
        now = time.monotonic()
        for key in [key for key, one in self._unfinished.items() if now - one.touched > _STALE_S]:
            self._drop(key)
