"""The bill of materials ("BOMStore"): the list by which macOS' installer checks what it put on the disk.

Big-endian throughout. A header of 512 bytes, named variables, numbered blocks and an index of them. ``Paths`` is a B+ tree whose
leaves pair a record (id, kind, mode, owner, size, checksum, link target) with (parent id, name). Layout after bomutils' description.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flatpkg.checksum import cksum, file_cksum
from flatpkg.errors import PackageError
from flatpkg.tree import Entry, Kind

_MAGIC: Final = b"BOMStore"
_HEADER_BYTES: Final = 512
_LEAF: Final = 256
_FREE_LIST: Final = struct.pack(">I", 0) + bytes(16)


@dataclass(frozen=True, slots=True)
class BomEntry:
    """One record as read: ``size`` in bytes, ``checksum`` by ``cksum`` (0 for folders), ``target`` of a link."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    checksum: int
    target: str


class _Blocks:
    """Numbered blocks; number 0 is never used."""

    def __init__(self) -> None:
        self.content: list[bytes] = [b""]
        self.names: list[tuple[bytes, int]] = []

    def add(self, block: bytes) -> int:
        self.content.append(block)
        return len(self.content) - 1

    def tree(self, child: int, block_size: int, count: int) -> int:
        return self.add(b"tree" + struct.pack(">IIIIB", 1, child, block_size, count, 0))

    def empty_tree(self, block_size: int = 4096) -> int:
        return self.tree(self.add(struct.pack(">HHII", 1, 0, 0, 0)), block_size, 0)


def write_bom(entries: Sequence[Entry], *, mtime: int = 0) -> bytes:
    """The bill of a payload, owned by root:wheel. Files are read for their checksums."""
    blocks = _Blocks()
    blocks.names.append((b"BomInfo", blocks.add(struct.pack(">III", 1, len(entries) + 1, 1) + bytes(16))))
    leaves = _records(blocks, _by_level(entries), mtime)
    blocks.names.append((b"Paths", blocks.tree(_index(blocks, leaves), 4096, len(entries))))
    blocks.names.append((b"HLIndex", blocks.empty_tree()))
    blocks.names.append((b"VIndex", blocks.add(struct.pack(">IIIB", 1, blocks.empty_tree(128), 0, 0))))
    blocks.names.append((b"Size64", blocks.empty_tree()))
    return _assemble(blocks)


def _by_level(entries: Sequence[Entry]) -> list[Entry]:
    """Folders before what they hold, level by level, so that ids grow with the depth."""
    return sorted(entries, key=lambda entry: (entry.path.count("/"), entry.path.encode()))


def _records(blocks: _Blocks, entries: Sequence[Entry], mtime: int) -> list[tuple[int, int]]:
    """(record block, name block) of each entry."""
    numbers = {"": 0} | {entry.path: number for number, entry in enumerate(entries, 1)}
    pairs = []
    for entry in entries:
        record = blocks.add(_record(entry, mtime))
        identity = blocks.add(struct.pack(">II", numbers[entry.path], record))
        name = blocks.add(struct.pack(">I", numbers[entry.parent]) + entry.name.encode() + b"\0")
        pairs.append((identity, name))
    return pairs


def _record(entry: Entry, mtime: int) -> bytes:
    target = entry.target.encode() + b"\0" if entry.kind is Kind.LINK else b""
    checksum = 0
    if entry.kind is Kind.LINK:
        checksum = cksum([entry.target.encode()])
    elif entry.kind is Kind.FILE:
        checksum = file_cksum(entry.source)
    head = struct.pack(">BBHHII", entry.kind, 1, 3, entry.mode, 0, 0)
    return head + struct.pack(">IIBII", mtime, entry.size & 0xFFFFFFFF, 1, checksum, len(target)) + target


