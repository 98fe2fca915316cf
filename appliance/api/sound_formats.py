"""PCM as it comes from a voice, into the formats that clients ask for, block by block; nothing is held back but an encoder's frame.

FLAC and Opus by libsndfile (the library that also decodes). Their headers can't be mended at the end of a stream: lengths in
them say "unknown" (RFC 9639 §8.2: zero samples; RIFF: the largest number), as every streaming encoder writes them.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import soundfile

from appliance.plugin_api.capabilities import VOICE_RATE_HZ
from appliance.plugin_api.errors import INVALID
from appliance.store.threads import to_the_end


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """A way to send sound; ``container`` and ``coding`` are libsndfile's names, empty where it is not needed."""

    content_type: str
    container: str = ""
    coding: str = ""


FORMATS: Final[dict[str, SoundFormat]] = {
    "wav": SoundFormat("audio/wav"),
    "pcm": SoundFormat(f"audio/pcm; rate={VOICE_RATE_HZ}"),
    "flac": SoundFormat("audio/flac", "FLAC", "PCM_16"),
    "opus": SoundFormat("audio/ogg; codecs=opus", "OGG", "OPUS"),
}
_STREAMED: Final = 0xFFFFFFFF
_PIECE_BYTES: Final = VOICE_RATE_HZ // 2 * 2
"""Half a second: more at once takes the longer part of a 20 ms tick to encode."""


def format_called(name: str, field: str) -> SoundFormat:
    """Raises ``invalid`` 422, naming the formats that can be made."""
    found = FORMATS.get(name)
    if found is None:
        raise INVALID(field=field, name=field, reason=f"this server makes {', '.join(FORMATS)}")
    return found


async def encoded(pcm: AsyncGenerator[bytes, None], wanted: SoundFormat) -> AsyncGenerator[bytes, None]:
    """``pcm`` (mono s16le at ``VOICE_RATE_HZ``, whole samples) as ``wanted``. Closing it closes ``pcm``."""
    async with aclosing(pcm):
        if wanted.container:
            async with aclosing(_compressed(pcm, wanted)) as blocks:
                async for block in blocks:
                    yield block
            return
        header = _wav_header() if wanted is FORMATS["wav"] else b""
        async for block in pcm:
            yield header + block
            header = b""


def _wav_header() -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, VOICE_RATE_HZ, 2 * VOICE_RATE_HZ, 2, 16)
    riff = struct.pack("<4sI4s4sI", b"RIFF", _STREAMED, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", _STREAMED)


async def _compressed(pcm: AsyncGenerator[bytes, None], wanted: SoundFormat) -> AsyncGenerator[bytes, None]:
    sink = _Sink()
    encoder = soundfile.SoundFile(sink, "w", VOICE_RATE_HZ, 1, wanted.coding, format=wanted.container)
    try:
        async for block in pcm:
            for start in range(0, len(block), _PIECE_BYTES):
                piece = np.frombuffer(block[start : start + _PIECE_BYTES], "<i2")
                await to_the_end(encoder.write, piece)
            if ready := sink.taken():
                yield ready
        await to_the_end(encoder.close)
        if ready := sink.taken():
            yield ready
    finally:
        encoder.close()


class _Sink:
    """A file that can only grow: what the encoder writes anew at its beginning was sent long ago, and is dropped."""

    def __init__(self) -> None:
        self._ready = bytearray()
        self._place = 0
        self._end = 0

    def taken(self) -> bytes:
        """What is new."""
        ready = bytes(self._ready)
        self._ready.clear()
        return ready

    def write(self, data: Any) -> int:
        block = bytes(data)
        if self._place == self._end:
            self._ready += block
            self._end += len(block)
        self._place += len(block)
        return len(block)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = (0, self._place, self._end)[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, _size: int = -1) -> bytes:
        return b""
