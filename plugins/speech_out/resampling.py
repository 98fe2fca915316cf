"""A stream of samples at another rate: polyphase windowed sinc (Crochiere & Rabiner 1983, ch. 3), block by block."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

_TAPS: Final = 24
"""Input samples that one output sample is made of."""
_BETA: Final = 7.0
"""Kaiser window: side lobes below -70 dB."""
_MARGIN: Final = 0.92
"""The pass band ends so far below the lower Nyquist frequency."""
_LIMITS: Final = (-32768, 32767)


class Resampler:
    """From ``rate_in`` to ``rate_out`` (Hz), mono s16le. Blocks of any number of whole samples; ``flush`` gives the tail."""

    def __init__(self, rate_in: int, rate_out: int) -> None:
        if not 0 < rate_in <= 1_000_000 or not 0 < rate_out <= 1_000_000:  # noqa: PLR2004  no sound has such a rate
            raise ValueError("not a sampling rate")
        common = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        self._same = rate_in == rate_out
        self._filters = np.zeros((0, 0)) if self._same else _filters(self._up, self._down)
        self._left: npt.NDArray[np.float64] = np.zeros(_TAPS // 2 - 1)
        self._next = 0
        """Place of the next output sample, in 1/``up`` of input samples after the first of ``left``'s window."""

    def feed(self, pcm: bytes) -> bytes:
        """The samples that ``pcm`` makes possible."""
        return pcm if self._same else self._run(np.frombuffer(pcm, "<i2").astype(np.float64))

    def flush(self) -> bytes:
        """What is still inside, followed by silence."""
        return b"" if self._same else self._run(np.zeros(_TAPS // 2))

    def _run(self, fresh: npt.NDArray[np.float64]) -> bytes:
        samples = np.concatenate([self._left, fresh])
        last = len(samples) - _TAPS
        if last < 0:
            self._left = samples
            return b""
        count = max((last * self._up + self._up - 1 - self._next) // self._down + 1, 0)
        places = self._next + self._down * np.arange(count)
        first, phase = places // self._up, places % self._up
        windows = samples[first[:, None] + np.arange(_TAPS)]
        made = np.einsum("ij,ij->i", windows, self._filters[phase])
        after = self._next + self._down * count
        done = min(after // self._up, len(samples))
        self._left, self._next = samples[done:], after - done * self._up
        said: bytes = np.clip(np.rint(made), *_LIMITS).astype("<i2").tobytes()
        return said


def _filters(up: int, down: int) -> npt.NDArray[np.float64]:
    """One row of taps for each of the ``up`` phases; each sums to 1, so that silence and speech keep their level."""
    cut = _MARGIN * min(1.0, up / down)
    away = np.arange(_TAPS)[None, :] - (_TAPS // 2 - 1) - np.arange(up)[:, None] / up
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (2 * away / _TAPS) ** 2, 0, None))) / np.i0(_BETA)
    taps: npt.NDArray[np.float64] = np.sinc(cut * away) * window
    level: npt.NDArray[np.float64] = taps / taps.sum(axis=1, keepdims=True)
    return level