def _index(blocks: _Blocks, pairs: Sequence[tuple[int, int]]) -> int:
    """The tree over the leaves; returns its root block."""
    leaves = [pairs[start : start + _LEAF] for start in range(0, len(pairs), _LEAF)]
    first = len(blocks.content)
    for number, leaf in enumerate(leaves):
        following = first + number + 1 if number + 1 < len(leaves) else 0
        before = first + number - 1 if number else 0
        body = b"".join(struct.pack(">II", *pair) for pair in leaf)
        blocks.add(struct.pack(">HHII", 1, len(leaf), following, before) + body)
    if len(leaves) == 1:
        return first
    body = b"".join(struct.pack(">II", first + number, leaf[-1][1]) for number, leaf in enumerate(leaves))
    return blocks.add(struct.pack(">HHII", 0, len(leaves), 0, 0) + body)


def _assemble(blocks: _Blocks) -> bytes:
    names = struct.pack(">I", len(blocks.names))
    names += b"".join(struct.pack(">IB", number, len(name)) + name for name, number in blocks.names)
    offset = _HEADER_BYTES + len(names)
    places = [(0, 0)]
    for block in blocks.content[1:]:
        places.append((offset, len(block)))
        offset += len(block)
    index = struct.pack(">I", len(places)) + b"".join(struct.pack(">II", *place) for place in places) + _FREE_LIST
    counts = (1, len(blocks.content) - 1, offset, len(index), _HEADER_BYTES, len(names))
    header = _MAGIC + struct.pack(">IIIIII", *counts)
    return header.ljust(_HEADER_BYTES, b"\0") + names + b"".join(blocks.content) + index


def read_bom(data: bytes) -> list[BomEntry]:
    """Every record of a bill, parents first.

    Raises:
        PackageError: not a BOM, or one whose parts point outside it.
    """
    try:
        return _Reader(data).entries()
    except (struct.error, IndexError, KeyError, ValueError, RecursionError) as error:
        raise PackageError(f"the bill of materials is broken ({type(error).__name__})") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        if data[:8] != _MAGIC:
            raise PackageError("not a bill of materials")
        self._data = data
        _, _, index, _, names, _ = struct.unpack_from(">IIIIII", data, 8)
        (count,) = struct.unpack_from(">I", data, index)
        self._places = [struct.unpack_from(">II", data, index + 4 + 8 * number) for number in range(count)]
        self._names = dict(self._variables(names))

    def _variables(self, offset: int) -> list[tuple[str, int]]:
        (count,) = struct.unpack_from(">I", self._data, offset)
        offset += 4
        found = []
        for _ in range(count):
            number, length = struct.unpack_from(">IB", self._data, offset)
            found.append((self._data[offset + 5 : offset + 5 + length].decode("ascii"), number))
            offset += 5 + length
        return found

    def _block(self, number: int) -> bytes:
        offset, length = self._places[number]
        if offset + length > len(self._data):
            raise IndexError
        return self._data[offset : offset + length]

    def entries(self) -> list[BomEntry]:
        _, root, _, count = struct.unpack_from(">IIII", self._block(self._names["Paths"]), 4)
        paths, found = {0: ""}, []
        for identity, name in self._leaves(root):
            number, record = struct.unpack(">II", self._block(identity))
            label = self._block(name)
            (parent,) = struct.unpack_from(">I", label)
            text = label[4:-1].decode("utf-8")
            paths[number] = text if parent == 0 else f"{paths[parent]}/{text}"
            found.append(_parse_record(paths[number], self._block(record)))
        if len(found) != count:
            raise ValueError("count")
        return found

    def _leaves(self, number: int) -> list[tuple[int, int]]:
        block = self._block(number)
        is_leaf, count, following, _ = struct.unpack_from(">HHII", block)
        pairs = [struct.unpack_from(">II", block, 12 + 8 * place) for place in range(count)]
        if not is_leaf:
            return self._leaves(pairs[0][0])
        return [*pairs, *(self._leaves(following) if following else [])]


def _parse_record(path: str, record: bytes) -> BomEntry:
    kind, _, _, mode, uid, gid = struct.unpack_from(">BBHHII", record)
    _, size, _, checksum, length = struct.unpack_from(">IIBII", record, 14)
    target = record[31 : 31 + length].rstrip(b"\0").decode("utf-8")
    return BomEntry(path, Kind(kind), mode, uid, gid, size, checksum, target)
