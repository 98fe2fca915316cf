"""Pictures made smaller or larger by the mean over the area that each new pixel covers.

The same as PyTorch's ``interpolate(mode="area")``, which MTCNN's reference uses: new pixel i of n covers the old ones from
``floor(i * m / n)`` to ``ceil((i + 1) * m / n)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def resize(picture: Array, height: int, width: int) -> Array:
    """``picture`` (rows, columns, channels) to float32 (height, width, channels); values keep their range."""
    return _axis(_axis(picture, height, 0), width, 1).astype(np.float32)


def _axis(values: Array, size: int, axis: int) -> Array:
    old = values.shape[axis]
    if old == size:
        return values.astype(np.float64)
    places = np.arange(size)
    begin, end = places * old // size, -(-(places + 1) * old // size)
    # A running sum makes the mean of any stretch one difference; float64 holds it exactly for whole numbers.
    sums = np.cumsum(values, axis=axis, dtype=np.float64)
    sums = np.insert(sums, 0, 0.0, axis=axis)
    shape = [1] * values.ndim
    shape[axis] = size
    return np.asarray((sums.take(end, axis) - sums.take(begin, axis)) / (end - begin).reshape(shape))
