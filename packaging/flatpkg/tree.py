"""The files of a payload, in one fixed order and with modes that don't depend on who built them."""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flatpkg.errors import PackageError

DIRECTORY_MODE = 0o040755
LINK_MODE = 0o120755
FILE_MODE = 0o100644
PROGRAM_MODE = 0o100755


class Kind(enum.IntEnum):
    """What an entry is; the numbers are the BOM's."""

    FILE = 1
    DIRECTORY = 2
    LINK = 3


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or link. ``path`` is ``.`` or begins with ``./``; ``mode`` includes the type bits; ``size`` in bytes."""

    path: str
    kind: Kind
    mode: int
    size: int
    source: Path
    target: str = ""

    @property
    def parent(self) -> str:
        """The path of the folder that holds it; empty for ``.``."""
        return "" if self.path == "." else self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


def entries(root: Path) -> list[Entry]:
    """Everything below ``root``, ``.`` first, parents before children, names in byte order.

    Files become 0644 or, when their owner may execute them, 0755; folders and links 0755. Owner and time are set when written.

    Raises:
        PackageError: something that is neither file, folder nor link; a set-id bit; a name that is not UTF-8 text.
    """
    if not root.is_dir():
        raise PackageError(f"{root.name} is not a folder")
    return [Entry(".", Kind.DIRECTORY, DIRECTORY_MODE, 0, root), *_below(root, ".")]


def _below(folder: Path, prefix: str) -> Iterator[Entry]:
    for child in sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name)):
        entry = _entry(child, f"{prefix}/{child.name}")
        yield entry
        if entry.kind is Kind.DIRECTORY:
            yield from _below(child, entry.path)


def _entry(source: Path, path: str) -> Entry:
    facts = source.lstat()
    _check(path, facts.st_mode)
    if stat.S_ISLNK(facts.st_mode):
        target = str(source.readlink())
        return Entry(path, Kind.LINK, LINK_MODE, len(target.encode()), source, target)
    if stat.S_ISDIR(facts.st_mode):
        return Entry(path, Kind.DIRECTORY, DIRECTORY_MODE, 0, source)
    mode = PROGRAM_MODE if facts.st_mode & stat.S_IXUSR else FILE_MODE
    return Entry(path, Kind.FILE, mode, facts.st_size, source)


def _check(path: str, mode: int) -> None:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        raise PackageError(f"{path!a} is not UTF-8 text") from None
    if "\n" in path or "\0" in path:
        raise PackageError(f"{path!a} has a control character in its name")
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
        raise PackageError(f"{path} is neither a file, a folder nor a link")
    if mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISDIR(mode):
        raise PackageError(f"{path} has a set-id bit")
