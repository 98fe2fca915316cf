"""What happens to a voice on its way: room, noise, level, a narrow line, a coarse codec."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Wave = NDArray[np.float32]
RATE_HZ: Final = 16_000
_MU: Final = 255.0
_PEAK: Final = 0.99


@dataclass(frozen=True, slots=True)
class DamageOdds:
    """How often each kind happens; noise lies ``least_snr_db`` to 40 dB below the voice."""

    noise: float = 0.6
    room: float = 0.2
    line: float = 0.15
    least_snr_db: float = 10.0
    most_snr_db: float = 40.0

    def scaled(self, share: float) -> DamageOdds:
        """The same kinds, ``share`` times as often: training begins gently."""
        odds = (self.noise * share, self.room * share, self.line * share)
        return DamageOdds(*odds, self.least_snr_db, self.most_snr_db)


def damaged(wave: Wave, rng: random.Random, odds: DamageOdds, other_voices: Callable[[int], Wave]) -> Wave:
    """A damaged copy, same length, within [-1, 1]. ``other_voices(length)`` gives a voice for babble."""
    generator = np.random.default_rng(rng.getrandbits(32))
    if rng.random() < odds.room:
        wave = in_room(wave, generator, rng.uniform(0.1, 0.6), rng.uniform(-6.0, 12.0))
    wave = wave * np.float32(10 ** rng.uniform(-1.3, 0.0))
    if rng.random() < odds.noise:
        kind = rng.random()
        if kind < 0.35:
            noise = white(len(wave), generator)
        elif kind < 0.8:
            noise = coloured(len(wave), generator, rng.uniform(0.3, 1.0))
        else:
            noise = babble([other_voices(len(wave)) for _ in range(rng.randint(2, 4))])
        wave = with_noise(wave, noise, rng.uniform(odds.least_snr_db, odds.most_snr_db))
    if rng.random() < odds.line:
        wave = _through_line(wave, rng)
    return np.clip(wave, -_PEAK, _PEAK).astype(np.float32)


def as_wave(values: Any) -> Wave:
    """The same numbers as a float32 array."""
    return np.asarray(values, np.float32)


def with_noise(wave: Wave, noise: Wave, snr_db: float) -> Wave:
    """``wave`` with ``noise`` scaled so that the powers of the two stand ``snr_db`` apart."""
    voice, other = float(np.mean(wave**2)), float(np.mean(noise**2))
    if voice <= 0.0 or other <= 0.0:
        return wave
    mixed: Wave = wave + noise * np.float32(np.sqrt(voice / other) * 10 ** (-snr_db / 20))
    return mixed


def white(length: int, generator: np.random.Generator) -> Wave:
    """Gaussian noise, as strong at all frequencies."""
    return generator.standard_normal(length, np.float32)


def coloured(length: int, generator: np.random.Generator, slope: float = 0.5) -> Wave:
    """Gaussian noise whose amplitude falls as 1/f**slope above 200 Hz: 0.5 is pink, 1 is brown."""
    size = fast_length(length)
    spectrum = np.fft.rfft(white(size, generator))
    frequency = np.fft.rfftfreq(size, 1 / RATE_HZ)
    shaped = spectrum / np.maximum(1.0, frequency / 200.0) ** slope
    return np.fft.irfft(shaped, size)[:length].astype(np.float32)


def babble(voices: list[Wave]) -> Wave:
    """Several voices at once, equally loud."""
    levels = [float(np.sqrt(np.mean(voice**2))) for voice in voices]
    mixed = sum(voice / max(level, 1e-6) for voice, level in zip(voices, levels, strict=True))
    return np.asarray(mixed, np.float32)


def in_room(wave: Wave, generator: np.random.Generator, decay_s: float, direct_db: float) -> Wave:
    """Reverberation: exponentially decaying noise (60 dB in ``decay_s``), ``direct_db`` below the direct sound."""
    length = int(decay_s * RATE_HZ)
    tail = generator.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: RATE_HZ // 500] = 0.0
    tail *= 10 ** (-direct_db / 20) / max(float(np.sqrt(np.sum(tail**2))), 1e-9)
    tail[0] = 1.0
    size = fast_length(len(wave) + length)
    wet = np.fft.irfft(np.fft.rfft(wave, size) * np.fft.rfft(tail, size), size)[: len(wave)]
    loudest = max(float(np.abs(wet).max()), 1e-9)
    return (wet * (float(np.abs(wave).max()) / loudest)).astype(np.float32)


def band(wave: Wave, low_hz: float, high_hz: float) -> Wave:
    """Only what lies between two frequencies, with edges a few hertz wide."""
    size = fast_length(len(wave))
    frequency = np.fft.rfftfreq(size, 1 / RATE_HZ)
    gain = _edge((frequency - low_hz) / 20) * _edge((high_hz - frequency) / 60)
    return np.fft.irfft(np.fft.rfft(wave, size) * gain, size)[: len(wave)].astype(np.float32)


def mu_law(wave: Wave) -> Wave:
    """Eight bits by mu-law and back (ITU-T G.711's curve): a telephone's codec."""
    clipped = np.clip(wave, -1.0, 1.0)
    coded = np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU)
    steps = np.round((coded + 1) / 2 * _MU) / _MU * 2 - 1
    return as_wave(np.sign(steps) * np.expm1(np.abs(steps) * np.log1p(_MU)) / _MU)


def coarse(wave: Wave, bits: int) -> Wave:
    """Quantised to ``bits`` of the loudest sample's range."""
    loudest = max(float(np.abs(wave).max()), 1e-9)
    steps = 2 ** (bits - 1)
    return as_wave(np.round(wave / loudest * steps) / steps * loudest)


def fast_length(length: int) -> int:
    """The next length that a Fourier transform likes: a power of two, or 3/4 or 5/8 of one."""
    whole = 1 << max(4, (length - 1).bit_length())
    return next(size for size in (whole * 5 // 8, whole * 3 // 4, whole) if size >= length)


def _edge(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 far below, 1 far above (a logistic curve)."""
    return 1 / (1 + np.exp(-np.clip(distance, -50, 50)))


def _through_line(wave: Wave, rng: random.Random) -> Wave:
    kind = rng.randrange(4)
    if kind == 0:
        return band(wave, rng.uniform(150, 350), rng.uniform(3200, 3800))
    if kind == 1:
        return mu_law(band(wave, 100.0, 3800.0))
    if kind == 2:
        return coarse(wave, rng.randint(7, 11))
    return band(wave, rng.uniform(50, 200), rng.uniform(4000, 7000))
