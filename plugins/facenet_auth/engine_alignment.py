"""A face turned upright and brought to one size by its five landmarks, and how sharp it is then."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from plugins.facenet_auth.engine_resample import Areas

Array = npt.NDArray[Any]
SIDE: Final = 160
TEMPLATE: Final = np.array([[0.31, 0.37], [0.69, 0.37], [0.5, 0.565], [0.345, 0.72], [0.655, 0.72]], np.float64)
"""Where the landmarks of a mean face come to lie, in parts of the side: about as large as in the crops with which
Inception-ResNet-v1 was trained (MTCNN's box and a tenth around it), whose other proportions of width to height a similarity can't
copy. Whoever changes it makes every stored template worthless: then raise ``VERSION``."""
VERSION: Final = 1
_GREY: Final = np.array([0.299, 0.587, 0.114])


def similarity(points: Array, wanted: Array) -> Array:
    """The (2, 3) matrix of rotation, one scale and shift that brings ``points`` (n, 2) closest to ``wanted`` (n, 2).

    Least squares in closed form (Umeyama 1991), without mirroring.

    Raises:
        ValueError: the points fall together.
    """
    middle, wanted_middle = points.mean(axis=0), wanted.mean(axis=0)
    own, other = points - middle, wanted - wanted_middle
    spread = float((own**2).sum())
    if spread <= 0.0:
        raise ValueError("the landmarks fall together")
    straight = float((own * other).sum()) / spread
    turned = float((own[:, 0] * other[:, 1] - own[:, 1] * other[:, 0]).sum()) / spread
    matrix = np.array([[straight, -turned], [turned, straight]])
    return np.concatenate([matrix, (wanted_middle - matrix @ middle)[:, None]], axis=1)


def aligned(picture: Array, landmarks: Array, side: int = SIDE) -> Array:
    """The face of ``landmarks`` (5, 2) in ``picture`` (rows, columns, 3): float32 (side, side, 3) in 0 to 255.

    A face that is larger than that is first made smaller by areas, so that no fine line is skipped; what lies outside the picture
    repeats its edge. Raises ``ValueError`` when the landmarks fall together.
    """
    landmarks = landmarks.astype(np.float64)
    matrix = similarity(landmarks, TEMPLATE * side)
    shrink = max(1, int(1.0 / max(float(np.hypot(*matrix[:, 0])), 1e-6)))
    corners = _inverted(matrix) @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    height, width = picture.shape[:2]
    left, top = (int(value) for value in np.clip(np.floor(corners.min(axis=1)) - 2, 0, [width - 1, height - 1]))
    right, bottom = (
        int(value) for value in np.clip(np.ceil(corners.max(axis=1)) + 3, [left + 1, top + 1], [width, height])
    )
    region = picture[top:bottom, left:right]
    rows, columns = max(1, (bottom - top) // shrink), max(1, (right - left) // shrink)
    small = Areas(region).resized(rows, columns).transpose(1, 2, 0) if shrink > 1 else region.astype(np.float32)
    # Pixel middles lie at half numbers, and shrinking moves them: see ``_sampled``.
    places = _places(matrix, side)
    across = (places[0] + 0.5 - left) * columns / (right - left) - 0.5
    down = (places[1] + 0.5 - top) * rows / (bottom - top) - 0.5
    return _sampled(small, across, down)


def sharpness(face: Array) -> float:
    """Variance of the Laplacian of ``face`` (side, side, 3) in grey levels: low for what is out of focus or shaken."""
    grey = face @ _GREY
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4.0 * middle).var())


def _inverted(matrix: Array) -> Array:
    turned = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turned, -turned @ matrix[:, 2:]], axis=1)


def _places(matrix: Array, side: int) -> Array:
    """For every new pixel, the place in the old picture that it shows: (2, side, side), x before y."""
    down, across = np.mgrid[0:side, 0:side].astype(np.float64)
    flat = np.stack([across.ravel(), down.ravel(), np.ones(side * side)])
    return np.asarray(_inverted(matrix) @ flat).reshape(2, side, side)


def _sampled(picture: Array, across: Array, down: Array) -> Array:
    """Bilinear between the four pixels around each place."""
    height, width = picture.shape[:2]
    across, down = np.clip(across, 0, width - 1), np.clip(down, 0, height - 1)
    left, top = across.astype(np.intp), down.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    x, y = (across - left)[..., None], (down - top)[..., None]
    upper = picture[top, left] * (1 - x) + picture[top, right] * x
    lower = picture[bottom, left] * (1 - x) + picture[bottom, right] * x
    return np.asarray(upper * (1 - y) + lower * y, np.float32)
