"""From decoded pictures to answers: find, judge, align, embed. One call serves the frames of many people at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from plugins.facenet_auth.engine_alignment import aligned, sharpness
from plugins.facenet_auth.engine_detector import Found, Mtcnn
from plugins.facenet_auth.engine_model import Embedder
from plugins.facenet_auth.engine_pictures import Picture
from plugins.facenet_auth.engine_pose import pose
from plugins.facenet_auth.messages import NO_FACE, SEVERAL_FACES, TOO_BLURRED, TOO_SMALL, Face, FrameAnswer, Limits

Array = npt.NDArray[Any]
_SEEN_SHARE: Final = 0.5
"""Faces down to this share of the smallest good one are still found: "too small" helps a person more than "no face"."""
_SMALLEST_FOUND_PX: Final = 20.0


@dataclass
class _Seen:
    """What is known of one frame; ``crop`` is there when its face is worth embedding."""

    answer: FrameAnswer
    crop: Array | None = None


def examine(frames: Sequence[tuple[Picture, Limits]], detector: Mtcnn, embedder: Embedder) -> list[FrameAnswer]:
    """One answer for each picture, in their order."""
    found = detector.find(
        [picture.small for picture, _ in frames],
        [max(_SMALLEST_FOUND_PX, limits.smallest_px * _SEEN_SHARE / picture.factor) for picture, limits in frames],
    )
    seen = [_judge(picture, limits, faces) for (picture, limits), faces in zip(frames, found, strict=True)]
    good = [one for one in seen if one.crop is not None]
    if good:
        crops = np.stack([one.crop for one in good if one.crop is not None])
        standard = np.ascontiguousarray(((crops - np.float32(127.5)) / np.float32(128.0)).transpose(0, 3, 1, 2))
        for one, vector in zip(good, embedder.embed(standard), strict=True):
            one.answer = msgspec.structs.replace(one.answer, embedding=vector.astype("<f4").tobytes())
    return [one.answer for one in seen]


def _judge(picture: Picture, limits: Limits, found: Found) -> _Seen:
    order = np.argsort(-(_sides(found.boxes).prod(axis=1)), kind="stable")
    boxes = found.boxes[order].astype(np.float64) * picture.factor
    landmarks = found.landmarks[order].astype(np.float64) * picture.factor
    faces = [_face(*one) for one in zip(boxes, landmarks, found.scores[order], strict=True)]
    answer = FrameAnswer(picture.width, picture.height, tuple(faces))
    if problem := _problem(_sides(boxes), limits):
        return _Seen(msgspec.structs.replace(answer, problem=problem))
    crop = aligned(picture.pixels, landmarks[0])
    faces[0] = msgspec.structs.replace(faces[0], sharpness=round(sharpness(crop), 2))
    answer = msgspec.structs.replace(answer, faces=tuple(faces))
    if faces[0].sharpness < limits.sharpness:
        return _Seen(msgspec.structs.replace(answer, problem=TOO_BLURRED))
    return _Seen(answer, crop)


def _problem(sides: Array, limits: Limits) -> str:
    """``sides`` (n, 2): width and height of the boxes, the largest face first."""
    if not len(sides):
        return NO_FACE
    if len(sides) > 1 and sides[1:, 0].max() >= sides[0, 0] * limits.several_share:
        return SEVERAL_FACES
    return TOO_SMALL if sides[0].min() < limits.smallest_px else ""


def _sides(boxes: Array) -> Array:
    return np.asarray(boxes[:, 2:4] - boxes[:, :2])


def _face(box: Array, landmarks: Array, score: float) -> Face:
    turned = pose(landmarks)
    left, top, right, bottom = (round(float(value), 2) for value in box)
    return Face(
        box=(left, top, right, bottom),
        landmarks=tuple((round(float(x), 2), round(float(y), 2)) for x, y in landmarks),
        score=round(float(score), 4),
        yaw=round(turned.yaw, 2),
        pitch=round(turned.pitch, 2),
        roll=round(turned.roll, 2),
    )
