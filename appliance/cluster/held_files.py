"""What a folder of LTX files covers, kept up to date without listing it for every new file."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from appliance.cluster.ltx import LEVELS, LtxFile, level_folder, listing, reach
from appliance.telemetry.logs import get_logger

log = get_logger("receiver")
KEEP_COVERED_S: Final = 5.0
"""How long a file of level 0 stays although level 1 has its changes: whoever follows reads level 0 first."""
MOST_AT_ONCE: Final = 64


class HeldFiles:
    """The files below ``folder``. Not thread-safe; every call blocks. A hole that somebody makes lowers ``reach``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changed: dict[int, int] = {}
        self._files: set[LtxFile] = set()
        self._ahead: set[LtxFile] = set()
        self.reach = 0
        self._list()

    def expect(self, file: LtxFile) -> None:
        """``file`` was just put into the folder by whoever calls; ``look`` counts it, once it is durable."""
        self._files.add(file)
        self._ahead.add(file)
        self._changed[file.level] = self._changed_at(file.level)

    def look(self) -> int:
        """Count what is there; the highest TXID without a hole before it."""
        if any(self._changed.get(level) != self._changed_at(level) for level in LEVELS):
            self._list()
        else:
            self.reach = reach(self._ahead, self.reach)
            self._ahead = {file for file in self._ahead if file.last > self.reach}
        return self.reach

    def drop_covered(self, *, now_s: float, most: int = MOST_AT_ONCE) -> int:
        """Delete the oldest files of level 0 whose changes a file of level 1 has, a while after they came; how many.

        ``most`` at once: whoever waits for an answer waits for this too.
        """
        self.look()  # before our own deletions hide that somebody else changed a folder
        covering = sorted(file for file in self._files if file.level == 1)
        firsts = [file.first for file in covering]
        drop: set[LtxFile] = set()
        for file in sorted(file for file in self._files if file.level == 0):
            place = bisect_right(firsts, file.first) - 1
            if place < 0 or file.last > covering[place].last:
                continue
            if len(drop) == most or self._age_s(file, now_s) <= KEEP_COVERED_S:
                break  # those after it came later still
            drop.add(file)
        if not drop or not self._may_go(drop):
            return 0
        self._unlink(drop)
        self._files -= drop
        self._ahead -= drop
        self._changed[0] = self._changed_at(0)
        return len(drop)

    def retain(self, wanted: Collection[LtxFile]) -> list[LtxFile]:
        """Delete files of levels 1 and above that are not ``wanted``; which of ``wanted`` are missing."""
        missing = sorted(set(wanted) - self._files)
        if not missing:  # else what goes may be what the missing ones replace
            self._drop([file for file in self._files - set(wanted) if file.level > 0])
        return missing

    def _drop(self, files: Iterable[LtxFile]) -> None:
        going = set(files)
        self._list()
        going &= self._files
        if going and self._may_go(going):
            self._unlink(going)
            self._list()

    def _may_go(self, going: set[LtxFile]) -> bool:
        if reach(self._files - going) < self.reach:
            log.error("files are kept because others do not cover them", count=len(going))
            return False
        return True

    def _unlink(self, going: set[LtxFile]) -> None:
        """Newest first: what is left after a crash has no hole that it did not have."""
        for file in sorted(going, reverse=True):
            file.path(self._folder).unlink(missing_ok=True)

    def _list(self) -> None:
        self._changed = {
            level: self._changed_at(level) for level in LEVELS
        }  # before the listing: else a change slips by
        self._files = set(listing(self._folder))
        before, self.reach = self.reach, reach(self._files)
        self._ahead = {file for file in self._files if file.last > self.reach}
        if self.reach < before:
            log.error("files are missing: what is held without a hole became less", count=before - self.reach)

    def _changed_at(self, level: int) -> int:
        try:
            return os.stat(level_folder(self._folder, level)).st_mtime_ns  # noqa: PTH116  once for every level and answer
        except FileNotFoundError:
            return 0

    def _age_s(self, file: LtxFile, now_s: float) -> float:
        with contextlib.suppress(FileNotFoundError):
            return now_s - file.path(self._folder).stat().st_mtime
        return 0.0
