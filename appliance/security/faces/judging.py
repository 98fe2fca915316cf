"""Whether a row of frames shows one living person who did what was asked, and whether it is the one enrolled. Pure.

It refuses by raising one of ``faces.errors``; what it gives back is the mean of the frames in which the person looked straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from appliance.plugin_api.capabilities import DescribedFace, FaceDescription, FrameFaces
from appliance.security.faces import vectors
from appliance.security.faces.errors import (
    DIFFERENT,
    ENROL_AGAIN,
    FACE_CHANGED,
    NOT_READY,
    STEPS_WRONG,
    STILL,
    TEMPLATE_INVALID,
    UNUSABLE,
)
from appliance.security.faces.gestures import Gesture, Pose, is_frontal, performed, shown
from appliance.security.faces.vectors import Vector

MOST_FRAMES: Final = 16
_STILL_DISTANCE: Final = 0.03
_STILL_DEG: Final = 0.5
_STILL_SHIFT: Final = 0.005
"""Of the face's width: two pictures of a living person differ by more, the same photo sent twice does not."""


@dataclass(frozen=True, slots=True)
class Template:
    """What is compared with: one person's mean embedding in one model's space."""

    model_version: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class _Seen:
    """A usable frame: its main face and the embedding."""

    face: DescribedFace
    vector: Vector


def fewest_frames(steps: int) -> int:
    """One looking straight at each end, and one for each gesture."""
    return steps + 2


def live_person(description: FaceDescription, steps: Sequence[Gesture], threshold: float) -> list[Vector]:
    """The embeddings of the frames that look straight, of one person who did exactly ``steps``.

    Raises:
        ProntuarioError: ``faces.unusable`` 422 with the field ``frames[i]``; ``faces.still``, ``faces.steps_wrong``,
            ``faces.changed`` 403; ``faces.not_ready`` 503 when the model's answer makes no sense.
    """
    frames = [_usable(number, frame) for number, frame in enumerate(description.frames)]
    if len({len(frame.vector) for frame in frames}) > 1:
        raise NOT_READY(reason="embeddings of several lengths")
    if any(_same_picture(one, other) for one, other in pairwise(frames)):
        raise STILL()
    poses = _poses(frames)
    if len(frames) < fewest_frames(len(steps)) or performed(poses) != tuple(steps):
        raise STEPS_WRONG()
    first = frames[0].vector
    if any(vectors.distance(first, frame.vector) > threshold for frame in frames):
        raise FACE_CHANGED()
    return [frame.vector for frame, pose in zip(frames, poses, strict=True) if pose is Pose.CENTRE]


def enrolment(description: FaceDescription, steps: Sequence[Gesture], threshold: float) -> Template:
    """The template of the person in the frames; raises as ``live_person``."""
    return Template(description.model_version, vectors.mean(live_person(description, steps, threshold)))


def verification(description: FaceDescription, steps: Sequence[Gesture], threshold: float, template: Template) -> None:
    """That the frames show the person of ``template``: every frame that looks straight lies within ``threshold`` of it.

    Raises:
        ProntuarioError: as ``live_person``; ``faces.enrol_again``, ``faces.template_invalid`` 409, ``faces.different`` 403.
    """
    if template.model_version != description.model_version:
        raise ENROL_AGAIN()
    straight = live_person(description, steps, threshold)
    if len(template.vector) != len(straight[0]):
        raise TEMPLATE_INVALID()
    if any(vectors.distance(template.vector, vector) > threshold for vector in straight):
        raise DIFFERENT()


def _poses(frames: Sequence[_Seen]) -> list[Gesture | Pose]:
    """What each frame shows; the first must look into the camera, and the last must look where the first did."""
    if not frames or not is_frontal(frames[0].face):
        raise STEPS_WRONG()
    poses = [shown(frame.face, frames[0].face) for frame in frames]
    if poses[-1] is not Pose.CENTRE:
        raise STEPS_WRONG()
    return poses


def _usable(number: int, frame: FrameFaces) -> _Seen:
    if frame.problem:
        raise UNUSABLE(field=f"frames[{number}]", problem=frame.problem)
    if not frame.faces:
        raise NOT_READY(reason="a frame with neither a face nor a reason")
    try:
        return _Seen(frame.faces[0], vectors.decode(frame.embedding))
    except ValueError as error:
        raise NOT_READY(reason=str(error)) from error


def _same_picture(one: _Seen, other: _Seen) -> bool:
    width = max(one.face.box[2] - one.face.box[0], 1.0)
    moved = max(abs(a - b) for a, b in zip(one.face.box, other.face.box, strict=True))
    turned = max(abs(one.face.yaw - other.face.yaw), abs(one.face.pitch - other.face.pitch))
    return (
        moved < _STILL_SHIFT * width
        and turned < _STILL_DEG
        and vectors.distance(one.vector, other.vector) < _STILL_DISTANCE
    )
