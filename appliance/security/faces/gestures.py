"""The random sequence that a person is asked to perform, and which gesture a frame shows. Pure.

Poses are estimated from five points of the face and a mean head, so single angles are off by a constant that differs from person
to person: a frame is always judged against the first one, in which the person looks into the camera. A flat photo that is turned
foreshortens evenly and shows no yaw, which is why gestures are asked for at all. They don't stop a film of the very gestures.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final

from appliance.plugin_api.capabilities import DescribedFace


class Gesture(StrEnum):
    """What a person can be asked to do. Left and right are their own."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    NOD = "nod"


class Pose(StrEnum):
    """What a frame shows besides gestures."""

    CENTRE = "centre"
    BETWEEN = "between"


GESTURES: Final[tuple[Gesture, ...]] = tuple(Gesture)
TURN_DEG: Final = 15.0
NOD_DEG: Final = 10.0
STRAIGHT_YAW_DEG: Final = 8.0
STRAIGHT_PITCH_DEG: Final = 7.0
FRONTAL_YAW_DEG: Final = 20.0
"""How far from the front the first frame may seem; its pitch is not limited, for it depends on where the phone is held."""


def draw(count: int, choose: Callable[[Sequence[Gesture]], Gesture] = secrets.choice) -> tuple[Gesture, ...]:
    """``count`` gestures, none twice in a row: 3·2^(count-1) sequences, each as likely as the other."""
    drawn: list[Gesture] = []
    while len(drawn) < count:
        drawn.append(choose([gesture for gesture in GESTURES if gesture not in drawn[-1:]]))
    return tuple(drawn)


def is_frontal(face: DescribedFace) -> bool:
    """Whether a face looks into the camera, as far as one frame can tell."""
    return abs(face.yaw) <= FRONTAL_YAW_DEG


def shown(face: DescribedFace, straight: DescribedFace) -> Gesture | Pose:
    """What a face does, compared with the same face when it looked straight. What is neither here nor there is ``BETWEEN``."""
    yaw, pitch = face.yaw - straight.yaw, face.pitch - straight.pitch
    if yaw >= TURN_DEG:
        return Gesture.TURN_LEFT
    if yaw <= -TURN_DEG:
        return Gesture.TURN_RIGHT
    if abs(yaw) > STRAIGHT_YAW_DEG:
        return Pose.BETWEEN
    if pitch <= -NOD_DEG:
        return Gesture.NOD
    return Pose.CENTRE if abs(pitch) <= STRAIGHT_PITCH_DEG else Pose.BETWEEN


def performed(poses: Sequence[Gesture | Pose]) -> tuple[Gesture, ...]:
    """The gestures in the order in which they begin; one that is held over several frames counts once.

    A gesture more than was asked for is therefore a wrong sequence: nobody gets in by showing all of them.
    """
    seen = [pose for pose in poses if pose is not Pose.BETWEEN]
    begun = seen[:1] + [later for earlier, later in pairwise(seen) if later is not earlier]
    return tuple(pose for pose in begun if isinstance(pose, Gesture))
