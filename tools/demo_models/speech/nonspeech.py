"""Sound in which nobody speaks: the model must write nothing on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import numpy as np

from tools.demo_models.speech.damage import RATE_HZ, Wave, as_wave, coloured, white

_SCALE: Final = (0, 2, 4, 5, 7, 9, 11)
_MIDDLE_A_HZ: Final = 440.0


def silence(length: int, rng: random.Random) -> Wave:
    """Zeros, or the last bit of a converter."""
    if rng.random() < 0.5:
        return np.zeros(length, np.float32)
    return as_wave(np.random.default_rng(rng.getrandbits(32)).integers(-1, 2, length) / 32768)


def steady_noise(length: int, rng: random.Random) -> Wave:
    """White to brown noise at any level."""
    generator = np.random.default_rng(rng.getrandbits(32))
    noise = white(length, generator) if rng.random() < 0.5 else coloured(length, generator, rng.uniform(0.3, 1.0))
    return _at_level(noise, 10 ** rng.uniform(-4, -0.9))


def tones(length: int, rng: random.Random) -> Wave:
    """One to four steady tones, perhaps swept like a siren or cut into beeps."""
    time = np.arange(length) / RATE_HZ
    wave = np.zeros(length)
    for _ in range(rng.randint(1, 4)):
        frequency, swing = rng.uniform(50, 3500), rng.choice((0.0, 0.0, rng.uniform(0.05, 0.4)))
        wobble = swing / (2 * np.pi * 0.5) * np.sin(2 * np.pi * 0.5 * time)
        wave += rng.uniform(0.1, 1) * np.sin(2 * np.pi * frequency * (time + wobble))
    if rng.random() < 0.3:
        wave *= (time * rng.uniform(0.7, 4)) % 1 < 0.5
    return _at_level(wave.astype(np.float32), 10 ** rng.uniform(-2.5, -0.7))


def music(length: int, rng: random.Random) -> Wave:
    """A melody over chords: notes with harmonics that fade, in one key."""
    wave = np.zeros(length)
    root, beat = rng.randint(-20, 4), int(rng.uniform(0.15, 0.6) * RATE_HZ)
    for begin in range(0, length, beat):
        degrees = [rng.choice(_SCALE) + 12 * rng.randint(0, 1)]
        if rng.random() < 0.5:
            degrees += [_SCALE[(_SCALE.index(degrees[0] % 12) + third) % 7] - 12 for third in (2, 4)]
        for degree in degrees:
            note = _note(_MIDDLE_A_HZ * 2 ** ((root + degree) / 12), beat * rng.randint(1, 2), rng)
            end = min(length, begin + len(note))
            wave[begin:end] += note[: end - begin]
    return _at_level(wave.astype(np.float32), 10 ** rng.uniform(-2.2, -0.8))


def knocks(length: int, rng: random.Random) -> Wave:
    """Short bursts in a quiet room: keys, doors, steps."""
    generator = np.random.default_rng(rng.getrandbits(32))
    wave = white(length, generator) * np.float32(10 ** rng.uniform(-4, -2.5))
    for begin in generator.integers(0, length, rng.randint(1, 6)):
        burst = white(rng.randint(80, 1600), generator)[: length - begin]
        wave[begin : begin + len(burst)] += burst * np.exp(-np.arange(len(burst)) / 200) * rng.uniform(0.05, 0.6)
    return as_wave(np.clip(wave, -1, 1))


def hum(length: int, rng: random.Random) -> Wave:
    """Mains hum with harmonics."""
    time, base = np.arange(length) / RATE_HZ, rng.choice((50.0, 60.0))
    wave = sum(rng.random() / order * np.sin(2 * np.pi * base * order * time) for order in range(1, 8))
    return _at_level(np.asarray(wave, np.float32), 10 ** rng.uniform(-2.5, -0.7))


KINDS: Final[dict[str, Callable[[int, random.Random], Wave]]] = {
    "silence": silence,
    "noise": steady_noise,
    "tones": tones,
    "music": music,
    "knocks": knocks,
    "hum": hum,
}


def nonspeech(rng: random.Random) -> Wave:
    """One kind, half a second to five seconds, float32 in [-1, 1] at 16 kHz."""
    return KINDS[rng.choice(list(KINDS))](int(rng.uniform(0.5, 5.0) * RATE_HZ), rng)


def _note(frequency_hz: float, length: int, rng: random.Random) -> Wave:
    time = np.arange(length) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * frequency_hz * order * time) / order ** rng.uniform(1, 2) for order in range(1, 5))
    attack = np.minimum(1.0, time / 0.01)
    return np.asarray(wave * attack * np.exp(-time * rng.uniform(1, 6)), np.float32)


def _at_level(wave: Wave, rms: float) -> Wave:
    level = float(np.sqrt(np.mean(wave**2)))
    return as_wave(np.clip(wave * (rms / max(level, 1e-9)), -1, 1))
