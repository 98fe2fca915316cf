"""Pictures made smaller or larger by the mean over the area that each new pixel covers.

The same as PyTorch's ``interpolate(mode="area")``, which MTCNN's reference uses: new pixel i of n covers the old ones from
``floor(i * m / n)`` to ``ceil((i + 1) * m / n)``. Detection resamples one picture hundreds of times, so the sums over all
rectangles that begin at its corner are made once (a summed-area table: Crow 1984, doi:10.1145/800031.808600); each new pixel is
then four look-ups, and exact, for the values are whole numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Areas:
    """The areas of ``picture`` (rows, columns, channels), uint8."""

    def __init__(self, picture: Array) -> None:
        rows, columns, channels = picture.shape
        self.rows, self.columns = rows, columns
        # Sums may run over the end of 32 bits: their differences stay right as long as one new pixel covers less than 2**24 old ones.
        self._sums = np.zeros((channels, rows + 1, columns + 1), np.uint32)
        inner = self._sums[:, 1:, 1:]
        np.cumsum(picture.transpose(2, 0, 1), axis=1, dtype=np.uint32, out=inner)
        np.cumsum(inner, axis=2, dtype=np.uint32, out=inner)

    def resized(self, height: int, width: int, window: tuple[int, int, int, int] | None = None) -> Array:
        """(channels, height, width) float32 of what ``window`` shows: (left, top, right, bottom); else of all of it."""
        left, top, right, bottom = window or (0, 0, self.columns, self.rows)
        above, below = _edges(bottom - top, height)
        before, after = _edges(right - left, width)
        bands = self._sums[:, below + top] - self._sums[:, above + top]
        sums = bands[:, :, after + left] - bands[:, :, before + left]
        return np.asarray(sums / ((below - above)[:, None] * (after - before)), np.float32)


@lru_cache(maxsize=1024)
def _edges(old: int, new: int) -> tuple[Array, Array]:
    """(new,) each: where the old places begin and end (exclusive) that each new one covers."""
    places = np.arange(new)
    return places * old // new, -(-(places + 1) * old // new)
