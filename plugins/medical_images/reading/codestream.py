"""The size that a compressed frame itself declares, and what an RLE frame would become; read before any decoder runs.

A data set may say 64×64 over a codestream of 65535×65535: decoders believe the codestream.
Sources: ISO/IEC 10918-1 B.2.2 (SOF), 14495-1 C.2.2 (SOF55), 15444-1 A.5.1 (SIZ); DICOM PS3.5 Annex G (RLE).
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from plugins.medical_images.reading.refusals import damaged

_SOI: Final = b"\xff\xd8"
_J2K: Final = b"\xff\x4f\xff\x51"
_JP2: Final = b"\x00\x00\x00\x0cjP  "
_BOX_HEADER: Final = 8
_LONG_LENGTH: Final = 1
"""In the place of a box's length: the length follows in eight bytes (15444-1 I.4)."""
_FRAME_MARKERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_RLE_HEADER: Final = 64
_RLE_SEGMENTS: Final = 15
_LITERAL_MOST: Final = 127
_NOTHING: Final = 128


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """Width and height as the codestream has them; None if it is neither JPEG, JPEG-LS nor JPEG 2000."""
    if frame.startswith(_SOI):
        return _jpeg_size(frame)
    start = _codestream_at(frame) if frame.startswith(_JP2) else 0
    if frame[start : start + 4] == _J2K:
        return _j2k_size(frame, start)
    return None


def _codestream_at(data: bytes) -> int:
    """Where the codestream of a JP2 file begins, found as decoders do, box by box: any other box may hold a likeness of one."""
    place = 0
    while place + _BOX_HEADER <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        header = _BOX_HEADER
        if length == _LONG_LENGTH and place + 2 * _BOX_HEADER <= len(data):
            header = 2 * _BOX_HEADER
            (length,) = struct.unpack_from(">Q", data, place + _BOX_HEADER)
        if kind == b"jp2c":
            return place + header
        if length < header:  # 0: to the end of the file
            break
        place += length
    raise damaged("JPEG 2000")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:  # noqa: PLR2004  every marker begins so
            break
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:  # noqa: PLR2004  fill byte
            place += 1 if marker == 0xFF else 2  # noqa: PLR2004
            continue
        if marker in _FRAME_MARKERS and place + 9 <= len(data):
            height, width = struct.unpack_from(">HH", data, place + 5)
            return width, height
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    raise damaged("JPEG")


def _j2k_size(data: bytes, start: int) -> tuple[int, int]:
    if len(data) < start + 24:
        raise damaged("JPEG 2000")
    right, bottom, left, top = struct.unpack_from(">IIII", data, start + 8)
    if right <= left or bottom <= top:
        raise damaged("JPEG 2000")
    return right - left, bottom - top


def check_rle(frame: bytes, expected: int) -> None:
    """Raises ``RefusedError`` unless the frame unpacks to about ``expected`` bytes. It is walked, not unpacked."""
    if len(frame) < _RLE_HEADER:
        raise damaged("RLE")
    count, *offsets = struct.unpack_from("<16I", frame)
    if not 1 <= count <= _RLE_SEGMENTS:
        raise damaged("RLE")
    bounds = [*offsets[:count], len(frame)]
    if any(after < before for before, after in pairwise(bounds)) or bounds[0] < _RLE_HEADER:
        raise damaged("RLE")
    room = expected + count * 2 * _LITERAL_MOST
    for before, after in pairwise(bounds):
        room -= _unpacked_length(frame, before, min(after, len(frame)), room)
        if room < 0:
            raise damaged("RLE")


def _unpacked_length(data: bytes, place: int, end: int, enough: int) -> int:
    """Bytes that the PackBits segment becomes; counting stops once it is more than ``enough``."""
    length = 0
    while place < end and length <= enough:
        head = data[place]
        if head <= _LITERAL_MOST:
            length += head + 1
            place += head + 2
        else:
            length += 0 if head == _NOTHING else 257 - head
            place += 1 if head == _NOTHING else 2
    return length
