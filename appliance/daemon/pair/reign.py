"""Which database is this node's, and what becomes of it when another node has gone on without it.

One small file says in which epoch this node last opened the record. It is written before the record opens for writing, so
after any crash it names an epoch at least as high as what was written; it goes when the database is set aside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from appliance.config import Paths
from appliance.security.files import write_file
from appliance.store import durable
from appliance.telemetry.logs import get_logger

log = get_logger("pair")
_FILE: Final = "reign.json"
_SIDE_FILES: Final = ("", "-wal", "-shm", "-txid")


class _Kept(msgspec.Struct, frozen=True):
    epoch: int


class Reign:
    """This node's own record, as far as its files go. Blocking: a few small files."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._file = paths.database.with_name(_FILE)
        self._epoch = self._read()

    @property
    def epoch(self) -> int | None:
        """The epoch in which this node last opened the record; None: it has none of its own. 0: from its time alone."""
        return self._epoch

    def begin(self, epoch: int) -> None:
        """This node is about to write the record in ``epoch``."""
        write_file(self._file, msgspec.json.encode(_Kept(epoch)))
        self._epoch = epoch

    def adopt(self, database: Path, epoch: int) -> None:
        """Make ``database`` (whole, closed, in this file system, as of ``epoch``) the record's, in place of nothing."""
        if self._paths.database.exists():
            raise FileExistsError(self._paths.database)
        self.begin(epoch)
        durable.make_folder(self._paths.database.parent)
        for suffix in reversed(_SIDE_FILES):  # the database itself comes last: with it everything is there
            source = database.with_name(database.name + suffix)
            if suffix in {"", "-wal"} and source.exists():
                source.rename(self._paths.database.with_name(self._paths.database.name + suffix))
        durable.sync_folder(self._paths.database.parent)

    def set_aside(self) -> Path | None:
        """Move the record and what belongs to it into a folder of its own, which nobody deletes by himself; where it is.

        None: there is none. Repeated after a crash in the middle, it completes what it began.
        """
        epoch = self._epoch
        if epoch is None:
            return None
        folder = self.aside_folder(epoch)
        durable.make_folder(folder)
        database = self._paths.database
        for suffix in _SIDE_FILES:
            source = database.with_name(database.name + suffix)
            if source.exists():
                source.rename(folder / source.name)
        working = database.with_name(f".{database.name}-litestream")
        if working.exists():
            working.rename(folder / working.name)
        durable.sync_folder(folder)
        durable.sync_folder(database.parent)
        self._file.unlink(missing_ok=True)
        durable.sync_folder(self._file.parent)
        self._epoch = None
        log.warning("an old record was set aside", epoch=epoch)
        return folder / database.name

    def aside_folder(self, epoch: int) -> Path:
        """Where the record of ``epoch`` lies once it was set aside."""
        return self._paths.home / "data" / "set-aside" / f"{epoch:08d}"

    def _read(self) -> int | None:
        there = self._paths.database.exists()
        try:
            epoch = msgspec.json.decode(self._file.read_bytes(), type=_Kept).epoch
        except FileNotFoundError:
            return 0 if there else None
        # Without a database the file is from a takeover that was cut short, or from a setting aside that was.
        return epoch if there or self.aside_folder(epoch).exists() else None
