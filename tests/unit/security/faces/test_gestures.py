"""What is asked for, and what frames show."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.capabilities import DescribedFace
from appliance.security.faces.gestures import (
    NOD_DEG,
    TURN_DEG,
    Gesture,
    Pose,
    draw,
    is_frontal,
    performed,
    shown,
)

gestures = st.lists(st.sampled_from(Gesture), max_size=6)
poses = st.lists(st.sampled_from([*Gesture, *Pose]), max_size=16)


def face(yaw: float = 0.0, pitch: float = 0.0) -> DescribedFace:
    return DescribedFace((100.0, 100.0, 200.0, 220.0), 0.99, yaw, pitch)


@given(st.integers(1, 8), st.randoms(use_true_random=False))
def test_no_gesture_comes_twice_in_a_row(count: int, chance: object) -> None:
    drawn = draw(count, chance.choice)  # type: ignore[attr-defined]
    assert len(drawn) == count
    assert all(one is not other for one, other in pairwise(drawn))


def test_every_sequence_can_come_and_none_is_much_likelier() -> None:
    counted = Counter(draw(3) for _ in range(6000))
    possible = {p for p in product(Gesture, repeat=3) if p[0] != p[1] != p[2]}
    assert set(counted) == possible
    assert len(possible) == 12
    assert max(counted.values()) < 2 * min(counted.values())


@pytest.mark.parametrize(
    ("yaw", "pitch", "seen"),
    [
        (TURN_DEG, 0, Gesture.TURN_LEFT),
        (-TURN_DEG, 0, Gesture.TURN_RIGHT),
        (40, -20, Gesture.TURN_LEFT),
        (0, -NOD_DEG, Gesture.NOD),
        (0, NOD_DEG, Pose.BETWEEN),
        (0, 0, Pose.CENTRE),
        (7, 6, Pose.CENTRE),
        (12, 0, Pose.BETWEEN),
        (12, -20, Pose.BETWEEN),
        (0, -8.5, Pose.BETWEEN),
    ],
)
def test_a_pose_is_judged_against_the_straight_one(yaw: float, pitch: float, seen: Gesture | Pose) -> None:
    for own_yaw, own_pitch in ((0.0, 0.0), (6.0, -14.0), (-9.0, 11.0)):
        assert shown(face(own_yaw + yaw, own_pitch + pitch), face(own_yaw, own_pitch)) == seen


@given(st.floats(-90, 90), st.floats(-90, 90))
def test_a_mirrored_face_turns_the_other_way_and_nods_alike(yaw: float, pitch: float) -> None:
    mirror = {Gesture.TURN_LEFT: Gesture.TURN_RIGHT, Gesture.TURN_RIGHT: Gesture.TURN_LEFT}
    one, other = shown(face(yaw, pitch), face()), shown(face(-yaw, pitch), face())
    assert other == mirror.get(one, one)  # type: ignore[call-overload]


def test_a_face_that_looks_away_is_not_frontal() -> None:
    assert is_frontal(face(19, 40))
    assert not is_frontal(face(21))
    assert not is_frontal(face(-21))


@given(poses)
def test_what_was_performed_is_what_was_shown_without_pauses(seen: list[Gesture | Pose]) -> None:
    done = performed(seen)
    assert set(done) == {pose for pose in seen if isinstance(pose, Gesture)}
    doubled = [pose for pose in seen for _ in range(2)]
    assert performed(doubled) == done, "however long each is held"
    spread = [piece for pose in seen for piece in (Pose.BETWEEN, pose, Pose.BETWEEN)]
    assert performed(spread) == done, "whatever lies between"


@given(gestures, st.sampled_from(Gesture), st.data())
def test_one_gesture_more_is_never_the_same_sequence(steps: list[Gesture], more: Gesture, data: st.DataObject) -> None:
    apart: list[Gesture | Pose] = [piece for step in steps for piece in (Pose.CENTRE, step)] + [Pose.CENTRE]
    assert performed(apart) == tuple(steps)
    at = data.draw(st.integers(0, len(steps)))
    padded = [*apart[: 2 * at + 1], more, Pose.CENTRE, *apart[2 * at + 1 :]]
    assert performed(padded) == (*steps[:at], more, *steps[at:])
    assert len(performed(padded)) == len(steps) + 1
