"""What a recording says of itself before it is decoded: an impossible form or too many hours cost nothing to refuse."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final

from appliance.care.audio_errors import AUDIO_DAMAGED
from appliance.care.audio_format import FLAC, WAV, AudioFormat

RATES_HZ: Final = range(2_000, 768_001)
MOST_CHANNELS: Final = 32
_FORMAT_BYTES: Final = 16
_STREAMINFO_BYTES: Final = 26


def declared_seconds(source: Path, found: AudioFormat) -> float | None:
    """How long it claims to be, in seconds, where its first bytes tell; a WAV claims no more than it has.

    Raises:
        ProntuarioError: ``audio.damaged`` 422: a rate or a number of channels that no recording has.
    """
    with source.open("rb") as file:
        if found is WAV:
            return _wav_seconds(file, source.stat().st_size)
        return _flac_seconds(file.read(_STREAMINFO_BYTES)) if found is FLAC else None


def _wav_seconds(file: BinaryIO, size: int) -> float | None:
    position, bytes_a_second = 12, 0
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"fmt " and len(described := file.read(_FORMAT_BYTES)) == _FORMAT_BYTES:
            _, channels, rate, _, _, bits = struct.unpack("<HHIIHH", described)
            if rate not in RATES_HZ or not 0 < channels <= MOST_CHANNELS:
                raise AUDIO_DAMAGED(field="audio")
            bytes_a_second = rate * channels * bits // 8
        if name == b"data":
            return min(length, size - position) / bytes_a_second if bytes_a_second else None
        position += 8 + length + (length & 1)
    return None


def _flac_seconds(head: bytes) -> float | None:
    """RFC 9639, section 8.2: the first block tells rate and samples; 0 samples: unknown."""
    if len(head) < _STREAMINFO_BYTES or head[:4] != b"fLaC" or head[4] & 0x7F:
        return None
    rate = head[18] << 12 | head[19] << 4 | head[20] >> 4
    samples = (head[21] & 0x0F) << 32 | int.from_bytes(head[22:26], "big")
    return samples / rate if rate and samples else None
