"""Reads what a plain ``.tar`` holds: headers only, within bounds, so that a hostile one can't fill core's memory.

The standard library's reader takes extended headers of any length into memory; ours refuses them.

Source of the format: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from appliance.operations.packs.errors import ARCHIVE

BLOCK: Final = 512
MOST_MEMBERS: Final = 20_000
_MOST_EXTENDED: Final = 64 << 10
_CHECKSUM: Final = slice(148, 156)
_BASE_256: Final = 0x80
_FILES: Final = frozenset({b"0", b"\0", b"7"})
_FOLDER: Final = b"5"
_PAX, _PAX_FOR_ALL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"


@dataclass(frozen=True, slots=True)
class Member:
    """An entry: its name as written, what it is, and where its bytes lie in the archive."""

    name: str
    kind: Literal["file", "folder", "other"]
    offset: int
    size: int


@dataclass(slots=True)
class _Told:
    """What an extended header says of the entry after it."""

    name: str = ""
    size: int | None = None


def members(descriptor: int, archive: str) -> Iterator[Member]:
    """Every entry of the open file, in order; ``archive`` is what errors call it.

    Raises:
        ProntuarioError: ``pack.archive`` (422): no plain tar, cut short, or beyond what a pack can need.
    """
    length, place, told, count = os.fstat(descriptor).st_size, 0, _Told(), 0
    while True:
        header = os.pread(descriptor, BLOCK, place)
        if len(header) < BLOCK:
            raise ARCHIVE(file=archive, reason="cut short" if count else "no tar file")
        if not header.strip(b"\0"):
            return
        _check(header, archive)
        kind, size, place = header[156:157], _number(header[124:136], archive), place + BLOCK
        if kind in {_PAX, _GNU_NAME}:
            _learn(told, kind, _extended(descriptor, place, size, archive), archive)
        elif kind not in {_PAX_FOR_ALL, _GNU_LINK}:
            size = size if told.size is None else told.size
            yield Member(told.name or _name(header), _kind(kind), place, size)
            told, count = _Told(), count + 1
        place += -(-size // BLOCK) * BLOCK
        if place > length or count > MOST_MEMBERS:
            raise ARCHIVE(file=archive, reason="cut short" if place > length else "too many entries")


def _check(header: bytes, archive: str) -> None:
    """The header's own sum of bytes, its field counted as spaces."""
    plain = header[: _CHECKSUM.start] + b" " * 8 + header[_CHECKSUM.stop :]
    if _number(header[_CHECKSUM], archive) != sum(plain):
        raise ARCHIVE(file=archive, reason="no plain tar file, or damaged")


def _number(field: bytes, archive: str) -> int:
    """Octal digits, or GNU's base 256 for what eleven of them can't hold (8 GiB and more)."""
    if field[0] & _BASE_256:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40 or value > 1 << 62:
            raise ARCHIVE(file=archive, reason="a size that can't be")
        return value
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError as error:
        raise ARCHIVE(file=archive, reason="no plain tar file, or damaged") from error


def _kind(code: bytes) -> Literal["file", "folder", "other"]:
    if code in _FILES:
        return "file"
    return "folder" if code == _FOLDER else "other"


def _name(header: bytes) -> str:
    name, prefix = header[:100].partition(b"\0")[0], b""
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
    return _text(prefix + b"/" + name if prefix else name)


def _extended(descriptor: int, place: int, size: int, archive: str) -> bytes:
    if size > _MOST_EXTENDED:
        raise ARCHIVE(file=archive, reason="an extended header that is too long")
    return os.pread(descriptor, size, place)


def _learn(told: _Told, kind: bytes, content: bytes, archive: str) -> None:
    if kind == _GNU_NAME:
        told.name = _text(content.partition(b"\0")[0])
        return
    while content:
        digits, _, _ = content.partition(b" ")
        if not digits.isdigit() or not len(digits) < int(digits) <= len(content):
            raise ARCHIVE(file=archive, reason="an extended header that can't be read")
        key, _, value = content[len(digits) + 1 : int(digits) - 1].partition(b"=")
        if key == b"path":
            told.name = _text(value)
        elif key == b"size" and value.isdigit():
            told.size = int(value)
        content = content[int(digits) :]


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
