"""Tells speech from silence, tones, hum and noise by how a stretch of sound changes.

Speech changes its spectrum several times a second and spreads over harmonics; a tone, a siren or mains hum puts nearly all
power into one or few lines; steady noise keeps its band levels. Each test alone is cheap and blunt; the thresholds lean
towards keeping speech, because a lost sentence costs more than one needless decoding.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FRAME: Final = 320
"""Samples per frame: 20 ms at 16 kHz."""
_WINDOW: Final = 512
_BANDS: Final = 18
_LOW_HZ: Final = 100.0
_HIGH_HZ: Final = 7000.0
_RATE_HZ: Final = 16_000

MIN_ACTIVE_FRAMES: Final = 5
MIN_INNER_FRAMES: Final = 2
MAX_LINE_SHARE: Final = 0.9
"""Above this share of power around one spectral line, a stretch is a tone or a whistle."""
MIN_BAND_CHANGE_DB: Final = 2.2
"""Below this mean deviation of the smoothed band levels, a stretch is steady noise or hum."""
_SMOOTHING: Final = 3
_FLOOR: Final = 1e-5
"""Bands 50 dB below the frame count as empty."""

Samples = NDArray[np.float32]


def _band_edges() -> NDArray[np.int64]:
    """FFT bins that bound bands equally wide on the mel scale (O'Shaughnessy 1987)."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (_LOW_HZ, _HIGH_HZ))
    hertz = 700 * (10 ** (np.linspace(low, high, _BANDS + 1) / 2595) - 1)
    return np.unique(np.round(hertz * _WINDOW / _RATE_HZ).astype(np.int64))


_EDGES: Final = _band_edges()
_HANN: Final = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


def power_spectra(samples: Samples) -> NDArray[np.float32]:
    """Power spectra of overlapping windows, one per frame: shape (frames, 257)."""
    if len(samples) < _WINDOW:
        return np.zeros((0, _WINDOW // 2 + 1), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::FRAME]
    return (np.abs(np.fft.rfft(windows * _HANN)) ** 2).astype(np.float32)


def line_share(spectra: NDArray[np.float32]) -> float:
    """Median share of a frame's power within two bins of its strongest line, 0 to 1."""
    from_low = spectra[:, 2:]
    peak = from_low.argmax(axis=1)
    columns = np.clip(peak[:, None] + np.arange(-2, 3), 0, from_low.shape[1] - 1)
    around = np.take_along_axis(from_low, columns, axis=1).sum(axis=1)
    return float(np.median(np.minimum(around / np.maximum(from_low.sum(axis=1), 1e-12), 1.0)))


def band_change_db(spectra: NDArray[np.float32]) -> float:
    """How much the shape of the spectrum moves: mean over bands of the relative level's deviation in time, in decibels."""
    bands = np.add.reduceat(spectra[:, : _EDGES[-1]], _EDGES[:-1], axis=1).astype(np.float64)
    if len(bands) > _SMOOTHING:
        totals = bands.cumsum(axis=0)
        bands = totals[_SMOOTHING:] - totals[:-_SMOOTHING]
    # Relative to the frame's own level, so that a beep that goes on and off does not look like syllables.
    bands /= np.maximum(bands.sum(axis=1, keepdims=True), 1e-12)
    return float((10 * np.log10(np.maximum(bands, _FLOOR))).std(axis=0).mean())


def is_speechlike(samples: Samples, active: NDArray[np.bool_]) -> bool:
    """Whether a stretch may hold speech; ``active`` marks its frames that stand out of the background."""
    spectra = power_spectra(samples)
    count = min(len(spectra), len(active))
    inner = active[:count].copy()
    # The attack and decay of a beep change its spectrum; judge what lies inside.
    inner[1:] &= active[: count - 1]
    inner[:-1] &= active[1:count]
    chosen = spectra[:count][inner]
    if int(active.sum()) < MIN_ACTIVE_FRAMES or len(chosen) < MIN_INNER_FRAMES:
        return False
    return line_share(chosen) < MAX_LINE_SHARE and band_change_db(chosen) > MIN_BAND_CHANGE_DB
