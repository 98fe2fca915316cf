"""Pictures made smaller or larger by the mean over the area that each new pixel covers.

The same as PyTorch's ``interpolate(mode="area")``, which MTCNN's reference uses: new pixel i of n covers the old ones from
``floor(i * m / n)`` to ``ceil((i + 1) * m / n)``. Two matrix products per colour: a face's detection resamples hundreds of windows.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def planes(picture: Array) -> Array:
    """(rows, columns, channels) to float32 (channels, rows, columns); values keep their range."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)


def resize(colours: Array, height: int, width: int) -> Array:
    """``colours`` (channels, rows, columns) float32 to (channels, height, width)."""
    rows, columns = colours.shape[1:]
    return np.asarray(_means(rows, height) @ colours @ _means(columns, width).T)


@lru_cache(maxsize=1024)
def _means(old: int, new: int) -> Array:
    """(new, old): each row holds the weights by which one new place is the mean of old ones."""
    places = np.arange(new)
    begin, end = places * old // new, -(-(places + 1) * old // new)
    across = np.arange(old)
    covered = (across >= begin[:, None]) & (across < end[:, None])
    return (covered / (end - begin)[:, None]).astype(np.float32)
