"""The log-mel spectrogram that mlx_whisper computes, in numpy: the trainer prepares sound without MLX."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

HOP: Final = 160
_WINDOW: Final = 400
BANDS: Final = 80
_FLOOR: Final = 1e-10
_RANGE: Final = 8.0


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shape (frames, 80) for 16 kHz samples in [-1, 1], one frame each 10 ms (Radford et al. 2022, section 2.2)."""
    padded = np.pad(samples, _WINDOW // 2, mode="reflect")
    frames = sliding_window_view(padded, _WINDOW)[::HOP][:-1]
    spectrum = np.fft.rfft(frames * _hann(), axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    mel = np.log10(np.maximum(power @ _filters(), _FLOOR))
    mel = np.maximum(mel, mel.max() - _RANGE)
    result: NDArray[np.float32] = ((mel + 4.0) / 4.0).astype(np.float32)
    return result


@cache
def _hann() -> NDArray[np.float32]:
    return np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    from mlx_whisper.audio import mel_filters

    bank: Any = np.array(mel_filters(BANDS))
    return np.ascontiguousarray(bank.T, np.float32)
