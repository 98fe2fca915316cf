"""What kind of audio a file is, told by its content and never by its name, and whether it ends before it says it does."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.care.audio_errors import AUDIO_EMPTY, AUDIO_UNSUPPORTED

HEAD_BYTES = 64
_STREAMED_SIZE = 0x7FFFF000
"""Writers that cannot seek back (a pipe) leave 0 or a size near 2 or 4 GiB in a RIFF header: no claim at all."""
_OGG_TAIL_BYTES = 1 << 17
"""More than one Ogg page (RFC 3533 §6: at most 65,307 bytes)."""
_OGG_HEADER_BYTES = 27
_OGG_LAST_PAGE = 4


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A container: its name, media type, ffmpeg's demuxer for it, and whether libsndfile may be able to read it."""

    name: str
    media_type: str
    demuxer: str
    libsndfile: bool


WAV = AudioFormat("wav", "audio/wav", "wav", libsndfile=True)
FLAC = AudioFormat("flac", "audio/flac", "flac", libsndfile=True)
MP3 = AudioFormat("mp3", "audio/mpeg", "mp3", libsndfile=True)
OGG = AudioFormat("ogg", "audio/ogg", "ogg", libsndfile=True)
AIFF = AudioFormat("aiff", "audio/aiff", "aiff", libsndfile=True)
CAF = AudioFormat("caf", "audio/x-caf", "caf", libsndfile=True)
MP4 = AudioFormat("mp4", "audio/mp4", "mov", libsndfile=False)
AAC = AudioFormat("aac", "audio/aac", "aac", libsndfile=False)
MATROSKA = AudioFormat("webm", "audio/webm", "matroska", libsndfile=False)
AMR = AudioFormat("amr", "audio/amr", "amr", libsndfile=False)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at the file told. ``truncated``: the container promises more bytes than there are."""

    format: AudioFormat
    truncated: bool


def inspect(source: Path) -> Inspection:
    """Look at a file's first and last bytes. Blocks for a few reads.

    Raises:
        ProntuarioError: ``audio.empty`` (no byte at all), ``audio.unsupported`` (not audio that we know).
    """
    with source.open("rb") as file:
        size = file.seek(0, 2)
        if size == 0:
            raise AUDIO_EMPTY(field="audio")
        file.seek(0)
        found = sniff(file.read(HEAD_BYTES))
        if found is None:
            raise AUDIO_UNSUPPORTED(field="audio")
        if found is MP3:
            found = _after_id3(file)
        return Inspection(found, _ends_early(file, found, size))


def sniff(head: bytes) -> AudioFormat | None:
    """The container that these first bytes begin, or None."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return WAV
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if head[4:8] == b"ftyp":
        return MP4
    for magic, found in _MAGIC:
        if head.startswith(magic):
            return found
    return _sniff_frames(head)


_MAGIC = (
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"caff", CAF),
    (b"ID3", MP3),
    (b"#!AMR", AMR),
    (b"\x1a\x45\xdf\xa3", MATROSKA),
)


def _sniff_frames(head: bytes) -> AudioFormat | None:
    """MPEG audio without any container: 11 or 12 sync bits, then the layer (ISO/IEC 11172-3 §2.4.1.3, 13818-7 §6.2)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:  # noqa: PLR2004  a frame header's 4 bytes
        return None
    if head[1] & 0xF6 == 0xF0:  # noqa: PLR2004  sync of 12 bits and layer 0: ADTS
        return AAC
    layer, bitrate, rate = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    reserved = layer == 0 or bitrate == 15 or rate == 3  # noqa: PLR2004  the values that the standard forbids
    return None if reserved else MP3


def _after_id3(file: BinaryIO) -> AudioFormat:
    """An ID3v2 tag stands in front of MP3 and of ADTS; its length has 7 bits a byte (ID3v2.4 §3.1)."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:  # noqa: PLR2004  the tag's own header
        return MP3
    length = (head[6] & 127) << 21 | (head[7] & 127) << 14 | (head[8] & 127) << 7 | head[9] & 127
    file.seek(10 + length)
    return _sniff_frames(file.read(4)) or MP3


def _ends_early(file: BinaryIO, found: AudioFormat, size: int) -> bool:
    if found is WAV:
        return _riff_ends_early(file, size)
    if found is OGG:
        return _ogg_ends_early(file, size)
    if found is MP4:
        return _mp4_ends_early(file, size)
    return False  # FLAC, AIFF and CAF are counted by the decoder; frames of MP3, AAC and AMR promise nothing


def _riff_ends_early(file: BinaryIO, size: int) -> bool:
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            streamed = length == 0 or length >= _STREAMED_SIZE
            return not streamed and position + 8 + length > size
        position += 8 + length + (length & 1)
    return True  # no samples at all before the end


def _ogg_ends_early(file: BinaryIO, size: int) -> bool:
    """The last page of a stream carries the end-of-stream flag (RFC 3533 §6)."""
    file.seek(max(0, size - _OGG_TAIL_BYTES))
    tail = file.read()
    last = tail.rfind(b"OggS")
    if last < 0 or len(tail) - last < _OGG_HEADER_BYTES:
        return True
    segments = tail[last + 26]
    lengths = tail[last + _OGG_HEADER_BYTES : last + _OGG_HEADER_BYTES + segments]
    whole = len(lengths) == segments and len(tail) - last >= _OGG_HEADER_BYTES + segments + sum(lengths)
    return not (whole and tail[last + 5] & _OGG_LAST_PAGE)


def _mp4_ends_early(file: BinaryIO, size: int) -> bool:
    """Walk the top-level boxes (ISO/IEC 14496-12 §4.2); without ``moov`` nothing can be decoded."""
    position, described = 0, False
    while position + 8 <= size:
        file.seek(position)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1:
            wide = file.read(8)
            length = struct.unpack(">Q", wide)[0] if len(wide) == 8 else 0  # noqa: PLR2004  64 bits
        described = described or name in (b"moov", b"moof")
        if length == 0:
            return not described
        if length < 8 or position + length > size:  # noqa: PLR2004  a box's own header
            return True
        position += length
    return not described
