"""Litestream's LTX files by their names: what a set of them covers, and which ones fill a gap.

``ltx/<level>/<first>-<last>.ltx`` holds the pages changed by the transactions first…last (16 hex digits each). Level 0 has
one file for each sync (TXID counts those files); levels 1 to 8 hold the same changes in larger steps; level 9 holds
whole images (``first`` is 1). A new epoch's path begins with TXID 1, whose file is a whole image too.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

SNAPSHOT_LEVEL: Final = 9
LEVELS: Final = range(SNAPSHOT_LEVEL + 1)
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_MAGIC: Final = b"LTX1"
_FIRST_AT: Final = 16
HEADER_BYTES: Final = 100


class LtxFile(msgspec.Struct, frozen=True, order=True):
    """One file: transactions ``first`` to ``last``, both included."""

    first: int
    last: int
    level: int

    @property
    def name(self) -> str:
        """As Litestream writes it."""
        return f"{self.first:016x}-{self.last:016x}.ltx"

    @property
    def key(self) -> str:
        """``level/name``."""
        return f"{self.level}/{self.name}"

    def path(self, folder: Path) -> Path:
        """Where it lies in a replica's folder."""
        return level_folder(folder, self.level) / self.name


def level_folder(folder: Path, level: int) -> Path:
    """Where a level's files lie in a replica's folder."""
    return folder / "ltx" / str(level)


def working_folder(database: Path) -> Path:
    """Litestream's own folder beside a database: level 0 appears there first."""
    return database.with_name(f".{database.name}-litestream")


def forget_litestream(database: Path) -> None:
    """Make Litestream count from TXID 1 again, with a whole image: before a new epoch's path. It must not be running."""
    shutil.rmtree(working_folder(database), ignore_errors=True)


def parse(level: int, name: str) -> LtxFile | None:
    """The file that is called ``name`` in ``level``; None when it is no LTX file."""
    found = _NAME.fullmatch(name)
    if found is None or level not in LEVELS:
        return None
    first, last = int(found[1], 16), int(found[2], 16)
    return LtxFile(first, last, level) if 1 <= first <= last else None


def parse_key(key: str) -> LtxFile | None:
    """The file of a ``key``."""
    level, _, name = key.partition("/")
    return parse(int(level), name) if level.isdecimal() else None


def listing(folder: Path, levels: Iterable[int] = LEVELS) -> list[LtxFile]:
    """Every LTX file below ``folder``. Blocks."""
    found: list[LtxFile] = []
    for level in levels:
        try:
            with os.scandir(level_folder(folder, level)) as entries:
                found += filter(None, (parse(level, entry.name) for entry in entries))
        except FileNotFoundError:
            continue
    return found


def reach(files: Iterable[LtxFile], start: int = 0) -> int:
    """The highest TXID up to which ``files`` continue from ``start`` without a hole."""
    at = start
    for file in sorted(files):
        if file.first > at + 1:
            break
        at = max(at, file.last)
    return at


def next_after(files: Collection[LtxFile], after: int) -> LtxFile | None:
    """What to send to whoever holds everything up to ``after``: the largest step, a whole image only when all else fails."""
    useful = [file for file in files if file.first <= after + 1 <= file.last]
    steps = [file for file in useful if file.level != SNAPSHOT_LEVEL]
    return max(steps or useful, key=lambda file: file.last, default=None)


def fits(file: LtxFile, start: bytes) -> bool:
    """Whether a body that begins with ``start`` is the file of that name (LTX header: magic … first and last TXID)."""
    if len(start) < HEADER_BYTES or not start.startswith(_MAGIC):
        return False
    first = int.from_bytes(start[_FIRST_AT : _FIRST_AT + 8], "big")
    last = int.from_bytes(start[_FIRST_AT + 8 : _FIRST_AT + 16], "big")
    return (first, last) == (file.first, file.last)
