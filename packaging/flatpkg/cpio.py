"""cpio in its portable ASCII form ("odc", POSIX.1-1988 §10.1.2): what a payload is made of."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from flatpkg.errors import PackageError
from flatpkg.tree import Entry, Kind

MAGIC = b"070707"
TRAILER = "TRAILER!!!"
LARGEST = 8**11 - 1
"""The size field has eleven octal digits: 8 GiB less one byte."""
_INODES = 8**6
_HEADER_BYTES = 76
_LONGEST_NAME = 4096


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """An entry as read. ``data`` is a file's bytes or a link's target; ``mtime`` in seconds since 1970."""

    path: str
    mode: int
    uid: int
    gid: int
    mtime: int
    data: bytes

    @property
    def is_link(self) -> bool:
        """Whether ``data`` is a link's target."""
        return stat.S_ISLNK(self.mode)


def write_cpio(entries: Iterable[Entry], out: BinaryIO, *, mtime: int = 0) -> None:
    """Write the entries, owned by root:wheel (0:0); file bodies are streamed.

    Raises:
        PackageError: a file of 8 GiB or more, or one that changed its size meanwhile.
    """
    inode = 0
    for inode, entry in enumerate(entries, 1):
        if entry.size > LARGEST:
            raise PackageError(f"{entry.path} is larger than cpio odc can hold (8 GiB)")
        out.write(_header(entry.path, entry.mode, entry.size, inode, mtime))
        if entry.kind is Kind.LINK:
            out.write(entry.target.encode())
        elif entry.kind is Kind.FILE:
            _copy(entry, out)
    out.write(_header(TRAILER, 0, 0, inode + 1, 0))


def _header(path: str, mode: int, size: int, inode: int, mtime: int) -> bytes:
    name = path.encode() + b"\0"
    fields = (
        (0, 6),
        (inode % _INODES, 6),
        (mode, 6),
        (0, 6),
        (0, 6),
        (1, 6),
        (0, 6),
        (mtime, 11),
        (len(name), 6),
        (size, 11),
    )
    return MAGIC + b"".join(b"%0*o" % (width, value) for value, width in fields) + name


def _copy(entry: Entry, out: BinaryIO) -> None:
    with entry.source.open("rb") as source:
        shutil.copyfileobj(source, out, 1 << 20)
        if source.tell() != entry.size:
            raise PackageError(f"{entry.path} changed while it was packed")


def read_cpio(stream: BinaryIO, *, largest: int = LARGEST) -> Iterator[CpioEntry]:
    """The entries of an archive, one at a time; ``largest`` bounds one body in memory.

    Raises:
        PackageError: not an odc archive, cut short, or a body over ``largest``.
    """
    while True:
        header = _exactly(stream, _HEADER_BYTES)
        if header[:6] != MAGIC:
            raise PackageError("the payload is not a cpio archive of the odc kind")
        try:
            mode, uid, gid, mtime = (int(header[a:b], 8) for a, b in ((18, 24), (24, 30), (30, 36), (48, 59)))
            name_size, size = int(header[59:65], 8), int(header[65:76], 8)
        except ValueError:
            raise PackageError("a cpio header holds something that is no octal number") from None
        if not 1 <= name_size <= _LONGEST_NAME or size > largest:
            raise PackageError("a cpio header names an impossible size")
        path = _exactly(stream, name_size)[:-1].decode("utf-8", "surrogateescape")
        data = _exactly(stream, size)
        if path == TRAILER:
            return
        yield CpioEntry(path, mode, uid, gid, mtime, data)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise PackageError("the cpio archive is cut short")
    return data
