"""Boxes of MTCNN: proposals out of a map, overlap, regression, squares. All arrays are float32.

A box is (left, top, right, bottom) in pixels. Every formula, with its ``+ 1`` and its missing ones, is that of facenet-pytorch
2.6.0 (``detect_face.py``), with which the networks' published weights are used.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_STRIDE: Final = 2
_CELL: Final = 12


def proposals(shifts: Array, odds: Array, scale: float, threshold: float) -> tuple[Array, Array, Array]:
    """Boxes (n, 4), scores (n,) and shifts (n, 4) of the places of P-Net's map that look like a face.

    ``shifts`` (4, rows, columns), ``odds`` (2, rows, columns) of the picture times ``scale``.
    """
    rows, columns = np.nonzero(odds[1] >= threshold)
    places = np.stack([columns, rows], axis=1).astype(np.float32)
    begin = np.floor((_STRIDE * places + 1) / np.float32(scale))
    end = np.floor((_STRIDE * places + _CELL) / np.float32(scale))
    return np.concatenate([begin, end], axis=1), odds[1, rows, columns], shifts[:, rows, columns].T


def strongest(boxes: Array, scores: Array, threshold: float, groups: Array | None = None) -> Array:
    """Non-maximum suppression: indices by falling score, of boxes that overlap none before them by more than ``threshold``.

    Overlap is intersection over union. Boxes of different ``groups`` never disturb each other.
    """
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def overlap(one: int, others: Array) -> Array:
        shared = _shared(boxes, one, others, 0.0)
        return np.asarray(shared / np.maximum(areas[one] + areas[others] - shared, np.float32(1e-9)))

    return _suppress(scores, threshold, groups, overlap)


def strongest_within(boxes: Array, scores: Array, threshold: float, groups: Array | None = None) -> Array:
    """The same with the overlap measured against the smaller of the two: a box inside another one goes."""
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)

    def overlap(one: int, others: Array) -> Array:
        return np.asarray(_shared(boxes, one, others, 1.0) / np.minimum(areas[one], areas[others]))

    return _suppress(scores, threshold, groups, overlap)


def _shared(boxes: Array, one: int, others: Array, pixel: float) -> Array:
    begin = np.maximum(boxes[one, :2], boxes[others, :2])
    end = np.minimum(boxes[one, 2:4], boxes[others, 2:4])
    return np.asarray(np.maximum(end - begin + np.float32(pixel), 0.0).prod(axis=1))


def _suppress(scores: Array, threshold: float, groups: Array | None, overlap: Any) -> Array:
    order = np.argsort(-scores, kind="stable")
    kept = []
    while order.size:
        first, order = int(order[0]), order[1:]
        kept.append(first)
        stays = overlap(first, order) <= threshold
        order = order[stays if groups is None else stays | (groups[order] != groups[first])]
    return np.array(kept, dtype=np.intp)


def shifted(boxes: Array, shifts: Array, pixel: float = 1.0) -> Array:
    """``boxes`` moved by a network's ``shifts``, which are parts of their width and height (plus ``pixel``)."""
    size = boxes[:, 2:4] - boxes[:, :2] + np.float32(pixel)
    return np.asarray(boxes[:, :4] + shifts * np.concatenate([size, size], axis=1))


def squared(boxes: Array) -> Array:
    """The smallest square around the middle of each box."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True) if len(boxes) else size[:, :1]
    begin = boxes[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return np.concatenate([begin, begin + side], axis=1)


def windows(boxes: Array, width: int, height: int) -> Array:
    """What of each box lies in the picture, as integers (left, top, right, bottom), counted from 0, right and bottom exclusive."""
    whole = np.trunc(boxes[:, :4]).astype(np.int64)
    left_top = np.maximum(whole[:, :2], 1) - 1
    return np.concatenate([left_top, np.minimum(whole[:, 2:], [width, height])], axis=1)
