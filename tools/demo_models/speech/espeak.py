"""Speech with word times from libespeak-ng, in process.

The GPL library is loaded by this tool at run time through ctypes; it is no part of the product and nothing of it is
shipped (docs/adr/0010). It keeps its state in globals: one speaker a process.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LIBRARIES: Final = ("libespeak-ng.so.1", "libespeak-ng.1.dylib", "/opt/homebrew/lib/libespeak-ng.1.dylib")
_SYNCHRONOUS: Final = 2
_POSITION_BY_CHARACTER: Final = 1
_UTF8: Final = 1
_RATE_PARAMETER, _PITCH_PARAMETER, _RANGE_PARAMETER = 1, 3, 4
_WORD_EVENT: Final = 1
_OK: Final = 0


class EspeakMissingError(RuntimeError):
    """libespeak-ng is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "libespeak-ng was not found: install espeak-ng (apt install espeak-ng, brew install espeak-ng)"
        )


class UnknownVoiceError(ValueError):
    """espeak-ng does not know this voice."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a sentence is said: espeak voice name, words a minute, pitch and pitch range 0–100, and a warp of the spectrum.

    ``warp`` above 1 makes the speaker smaller (everything higher and faster).
    """

    voice: str
    words_per_minute: int = 175
    pitch: int = 50
    pitch_range: int = 50
    warp: float = 1.0


@dataclass(frozen=True, slots=True)
class Spoken:
    """``samples`` (int16) at ``rate_hz``; ``words`` are (character offset in the text, start in seconds), in order."""

    samples: NDArray[np.int16]
    rate_hz: int
    words: tuple[tuple[int, float], ...]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Speaker:
    """Says text. Use ``speaker()``: the library is one per process."""

    def __init__(self) -> None:
        self._library = _load()
        self._rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0))
        if self._rate_hz <= 0:
            raise EspeakMissingError
        self._blocks: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, float]] = []
        self._voice = ""
        self._callback = _Callback(self._hear)  # kept alive as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, delivery: Delivery) -> Spoken:
        """Raises ``UnknownVoiceError``; the warp is not applied here (see ``resample``)."""
        if delivery.voice != self._voice:
            if self._library.espeak_SetVoiceByName(delivery.voice.encode()) != _OK:
                raise UnknownVoiceError(delivery.voice)
            self._voice = delivery.voice
        self._library.espeak_SetParameter(_RATE_PARAMETER, delivery.words_per_minute, 0)
        self._library.espeak_SetParameter(_PITCH_PARAMETER, delivery.pitch, 0)
        self._library.espeak_SetParameter(_RANGE_PARAMETER, delivery.pitch_range, 0)
        self._blocks.clear()
        self._words.clear()
        raw = text.encode()
        size = ctypes.c_size_t(len(raw) + 1)
        self._library.espeak_Synth(raw, size, 0, _POSITION_BY_CHARACTER, 0, _UTF8, None, None)
        samples = np.concatenate(self._blocks) if self._blocks else np.zeros(0, np.int16)
        return Spoken(samples, self._rate_hz, tuple(self._words))

    def _hear(self, wave: Any, count: int, events: Any) -> int:
        if wave and count:
            self._blocks.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type:
            event = events[index]
            if event.type == _WORD_EVENT:
                self._words.append((event.text_position - 1, event.audio_position_ms / 1000))
            index += 1
        return 0


@cache
def speaker() -> Speaker:
    """This process's speaker. Raises ``EspeakMissingError``."""
    return Speaker()


def resample(samples: NDArray[Any], ratio: float) -> NDArray[np.float32]:
    """``samples`` with ``ratio`` times as many, band-limited through one Fourier transform."""
    wanted = round(len(samples) * ratio)
    spectrum = np.fft.rfft(samples.astype(np.float32))
    kept = np.zeros(wanted // 2 + 1, np.complex64)
    shared = min(len(kept), len(spectrum))
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, wanted) * ratio).astype(np.float32)


def _load() -> Any:
    for name in _LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise EspeakMissingError
