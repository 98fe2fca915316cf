"""Tables of an update: single files for plugins (label sets, code tables), put in place so that they can be taken back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from appliance.config.model import Paths
from appliance.security.files import make_private_folder, write_file

_ABSENT: Final = ".absent"
"""Beside where the old file would be kept: there was none."""


@contextmanager
def as_owner(home: Path) -> Iterator[None]:
    """Work below ``home`` as the user whom it belongs to: there root would follow whatever link that user put there."""
    owner = home.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group = os.getegid()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)


class Tables:
    """``home``: the node's; ``run``: the update, under whose name the old files are kept."""

    def __init__(self, home: Path, run: str) -> None:
        self._data = Paths(home).plugin_data
        self._kept = home / "data" / "updates-kept" / run

    def place(self, name: str, content: bytes) -> None:
        """``name``: ``<plugin>/<path>``. The file that is there is kept first; done twice, what is kept stays the first one.

        Raises:
            OSError: nothing was changed, or only what is kept.
        """
        target = self._target(name)
        kept, absent = self._kept / name, self._kept / f"{name}{_ABSENT}"
        if not kept.exists() and not absent.exists():
            _make_folders(kept.parent, self._kept.parent)
            if target.exists():
                write_file(kept, target.read_bytes())
            else:
                write_file(absent, b"")
        _make_folders(target.parent, self._data)
        write_file(target, content)

    def put_back(self, name: str) -> None:
        """The file as it was before; one that ``place`` never came to stays. Raises ``OSError``."""
        target = self._target(name)
        kept, absent = self._kept / name, self._kept / f"{name}{_ABSENT}"
        if kept.exists():
            write_file(target, kept.read_bytes())
        elif absent.exists():
            target.unlink(missing_ok=True)

    def _target(self, name: str) -> Path:
        target = self._data / name
        if not target.parent.resolve().is_relative_to(self._data.resolve()):
            raise PermissionError(f"{name} leads out of the plugins' data")
        return target


def _make_folders(folder: Path, top: Path) -> None:
    for each in (top, *(one for one in reversed(folder.parents) if one.is_relative_to(top)), folder):
        make_private_folder(each)
