"""Sounds for tests: tones and silence as files of any format that libsndfile writes."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import soundfile


def tone(seconds: float, rate: int = 16_000, *, hertz: float = 440.0, channels: int = 1, level: float = 0.5) -> Any:
    """Samples (frames, channels), float32."""
    wave = level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)
    return np.repeat(wave.astype(np.float32)[:, None], channels, axis=1)


def wav(seconds: float = 1.0, rate: int = 16_000, **options: Any) -> bytes:
    """A WAV file of a tone."""
    out = io.BytesIO()
    soundfile.write(out, tone(seconds, rate, **options), rate, format="WAV", subtype="PCM_16")
    return out.getvalue()


def write(path: Path, samples: Any, rate: int, **options: Any) -> Path:
    """A file of the format that its name says."""
    soundfile.write(str(path), samples, rate, **options)
    return path


def lying_wav(declared: int, samples: bytes) -> bytes:
    """A WAV whose header claims ``declared`` bytes of 16 kHz mono samples."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", (declared + 36) & 0xFFFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16
    )
    return head + struct.pack("<4sI", b"data", declared) + samples


def as_floats(pcm: bytes) -> Any:
    """s16le PCM as floats in -1…1."""
    return np.frombuffer(pcm, "<i2") / 32768.0


def loudness(samples: Any) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def pitch(samples: Any, rate: int = 16_000) -> float:
    """The strongest frequency in hertz."""
    return float(np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples))
