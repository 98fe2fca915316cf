"""The decision over a row of frames: every way of not being the person, alone, in order and alive."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.plugin_api.capabilities import FaceDescription, FrameFaces
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.faces import vectors
from appliance.security.faces.gestures import Gesture, draw
from appliance.security.faces.judging import Template, enrolment, fewest_frames, verification
from tests.fakes.scripted_faces import described, person_vector, picture, pictures

THRESHOLD = 0.9
STEPS = (Gesture.TURN_LEFT, Gesture.NOD, Gesture.TURN_RIGHT)
steps = st.integers(2, 5).flatmap(lambda n: st.randoms(use_true_random=False).map(lambda r: draw(n, r.choice)))


def seen(frames: list[bytes], version: str = "m1") -> FaceDescription:
    return FaceDescription(version, tuple(described(frame) for frame in frames))


def template(person: str = "ana", version: str = "m1") -> Template:
    return Template(version, person_vector(person))


def code(description: FaceDescription, asked: tuple[Gesture, ...] = STEPS, known: Template | None = None) -> str:
    with pytest.raises(ProntuarioError) as refused:
        verification(description, asked, THRESHOLD, known or template())
    return refused.value.kind.code


@given(steps)
def test_the_person_who_does_what_is_asked_is_let_through(asked: tuple[Gesture, ...]) -> None:
    verification(seen(pictures("ana", asked)), asked, THRESHOLD, template())
    learned = enrolment(seen(pictures("ana", asked)), asked, THRESHOLD)
    assert learned.model_version == "m1"
    verification(seen(pictures("ana", asked)), asked, THRESHOLD, learned)


@given(steps, steps)
def test_only_the_sequence_that_was_asked_for_counts(asked: tuple[Gesture, ...], done: tuple[Gesture, ...]) -> None:
    if asked == done:
        verification(seen(pictures("ana", done)), asked, THRESHOLD, template())
    else:
        assert code(seen(pictures("ana", done)), asked) == "faces.steps_wrong"


@given(steps, st.text("abcdefgh", min_size=1, max_size=6))
def test_nobody_else_is_let_through(asked: tuple[Gesture, ...], other: str) -> None:
    assert code(seen(pictures(f"not ana {other}", asked)), asked) == "faces.different"


@given(steps, st.data())
def test_one_frame_of_somebody_else_is_enough_to_refuse(asked: tuple[Gesture, ...], data: st.DataObject) -> None:
    frames = pictures("ana", asked)
    at = data.draw(st.integers(0, len(frames) - 1))
    frames[at] = picture("rui", ["straight", *asked, "straight"][at])
    assert code(seen(frames), asked) == "faces.changed"


@given(steps, st.data())
def test_a_missing_frame_is_never_made_up_for(asked: tuple[Gesture, ...], data: st.DataObject) -> None:
    frames = pictures("ana", asked)
    del frames[data.draw(st.integers(0, len(frames) - 1))]
    assert code(seen(frames), asked) == "faces.steps_wrong"
    assert len(frames) < fewest_frames(len(asked))


def test_frames_on_the_way_from_one_gesture_to_the_next_do_no_harm() -> None:
    way = [picture("ana"), picture("ana", yaw=14.0), picture("ana", "turn_left"), picture("ana", yaw=16.0, pitch=-6.0)]
    rest = [picture("ana", "nod"), picture("ana"), picture("ana", "turn_right"), picture("ana")]
    verification(seen([*way, *rest]), STEPS, THRESHOLD, template())


def test_the_first_frame_looks_into_the_camera_and_the_last_one_again() -> None:
    turned = [picture("ana", "turn_left"), *pictures("ana", STEPS)]
    assert code(seen(turned)) == "faces.steps_wrong"
    assert code(seen([*pictures("ana", STEPS), picture("ana", yaw=15.0)])) == "faces.steps_wrong"


def test_two_frames_of_one_photo_are_noticed_anywhere() -> None:
    photo = {"box": (200, 100, 350, 290), "noise": 0.0}
    frames = pictures("ana", STEPS)
    twice = [*frames[:-1], picture("ana", **photo), picture("ana", **photo)]
    assert code(seen(twice)) == "faces.still"
    living = [*frames[:-1], picture("ana", **photo), picture("ana")]
    verification(seen(living), STEPS, THRESHOLD, template())


@pytest.mark.parametrize("problem", ["none", "several", "too_small", "blurred", "unreadable"])
def test_a_frame_that_can_not_be_used_is_named(problem: str) -> None:
    frames = pictures("ana", STEPS)
    frames[2] = picture("ana", problem=problem)
    with pytest.raises(ProntuarioError) as refused:
        verification(seen(frames), STEPS, THRESHOLD, template())
    assert (refused.value.kind.code, refused.value.field) == ("faces.unusable", "frames[2]")
    assert refused.value.details == {"problem": problem}


def test_a_template_of_another_version_is_not_even_compared() -> None:
    assert code(seen(pictures("ana", STEPS), "m2")) == "faces.enrol_again"
    assert code(seen(pictures("rui", STEPS), "m2")) == "faces.enrol_again"


def test_a_template_of_another_length_is_no_template() -> None:
    assert code(seen(pictures("ana", STEPS)), known=Template("m1", (1.0, 0.0))) == "faces.template_invalid"


@pytest.mark.parametrize(
    "embedding", [b"", b"abc", bytes(64 * 4), b"\x00\x00\xc0\x7f" * 64, vectors.encode([1.0, 0.0])]
)
def test_a_model_that_answers_nonsense_lets_nobody_through(embedding: bytes) -> None:
    good = seen(pictures("ana", STEPS))
    frames = [*good.frames[:3], msgspec.structs.replace(good.frames[3], embedding=embedding), *good.frames[4:]]
    assert code(FaceDescription("m1", tuple(frames))) == "faces.not_ready"
    assert code(FaceDescription("m1", (FrameFaces(640, 480), *good.frames))) == "faces.not_ready"


def test_no_frames_at_all_show_nobody() -> None:
    assert code(FaceDescription("m1", ())) == "faces.steps_wrong"
    assert code(FaceDescription("m1", ()), ()) == "faces.steps_wrong"


@given(st.floats(0.05, 1.9), st.integers(0, 10_000))
def test_the_threshold_decides_exactly(threshold: float, seed: int) -> None:
    """Frames without noise lie at a distance from the template that is known beforehand."""
    chance = random.Random(seed)
    other = vectors.unit([chance.gauss(0, 1) for _ in range(64)])
    apart = vectors.distance(other, person_vector("ana"))
    asked, frames = STEPS, seen(pictures("ana", STEPS, noise=0.0))
    if apart <= threshold - 1e-6:
        verification(frames, asked, threshold, Template("m1", other))
    elif apart > threshold + 1e-6:
        with pytest.raises(ProntuarioError) as refused:
            verification(frames, asked, threshold, Template("m1", other))
        assert refused.value.kind.code == "faces.different"
