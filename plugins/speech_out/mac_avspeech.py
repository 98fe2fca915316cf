"""Run as a program of its own on a Mac: AVSpeechSynthesizer with a run loop; text on standard input, WAV on standard output.

Argument: words a minute. Buffers are written as they come (``writeUtterance:toBufferCallback:``, macOS 10.15); an empty
buffer is the last one. Source: Apple's AVFAudio documentation.
"""

from __future__ import annotations

import array
import importlib
import struct
import sys
from typing import Any, BinaryIO

LANGUAGE = "pt-BR"
NORMAL_WORDS_PER_MINUTE = 175.0
"""What AVSpeechUtteranceDefaultSpeechRate comes to, about."""
STEP_S = 0.05
FULL_SCALE = 32767.0
STREAMED = 0xFFFFFFFF


class Talk:
    """Speaks one text with the given AVFoundation and Foundation modules."""

    def __init__(self, sounds: Any, foundation: Any, out: BinaryIO) -> None:
        self._sounds, self._foundation, self._out = sounds, foundation, out
        self._begun = False
        self._ended = False

    def say(self, text: str, words_per_minute: float) -> None:
        """Return when the last sample is written."""
        utterance = self._sounds.AVSpeechUtterance.speechUtteranceWithString_(text)
        utterance.setVoice_(self._sounds.AVSpeechSynthesisVoice.voiceWithLanguage_(LANGUAGE))
        normal = self._sounds.AVSpeechUtteranceDefaultSpeechRate
        utterance.setRate_(min(max(normal * words_per_minute / NORMAL_WORDS_PER_MINUTE, 0.0), 1.0))
        synthesiser = self._sounds.AVSpeechSynthesizer.alloc().init()
        synthesiser.writeUtterance_toBufferCallback_(utterance, self.take)
        loop = self._foundation.NSRunLoop.currentRunLoop()
        while not self._ended:
            until = self._foundation.NSDate.dateWithTimeIntervalSinceNow_(STEP_S)
            loop.runMode_beforeDate_(self._foundation.NSDefaultRunLoopMode, until)

    def take(self, buffer: Any) -> None:
        """One buffer of mono samples; an empty one ends it."""
        frames = int(buffer.frameLength())
        if not frames:
            self._ended = True
            return
        if not self._begun:
            self._begun = True
            self._out.write(_header(int(buffer.format().sampleRate())))
        self._out.write(_pcm(buffer, frames))
        self._out.flush()


def _pcm(buffer: Any, frames: int) -> bytes:
    whole = buffer.int16ChannelData()
    if whole is not None:
        return bytes(whole[0].as_buffer(frames))
    samples = array.array("f")
    samples.frombytes(bytes(buffer.floatChannelData()[0].as_buffer(frames)))
    return array.array("h", (int(max(-1.0, min(1.0, sample)) * FULL_SCALE) for sample in samples)).tobytes()


def _header(rate_hz: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    riff = struct.pack("<4sI4s4sI", b"RIFF", STREAMED, b"WAVE", b"fmt ", len(form))
    return riff + form + struct.pack("<4sI", b"data", STREAMED)


def main(words_per_minute: str) -> None:
    """Speak what standard input has."""
    sounds, foundation = importlib.import_module("AVFoundation"), importlib.import_module("Foundation")
    Talk(sounds, foundation, sys.stdout.buffer).say(sys.stdin.buffer.read().decode(), float(words_per_minute))


if __name__ == "__main__":
    main(*sys.argv[1:])
