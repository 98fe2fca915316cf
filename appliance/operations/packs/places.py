"""From where packs may be imported by somebody who sits at the dashboard: the home's inbox and the configured places, nothing else.

A path that a browser names is walked one step at a time and never through a link: ``/Volumes`` of a Mac has one that is the whole
disk. What leads out, is hidden, or is not there, gets one and the same answer, so that nobody can feel their way about the node.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from appliance.operations.packs.errors import PLACE
from appliance.operations.packs.manifest import MANIFEST_NAME
from appliance.operations.packs.sources import ARCHIVE_SUFFIX

INBOX: Final = "inbox"
MOST_ENTRIES: Final = 500


class Place(msgspec.Struct, frozen=True):
    """A place: what a request names it by, where it lies on the node, and whether it is there now."""

    id: str
    folder: str
    there: bool


class Entry(msgspec.Struct, frozen=True):
    """What can be chosen in a place: ``path`` below it; an archive's bytes."""

    name: str
    path: str
    kind: Literal["folder", "pack", "archive"]
    bytes: int = 0


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of a place. ``path`` is empty at its top; ``complete`` is false where more lies there than is shown."""

    place: str
    folder: str
    path: str
    entries: tuple[Entry, ...]
    complete: bool = True


class Places:
    """``inbox`` and every folder of ``configured``. Everything here blocks, on a disk that may be slow or gone."""

    def __init__(self, inbox: Path, configured: Sequence[str]) -> None:
        self._folders = {INBOX: inbox} | {folder: Path(folder) for folder in configured}

    def all(self) -> list[Place]:
        """The inbox first."""
        return [Place(name, str(folder), folder.is_dir()) for name, folder in self._folders.items()]

    def listing(self, place: str, path: str) -> Listing:
        """What lies there and can be opened or imported, packs and archives first. Raises ``pack.place`` (404)."""
        folder = self.find(place, path)
        if not folder.is_dir():
            raise PLACE(path=path)
        try:
            found = [entry for entry in map(_entry, os.scandir(folder)) if entry is not None]
        except OSError as error:
            raise PLACE(path=path or place) from error
        found.sort(key=lambda one: (one.kind == "folder", one.name.casefold()))
        entries = tuple(
            msgspec.structs.replace(one, path=f"{path}/{one.name}" if path else one.name)
            for one in found[:MOST_ENTRIES]
        )
        root = str(self._folders[place])
        return Listing(place=place, folder=root, path=path, entries=entries, complete=len(found) <= MOST_ENTRIES)

    def find(self, place: str, path: str) -> Path:
        """A folder or file that really lies below the place. Raises ``pack.place`` (404)."""
        self.check(place, path)
        found = self._folders[place].resolve()
        for part in path.split("/") if path else ():
            found /= part
            if not _plain(found):
                raise PLACE(path=path)
        if not found.exists():
            raise PLACE(path=path or place)
        return found

    def check(self, place: str, path: str) -> None:
        """Without a look at any disk: there is such a place, and the path stays in it. Raises ``pack.place`` (404)."""
        bad = (
            any(part.startswith(".") or not part or not part.isprintable() for part in path.split("/"))
            if path
            else False
        )
        if place not in self._folders or bad:
            raise PLACE(path=path if path.isprintable() else "?")


def _plain(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def _entry(found: os.DirEntry[str]) -> Entry | None:
    """None for what can't be a pack or lead to one."""
    if found.name.startswith(".") or not found.name.isprintable():
        return None
    try:
        if found.is_dir(follow_symlinks=False):
            pack = Path(found.path, MANIFEST_NAME).is_file()
            return Entry(found.name, "", "pack" if pack else "folder")
        if found.is_file(follow_symlinks=False) and found.name.lower().endswith(ARCHIVE_SUFFIX):
            return Entry(found.name, "", "archive", found.stat(follow_symlinks=False).st_size)
    except OSError:  # a damaged stick: the rest of it can still be shown
        return None
    return None
