"""Where a pack comes from: a folder, or a plain ``.tar`` of one. Nothing is unpacked first: a copy goes on where it stopped.

Only an uncompressed tar: weights do not get smaller, a place inside can be reached without reading what is before it, and
nothing in it can grow when it is read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from appliance.operations.packs import tar
from appliance.operations.packs.errors import ARCHIVE, MANIFEST, PATH, UNSIGNED
from appliance.operations.packs.manifest import MANIFEST_NAME, MOST_BYTES, OWN_FILES, SIGNATURE_NAME, read_raw
from appliance.operations.packs.survey import check_name, survey

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ARCHIVE_SUFFIX: Final = ".tar"


class Source(Protocol):
    """A pack that lies somewhere else."""

    def raw(self) -> tuple[bytes, bytes]:
        """(manifest, signature), as ``manifest.read_raw``."""
        ...

    def sizes(self) -> dict[str, int]:
        """Relative path → bytes of every other file; refuses what ``survey`` refuses."""
        ...

    def open(self, relative: str) -> BinaryIO:
        """One of the files, from its beginning; it can seek. Raises ``OSError``."""
        ...


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """The folder or archive at ``path``.

    Raises:
        ProntuarioError: ``pack.archive`` (422) when it is neither; OSError: it is gone or can't be read.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        yield _Archive(descriptor, path.name)
    finally:
        os.close(descriptor)


class _Folder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def raw(self) -> tuple[bytes, bytes]:
        return read_raw(self._folder)

    def sizes(self) -> dict[str, int]:
        return {relative: path.stat().st_size for relative, path in survey(self._folder).items()}

    def open(self, relative: str) -> BinaryIO:
        return os.fdopen(os.open(self._folder / relative, os.O_RDONLY | os.O_NOFOLLOW), "rb")


class _Archive:
    """The manifest lies at its top, or in the one folder at its top: both are what people make."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._members = _inside(name, list(tar.members(descriptor, name)))

    def raw(self) -> tuple[bytes, bytes]:
        found = []
        for name in (MANIFEST_NAME, SIGNATURE_NAME):
            member = self._members.get(name)
            if member is None or member.kind != "file":
                raise UNSIGNED(file=name)
            if member.size > MOST_BYTES:
                raise MANIFEST(reason=f"{name} is larger than {MOST_BYTES} bytes")
            with self.open(name) as file:
                found.append(file.read())
        return found[0], found[1]

    def sizes(self) -> dict[str, int]:
        found = {}
        for relative, member in sorted(self._members.items()):
            if relative in OWN_FILES:
                continue
            if member.kind != "file":
                raise PATH(file=relative, reason="symbolic link" if member.kind == "other" else "not a plain file")
            check_name(relative)
            found[relative] = member.size
        return found

    def open(self, relative: str) -> BinaryIO:
        member = self._members[relative]
        return io.BufferedReader(_Part(self._descriptor, member.offset, member.size))


def _inside(archive: str, members: list[tar.Member]) -> dict[str, tar.Member]:
    """Entries by their path in the pack, without folders and hidden names.

    Raises:
        ProntuarioError: ``pack.archive``, ``pack.path`` (422).
    """
    named = [(_plain(member.name), member) for member in members if member.kind != "folder"]
    tops = [name for name, _ in named if name.rpartition("/")[2] == MANIFEST_NAME and name.count("/") <= 1]
    if len(tops) > 1:
        raise ARCHIVE(file=archive, reason="more than one pack in it")
    top = tops[0].removesuffix(MANIFEST_NAME) if tops else ""
    found: dict[str, tar.Member] = {}
    for name, member in named:
        relative = name.removeprefix(top)
        if not name.startswith(top):
            if not _hidden(name):
                raise PATH(file=name, reason="outside the pack's folder")
        elif relative in found:
            raise PATH(file=relative, reason="twice in the archive")
        elif not _hidden(relative):
            found[relative] = member
    return found


def _plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _hidden(relative: str) -> bool:
    """As in folders, hidden names stay behind; ``..`` is none, and is refused where paths are checked."""
    return any(part.startswith(".") and part != ".." for part in relative.split("/"))


class _Part(io.RawIOBase):
    """A stretch of an open file as a file of its own."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        super().__init__()
        self._descriptor, self._offset, self._size, self._place = descriptor, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._size - self._place))
        content = os.pread(self._descriptor, wanted, self._offset + self._place)
        view[: len(content)] = content
        self._place += len(content)
        return len(content)
