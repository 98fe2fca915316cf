"""A recording that is still growing, as sound: WAV with 16 kHz mono 16-bit samples, the one form that needs no decoder.

Any other recording is transcribed once it is complete: a decoder process for each open dictation would cost more than it gives.
"""

from __future__ import annotations

import struct
from typing import Final

from appliance.plugin_api.capabilities import SAMPLE_RATE_HZ
from appliance.plugin_api.errors import define

LIVE_UNSUPPORTED = define(
    "dictation.live_unsupported",
    415,
    pt=(
        "Este formato de áudio não pode ser transcrito enquanto se fala.",
        "Continue: o texto vem ao concluir. Para texto ao vivo, envie WAV mono de 16 kHz e 16 bits.",
    ),
    en=(
        "This audio format can't be transcribed while you speak.",
        "Go on: the text comes when you finish. For live text send 16 kHz mono 16-bit WAV.",
    ),
)
_MOST_HEADER_BYTES: Final = 64 << 10
_RIFF_BYTES: Final = 12
_CHUNK_BYTES: Final = 8
_FORMAT_BYTES: Final = 16
_PCM: Final = 1
_EXTENSIBLE: Final = 0xFFFE
_UNKNOWN_LENGTH: Final = 0x7FFF0000
"""From here on (or 0) a header makes no claim about the length: it was written before the end was known."""


class GrowingWav:
    """Feed it the file as it comes; it gives the samples (s16le) that lie in it."""

    def __init__(self) -> None:
        self._head = b""
        self._left: int | None = None
        """Bytes of sound that are still to come; None while the header is being read."""

    def feed(self, piece: bytes) -> bytes:
        """The sound in ``piece``, of any number of bytes.

        Raises:
            ProntuarioError: ``dictation.live_unsupported`` 415.
        """
        if self._left is None:
            self._head += piece
            start = self._sound_at()
            if start is None:
                if len(self._head) > _MOST_HEADER_BYTES:
                    raise LIVE_UNSUPPORTED(field="audio")
                return b""
            piece, self._head = self._head[start:], b""
        assert self._left is not None  # noqa: S101  set by _sound_at
        sound = piece[: self._left]
        self._left -= len(sound)
        return sound

    def _sound_at(self) -> int | None:
        """Where the sound begins (RIFF, Microsoft 1991); None while more bytes are needed to tell."""
        head, place, known = self._head, _RIFF_BYTES, False
        if not (b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])):
            raise LIVE_UNSUPPORTED(field="audio")
        while len(head) >= place + _CHUNK_BYTES:
            name, size = struct.unpack_from("<4sI", head, place)
            place += _CHUNK_BYTES
            if name == b"data":
                if not known:
                    raise LIVE_UNSUPPORTED(field="audio")
                self._left = size if 0 < size < _UNKNOWN_LENGTH else 1 << 62
                return place
            if name == b"fmt ":
                if len(head) < place + _FORMAT_BYTES:
                    return None
                known = _is_plain(head[place : place + _FORMAT_BYTES])
            place += size + (size & 1)
        return None


def _is_plain(described: bytes) -> bool:
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", described)
    return kind in {_PCM, _EXTENSIBLE} and (channels, rate, bits) == (1, SAMPLE_RATE_HZ, 16)
