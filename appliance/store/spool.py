"""Keeping the spool's folders short: Litestream lists a whole level at every compaction, once a second at level 1.

Left alone, a busy week would leave some 600,000 files in level 1. Every level above holds the same changes in larger steps,
so old small steps can go: ``restore --at`` is then exact to 1 s within the last hour, 10 s within a day, and a minute
before that. The file that covers a step was fsynced by Litestream before it got its name.
"""

from __future__ import annotations

import bisect
import os
import re
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"(?P<first>[0-9a-f]{16})-(?P<last>[0-9a-f]{16})\.ltx")
KEEP_S: Final = {1: 3600.0, 2: 24 * 3600.0}
"""Level → how long its files are kept although the next level covers them."""


def thin(spool: Path, *, now_s: float) -> int:
    """Delete old files of levels 1 and 2 whose whole range lies in one file of the next level; how many. Blocks.

    ``now_s`` is wall time (seconds since 1970); a stepped clock can only coarsen what is restorable, never lose it.
    """
    deleted = 0
    for level, keep_s in KEEP_S.items():
        covering = sorted(_ranges(spool, level + 1))
        firsts = [first for first, _, _ in covering]
        files = sorted(_ranges(spool, level))
        for first, last, path in files[:-1]:  # Litestream goes on from the newest
            place = bisect.bisect_right(firsts, first) - 1
            covered = place >= 0 and last <= covering[place][1]
            if covered and path.stat().st_mtime < now_s - keep_s:
                path.unlink()
                deleted += 1
    return deleted


def _ranges(spool: Path, level: int) -> list[tuple[int, int, Path]]:
    """(first TXID, last TXID, file) of a level's files."""
    folder = spool / "ltx" / str(level)
    if not folder.is_dir():
        return []
    found = ((_NAME.fullmatch(entry.name), entry.path) for entry in os.scandir(folder))
    return [(int(name["first"], 16), int(name["last"], 16), Path(path)) for name, path in found if name]
