"""Sounds for the speech tests: a spoken consult, and everything that is not speech. All 16 kHz, float32 in [-1, 1].

The recording is a fixture of its own, beside the product's samples, so that tests may know where its sentences lie.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 16_000
SAMPLE = Path(__file__).resolve().parent / "recording"
Sound = NDArray[np.float32]
ESPEAK = shutil.which("espeak-ng")


@cache
def consult_text() -> tuple[str, ...]:
    """The sentences of the recorded consult as they should be written."""
    lines = (SAMPLE / "consult.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.split("|")[0].strip() for line in lines)


@cache
def consult() -> Sound:
    """The recorded consult."""
    samples, rate = soundfile.read(SAMPLE / "consult.flac", dtype="float32")
    assert rate == RATE
    return np.asarray(samples, np.float32)


def seconds(start: float, end: float) -> Sound:
    """A stretch of the recorded consult."""
    return consult()[int(start * RATE) : int(end * RATE)]


def pcm(sound: Sound) -> bytes:
    """s16le."""
    return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


async def blocks(data: bytes, size: int = 6_400) -> AsyncIterator[bytes]:
    """``data`` as a phone would send it."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def silence(length_s: float) -> Sound:
    return np.zeros(int(length_s * RATE), np.float32)


def white(length_s: float, level: float = 0.05, seed: int = 0) -> Sound:
    noise = np.random.default_rng(seed).standard_normal(int(length_s * RATE))
    return (noise * level).astype(np.float32)


def pink(length_s: float, level: float = 0.05) -> Sound:
    spectrum = np.fft.rfft(white(length_s, 1.0))
    sound = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), int(length_s * RATE))
    return (sound / sound.std() * level).astype(np.float32)


def tone(length_s: float, hertz: float = 440.0, level: float = 0.3) -> Sound:
    time = np.arange(int(length_s * RATE)) / RATE
    return (np.sin(2 * np.pi * hertz * time) * level).astype(np.float32)


def hum(length_s: float, level: float = 0.1) -> Sound:
    """Mains: 60 Hz and its harmonics."""
    harmonics = [tone(length_s, 60.0 * number, level / number) for number in range(1, 16)]
    return np.sum(harmonics, axis=0).astype(np.float32)


def siren(length_s: float) -> Sound:
    time = np.arange(int(length_s * RATE)) / RATE
    phase = np.cumsum(800 + 400 * np.sin(np.pi * time)) * 2 * np.pi / RATE
    return (np.sin(phase) * 0.3).astype(np.float32)


def alarm(length_s: float, every_s: float, beep_s: float = 0.15) -> Sound:
    """A monitor's beeps: three harmonics, on and off."""
    time = np.arange(int(length_s * RATE)) / RATE
    chord = np.sum([tone(length_s, 960.0 * number, 0.2 / number) for number in (1, 2, 3)], axis=0)
    return (chord * (time % every_s < beep_s)).astype(np.float32)


def music(length_s: float, seed: int = 0) -> Sound:
    """A plucked melody with vibrato over held chords, and a drum on every other beat."""
    scale = (261.63, 293.66, 329.63, 349.23, 392.0, 440.0, 493.88, 523.25)
    draw, beat = np.random.default_rng(seed), RATE // 3
    out = silence(length_s)
    for number, start in enumerate(range(0, len(out), beat)):
        time = np.arange(min(beat, len(out) - start)) / RATE
        note = scale[int(draw.integers(len(scale)))] * (1 + 0.004 * np.sin(2 * np.pi * 6 * time))
        pluck = np.sum([np.sin(2 * np.pi * part * np.cumsum(note) / RATE) / part for part in (1, 2, 3, 4)], axis=0)
        chord = np.sum([np.sin(np.pi * scale[int(draw.integers(8))] * time) for _ in range(3)], axis=0)
        drum = draw.standard_normal(len(time)) * np.exp(-time * 40) * (number % 2)
        out[start : start + len(time)] += (0.15 * pluck * np.exp(-time * 5) + 0.05 * chord + 0.1 * drum).astype(
            np.float32
        )
    return out


NOT_SPEECH = {
    "silence": silence(4),
    "faint noise": white(4, 0.0005),
    "white noise": white(4),
    "loud noise": white(4, 0.3),
    "pink noise": pink(4),
    "a tone": tone(4),
    "a low tone": tone(4, 110.0),
    "a tone in noise": tone(4) + white(4, 0.01),
    "hum": hum(4),
    "hum in noise": hum(4) + white(4, 0.01),
    "a siren": siren(4),
    "slow beeps": alarm(4, 1.0),
    "fast beeps": alarm(4, 0.3),
    "beeps in noise": alarm(4, 1.0) + white(4, 0.01),
    "clipped noise": np.sign(white(4)).astype(np.float32),
}
MUSIC = {"music": music(4), "other music": music(8, seed=3)}
"""Melodies have the rhythm of syllables: the gate may let them through, and the model is the one to hear no word in them."""


def say(text: str, voice: str, words_per_minute: int = 165, pitch: int = 50) -> Sound:
    """Spoken by espeak-ng."""
    assert ESPEAK is not None
    command = [ESPEAK, "-v", voice, "-s", str(words_per_minute), "-p", str(pitch), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    heard = np.frombuffer(wav[44:], "<i2").astype(np.float32) / 32768
    length = int(len(heard) * RATE / 22_050)
    spectrum = np.fft.rfft(heard)[: length // 2 + 1]
    return (np.fft.irfft(spectrum, length) * length / len(heard)).astype(np.float32)


def words(text: str) -> list[str]:
    """Lower-case words; a decimal comma stays inside its number."""
    joined = re.sub(r"(\d),(\d)", r"\1_\2", text.lower())
    return re.sub(r"[^\w%/ ]", " ", joined).split()


def word_error_rate(reference: str, heard: str) -> float:
    """Levenshtein distance over words by the reference's length."""
    wanted, got = words(reference), words(heard)
    row = list(range(len(got) + 1))
    for index, word in enumerate(wanted, 1):
        previous, row = row, [index]
        for column, other in enumerate(got, 1):
            row.append(min(previous[column] + 1, row[-1] + 1, previous[column - 1] + (word != other)))
    return row[-1] / max(1, len(wanted))


def joined(parts: Iterable[Sound]) -> Sound:
    return np.concatenate(list(parts)).astype(np.float32)
