"""Cuts a stream of sound into utterances, in bounded memory.

A frame is active when it stands out of the background, whose level is followed over the last seconds. A pause ends an
utterance; one that fills the model's window is cut at its quietest place. What is steady, tonal or silent is dropped here:
speech models invent text on it (whisper.cpp #1724).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugins.whisper_stt.speechlike import FRAME, is_speechlike

RATE_HZ: Final = 16_000
FRAME_S: Final = FRAME / RATE_HZ

_BACKGROUND_FRAMES: Final = 750
"""15 s: long enough to hold pauses, short enough to follow a room."""
_FIRST_LOOK_FRAMES: Final = 25
"""Half a second is heard before the first decision, for a first idea of the background."""
_RISE: Final = 4.0
"""12 dB above the background's tenth percentile is active,"""
_SHARE_OF_LOUD: Final = 0.35
"""but never ask for more than this share of the loud frames: in a loud room speech stands out by less,"""
_PLAIN_RMS: Final = 0.006
"""which applies only above a soft voice's level;"""
_LEAST_RMS: Final = 0.0005
"""nothing below -66 dB of full scale is speech."""
_DIGITAL_SILENCE_RMS: Final = 5e-5
"""Below -86 dB no microphone was open: such frames tell nothing of the room."""
_PAD_FRAMES: Final = 5
"""0.1 s of sound is kept around an utterance: soft beginnings and ends."""
_CUT_FROM: Final = 0.5
"""A forced cut is made in the later half."""


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance: ``pcm`` is s16le, ``start`` and ``end`` are seconds from the stream's beginning."""

    pcm: bytes
    start: float
    end: float
    final: bool = True
    """False: somebody is still speaking, and more of it will come."""


class VoiceGate:
    """Feed it 16 kHz mono s16le of any block length; it yields utterances no longer than ``max_utterance_s``."""

    def __init__(self, *, max_utterance_s: float, pause_s: float = 0.35) -> None:
        self._max_frames = int(max_utterance_s / FRAME_S)
        self._pause_frames = max(1, round(pause_s / FRAME_S))
        self._odd = b""
        self._frames: list[NDArray[np.int16]] = []
        self._levels: list[float] = []
        self._active: list[bool] = []
        self._first_frame = 0
        """Index in the stream of the first frame that is still held."""
        self._decided = 0
        """How many of the held frames have been classified."""
        self._background: list[float] = []
        self._threshold = _LEAST_RMS

    def feed(self, block: bytes) -> Iterator[Cut]:
        """The utterances that this block completes."""
        data = self._odd + block
        whole = len(data) // (2 * FRAME) * (2 * FRAME)
        self._odd = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").reshape(-1, FRAME)
        for frame in samples:
            self._hear(frame)
            yield from self._decide(at_end=False)

    @property
    def heard_s(self) -> float:
        """Seconds of the stream so far."""
        return (self._first_frame + len(self._frames)) * FRAME_S

    def pending(self) -> Cut | None:
        """What has been said of an utterance that has not ended, if it may be speech; nothing changes by asking."""
        return self._cut(self._decided, final=False)

    def finish(self) -> Iterator[Cut]:
        """The utterance that the end of the stream completes, if any; the last half frame counts."""
        if len(self._odd) > 1:
            rest = np.frombuffer(self._odd[: len(self._odd) // 2 * 2], "<i2")
            self._hear(np.pad(rest, (0, FRAME - len(rest))))
        self._odd = b""
        yield from self._decide(at_end=True)

    def _hear(self, frame: NDArray[np.int16]) -> None:
        level = float(np.sqrt(np.mean((frame.astype(np.float32) / 32768) ** 2)))
        self._frames.append(frame)
        self._levels.append(level)
        if level > _DIGITAL_SILENCE_RMS:
            self._background.append(level)
        if len(self._background) > _BACKGROUND_FRAMES:
            del self._background[: len(self._background) - _BACKGROUND_FRAMES]

    def _decide(self, *, at_end: bool) -> Iterator[Cut]:
        heard = self._first_frame + len(self._frames)
        if heard < _FIRST_LOOK_FRAMES and not at_end:
            return
        if heard % _PAD_FRAMES == 0 or at_end:
            quiet, loud = np.percentile(self._background, (10, 90)) if self._background else (0.0, 0.0)
            self._threshold = max(_LEAST_RMS, min(quiet * _RISE, max(_PLAIN_RMS, loud * _SHARE_OF_LOUD)))
        while self._decided < len(self._frames):
            self._active.append(self._levels[self._decided] > self._threshold)
            self._decided += 1
            yield from self._cut_if_complete()
        if at_end and any(self._active):
            yield from self._emit(len(self._frames))

    def _cut_if_complete(self) -> Iterator[Cut]:
        count = self._decided
        if not any(self._active[-self._pause_frames - 1 :]) and not any(self._active):
            self._drop(count - _PAD_FRAMES)
        elif count > self._pause_frames and not any(self._active[-self._pause_frames :]):
            yield from self._emit(count)
        elif count >= self._max_frames:
            yield from self._emit(self._quietest())

    def _quietest(self) -> int:
        """Where to cut an utterance that does not end: the middle of its quietest 0.1 s, in the later half."""
        begin = int(self._max_frames * _CUT_FROM)
        levels = np.convolve(self._levels[begin : self._max_frames], np.ones(_PAD_FRAMES), "valid")
        return begin + int(levels.argmin()) + _PAD_FRAMES // 2

    def _emit(self, end: int) -> Iterator[Cut]:
        """Yield what the first ``end`` held frames hold, if it may be speech, and let go of them."""
        if (cut := self._cut(end)) is not None:
            yield cut
        self._drop(end)

    def _cut(self, end: int, *, final: bool = True) -> Cut | None:
        spoken = np.flatnonzero(self._active[:end])
        if not len(spoken):
            return None
        first = max(0, int(spoken[0]) - _PAD_FRAMES)
        last = min(end, int(spoken[-1]) + 1 + _PAD_FRAMES)
        sound = np.concatenate(self._frames[first:last])
        if not is_speechlike((sound / 32768).astype(np.float32), np.asarray(self._active[first:last])):
            return None
        start = (self._first_frame + first) * FRAME_S
        return Cut(sound.tobytes(), start, start + (last - first) * FRAME_S, final)

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        del self._frames[:count], self._levels[:count], self._active[:count]
        self._first_frame += count
        self._decided -= count
