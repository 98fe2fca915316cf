"""MTCNN: where faces are in pictures, and their five landmarks. NumPy over three networks.

Source: Zhang et al. 2016 (arXiv:1604.02878); thresholds and pyramid as in facenet-pytorch 2.6.0. The windows of all pictures
go through the second and third network together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from plugins.facenet_auth import engine_boxes as geometry
from plugins.facenet_auth.engine_resample import Areas

Array = npt.NDArray[Any]
Network = Callable[[Array], Sequence[Array]]
"""Pictures (n, 3, height, width), standardised, to the outputs in the order of their names in the pack's files."""
LANDMARKS: Final = 5
_FACTOR: Final = 0.709
_CELL: Final = 12
_AMONG_ONE_SIZE: Final = 0.5
_AMONG_ALL: Final = 0.7
_AT_ONCE: Final = 512
"""Windows that a network sees in one call: a crowd must not need gigabytes."""


@dataclass(frozen=True)
class Found:
    """The faces of one picture: boxes (n, 4), scores (n,), landmarks (n, 5, 2), by falling score, in pixels."""

    boxes: Array
    scores: Array
    landmarks: Array


@dataclass(frozen=True)
class Thresholds:
    """From which score on a candidate passes each stage."""

    proposal: float = 0.6
    refinement: float = 0.7
    output: float = 0.7


class Mtcnn:
    """``proposal``, ``refinement`` and ``output`` are the networks P, R and O; ``workers`` pictures are searched at a time."""

    def __init__(
        self,
        proposal: Network,
        refinement: Network,
        output: Network,
        thresholds: Thresholds | None = None,
        *,
        workers: int = 1,
    ) -> None:
        self._proposal = proposal
        self._refinement = refinement
        self._output = output
        self._thresholds = thresholds or Thresholds()
        self._pool = ThreadPoolExecutor(workers, "faces")

    def find(self, pictures: Sequence[Array], smallest_px: Sequence[float]) -> list[Found]:
        """``pictures`` (rows, columns, 3) RGB in 0 to 255; of each, faces of ``smallest_px`` and more."""
        shown = [Areas(picture) for picture in pictures]
        proposed = list(self._pool.map(self._propose, shown, smallest_px))
        owner = np.repeat(np.arange(len(pictures)), [len(boxes) for boxes in proposed])
        boxes, owner = self._refine(shown, np.concatenate(proposed or [_no_boxes()]), owner)
        boxes, scores, landmarks, owner = self._land(shown, boxes, owner)
        return [
            Found(boxes[owner == number], scores[owner == number], landmarks[owner == number])
            for number in range(len(pictures))
        ]

    def _propose(self, picture: Areas, smallest_px: float) -> Array:
        """Square windows of every size that might hold a face."""
        height, width = picture.rows, picture.columns
        scale = _CELL / smallest_px
        shortest = min(height, width) * scale
        found: list[tuple[Array, Array, Array]] = []
        while shortest >= _CELL:
            small = picture.resized(int(height * scale + 1), int(width * scale + 1))
            shifts, odds = self._proposal(_standardised(small[None]))
            boxes, scores, moves = geometry.proposals(shifts[0], odds[0], scale, self._thresholds.proposal)
            kept = geometry.strongest(boxes, scores, _AMONG_ONE_SIZE)
            found.append((boxes[kept], scores[kept], moves[kept]))
            scale *= _FACTOR
            shortest *= _FACTOR
        if not found:
            return _no_boxes()
        boxes, scores, moves = (np.concatenate(part) for part in zip(*found, strict=True))
        kept = geometry.strongest(boxes, scores, _AMONG_ALL)
        return geometry.squared(geometry.shifted(boxes[kept], moves[kept], pixel=0.0))

    def _refine(self, pictures: Sequence[Areas], boxes: Array, owner: Array) -> tuple[Array, Array]:
        boxes, owner, crops = _crops(pictures, boxes, owner, 24)
        shifts, odds = _in_parts(self._refinement, crops, (4, 2))
        passed = odds[:, 1] > self._thresholds.refinement
        boxes, owner, shifts, scores = boxes[passed], owner[passed], shifts[passed], odds[passed, 1]
        kept = geometry.strongest(boxes, scores, _AMONG_ALL, owner)
        return geometry.squared(geometry.shifted(boxes[kept], shifts[kept])), owner[kept]

    def _land(self, pictures: Sequence[Areas], boxes: Array, owner: Array) -> tuple[Array, Array, Array, Array]:
        boxes, owner, crops = _crops(pictures, boxes, owner, 48)
        shifts, points, odds = _in_parts(self._output, crops, (4, 2 * LANDMARKS, 2))
        passed = odds[:, 1] > self._thresholds.output
        boxes, owner, shifts, points = boxes[passed], owner[passed], shifts[passed], points[passed]
        scores = odds[passed, 1]
        size = boxes[:, 2:4] - boxes[:, :2] + 1
        across = size[:, :1] * points[:, :LANDMARKS] + boxes[:, :1] - 1
        down = size[:, 1:] * points[:, LANDMARKS:] + boxes[:, 1:2] - 1
        boxes = geometry.shifted(boxes, shifts)
        kept = geometry.strongest_within(boxes, scores, _AMONG_ALL, owner)
        return boxes[kept], scores[kept], np.stack([across, down], axis=2)[kept], owner[kept]


def _no_boxes() -> Array:
    return np.zeros((0, 4), np.float32)


def _standardised(pictures: Array) -> Array:
    """Values of 0 to 255 around 0."""
    return np.asarray((pictures - np.float32(127.5)) * np.float32(1 / 128))


def _crops(pictures: Sequence[Areas], boxes: Array, owner: Array, side: int) -> tuple[Array, Array, Array]:
    """The boxes that lie in their pictures, whose they are, and what they show."""
    kept, crops = [], []
    for number, (box, whose) in enumerate(zip(boxes, owner, strict=True)):
        picture = pictures[whose]
        left, top, right, bottom = geometry.windows(box[None], picture.columns, picture.rows)[0].tolist()
        if right > left and bottom > top:
            kept.append(number)
            crops.append(picture.resized(side, side, (left, top, right, bottom)))
    places = np.array(kept, dtype=np.intp)
    shown = np.stack(crops) if crops else np.zeros((0, 3, side, side), np.float32)
    return boxes[places], owner[places], _standardised(shown)


def _in_parts(network: Network, crops: Array, lengths: tuple[int, ...]) -> list[Array]:
    if not len(crops):
        return [np.zeros((0, length), np.float32) for length in lengths]
    answers = [network(crops[start : start + _AT_ONCE]) for start in range(0, len(crops), _AT_ONCE)]
    return [np.concatenate(part) for part in zip(*answers, strict=True)]
