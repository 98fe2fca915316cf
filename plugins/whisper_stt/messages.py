"""What travels between the plugin's two halves, as msgpack."""

from __future__ import annotations

import msgspec

TRANSCRIBE = "transcribe"
DETECT = "auto"
"""As a language: find out which one is spoken."""

# Codes by which the child says why a request failed; the parent turns them into errors for people.
UNKNOWN_LANGUAGE = "speech.language"
INTERNAL = "internal"


class Utterance(msgspec.Struct, frozen=True, array_like=True):
    """One utterance to transcribe: 16 kHz mono s16le, at most one window long."""

    pcm: bytes
    language: str
    prompt: str
    temperature: float
    word_times: bool


class TimedWord(msgspec.Struct, frozen=True, array_like=True):
    """A word with its times in seconds from the utterance's beginning."""

    text: str
    start: float
    end: float
    probability: float


class Transcript(msgspec.Struct, frozen=True, array_like=True):
    """The text of one utterance; empty when nothing was said. ``confidence`` is the mean token probability."""

    text: str
    confidence: float
    words: tuple[TimedWord, ...] = ()
    language: str = ""
    no_speech: bool = False
