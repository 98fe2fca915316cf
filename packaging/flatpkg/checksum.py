"""The checksum of POSIX ``cksum`` (IEEE Std 1003.1, cksum): what a BOM keeps for each file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))
_CHUNK = 1 << 20


def cksum(chunks: Iterable[bytes]) -> int:
    """CRC-32 of the bytes followed by their count.

    POSIX feeds the most significant bit first, zlib the least: with every byte's bits reversed, zlib's fast code gives the same
    polynomial division, and the result is reversed back.
    """
    crc, count = 0xFFFFFFFF, 0
    for chunk in chunks:
        crc = zlib.crc32(chunk.translate(_REVERSED), crc)
        count += len(chunk)
    tail = count.to_bytes((count.bit_length() + 7) // 8, "little")
    crc = zlib.crc32(tail.translate(_REVERSED), crc)
    return int(f"{crc:032b}"[::-1], 2)


def file_cksum(path: Path) -> int:
    """``cksum`` of a file's content, read in pieces."""
    with path.open("rb") as file:
        return cksum(iter(lambda: file.read(_CHUNK), b""))
