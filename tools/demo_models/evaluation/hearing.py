"""Has sounds transcribed through the product's own batch path (voice gate, engine child), many at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.care.model import Segment as NumberedSegment
from appliance.daemon.demo.compare import word_edits
from appliance.daemon.demo.gold import Gold
from appliance.plugin_api.capabilities import Segment, SpeechToText, TranscriptionOptions
from appliance.plugin_api.engine import CallOptions

Wave = NDArray[np.float32]
RATE_HZ: Final = 16_000
AT_ONCE: Final = 32
_BLOCK_BYTES: Final = 32_000
_DEADLINE_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Heard:
    """The segments of each sound, and how long all took together."""

    segments: tuple[tuple[Segment, ...], ...]
    audio_s: float
    seconds: float

    def texts(self) -> list[str]:
        """Each sound's words in one line."""
        return [" ".join(segment.text.strip() for segment in segments) for segments in self.segments]


async def hear_all(
    sounds: Sequence[Wave],
    model: SpeechToText,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    at_once: int = AT_ONCE,
) -> Heard:
    """Transcribe each sound (float32 in [-1, 1] at 16 kHz) as a dictation of its own."""
    room, done = asyncio.Semaphore(at_once), 0

    async def one(sound: Wave) -> tuple[Segment, ...]:
        nonlocal done
        async with room:
            call = CallOptions(deadline_s=_DEADLINE_S, user="evaluation")
            segments = [segment async for segment in model.transcribe(_blocks(sound), TranscriptionOptions(), call)]
        done += 1
        progress(done, len(sounds))
        return tuple(segments)

    began = time.perf_counter()
    heard = await asyncio.gather(*map(one, sounds))
    return Heard(tuple(heard), sum(map(len, sounds)) / RATE_HZ, time.perf_counter() - began)


def corpus_word_error_rate(references: Sequence[str], heard: Sequence[str]) -> float:
    """All edits by all words: long sentences count more than short ones."""
    pairs = [word_edits(said, got) for said, got in zip(references, heard, strict=True)]
    return sum(edits for edits, _ in pairs) / max(1, sum(count for _, count in pairs))


def numbered(segments: Sequence[Segment]) -> list[NumberedSegment]:
    """Segments as the product numbers them."""
    return [
        NumberedSegment(number, one.start, one.end, one.text, one.confidence) for number, one in enumerate(segments, 1)
    ]


def places(gold: Gold, segments: Sequence[NumberedSegment]) -> dict[int, list[int]]:
    """Which gold lines each heard segment carries: those whose middle lies in it, or else the nearest one."""
    found: dict[int, list[int]] = {}
    for segment in segments:
        within = [
            line.number for line in gold.transcript if segment.start <= (line.start + line.end) / 2 <= segment.end
        ]
        middle = (segment.start + segment.end) / 2
        nearest = min(gold.transcript, key=lambda line: abs((line.start + line.end) / 2 - middle))
        found[segment.number] = within or [nearest.number]
    return found


async def _blocks(sound: Wave) -> AsyncIterator[bytes]:
    data = (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
    for start in range(0, len(data), _BLOCK_BYTES):
        yield data[start : start + _BLOCK_BYTES]
