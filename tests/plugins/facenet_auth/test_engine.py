"""The engine over real networks that find drawn heads: what it sees, what it refuses, and that people's frames stay apart."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from appliance.plugin_api.messages import Failed, Submit
from appliance.plugin_api.model_folder import weight_sha256
from appliance.plugin_api.testing import check_engine
from plugins.facenet_auth.engine import FaceEngine
from plugins.facenet_auth.engine_model import FacePackError
from plugins.facenet_auth.messages import (
    BAD_IMAGE,
    EXAMINE,
    MOST_FRAMES,
    NO_FACE,
    SEVERAL_FACES,
    TOO_BLURRED,
    TOO_SMALL,
    Examine,
    Examined,
    Frame,
    FrameAnswer,
    Limits,
)
from tests.fakes.marked_faces import Head, draw, jpeg, png, write_pack

Array = Any


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("faces") / "pack")


@pytest.fixture
def engine(pack: Path) -> FaceEngine:
    made = FaceEngine()
    made.load({"folder": str(pack), "threads": 1, "batch_frames": 4})
    return made


def submit(engine: FaceEngine, number: int, frames: list[Frame], *, lane: str = "interactive", **limits: float) -> None:
    payload = msgspec.msgpack.encode(Examine(tuple(frames), Limits(**limits)))
    engine.submit(Submit(number, EXAMINE, payload, 60.0, lane, f"user-{number}|"))


def run(engine: FaceEngine) -> dict[int, tuple[FrameAnswer, ...]]:
    answers = {}
    while engine.busy():
        for output in engine.step():
            assert not isinstance(output, Failed)
            assert output.final
            answers[output.request_id] = msgspec.msgpack.decode(output.payload, type=Examined).frames
    return answers


def examine(engine: FaceEngine, *pictures: Array, **limits: float) -> tuple[FrameAnswer, ...]:
    submit(engine, 1, [Frame(png(picture)) for picture in pictures], **limits)
    return run(engine)[1]


def vector(answer: FrameAnswer) -> Array:
    assert answer.problem == ""
    return np.frombuffer(answer.embedding, "<f4")


def test_the_contract_of_engines(pack: Path) -> None:
    sample = (EXAMINE, msgspec.msgpack.encode(Examine((Frame(png(draw(Head()))),))))
    loaded = check_engine(FaceEngine, {"folder": str(pack), "threads": 1}, sample)
    assert loaded.model_sha256 == weight_sha256(pack)
    assert loaded.model_id == "marked-heads-alignment-1"
    assert not loaded.demonstration


def test_one_good_face_has_a_place_an_angle_and_an_embedding(engine: FaceEngine) -> None:
    head = Head(yaw=12.0, roll=8.0)
    answer = examine(engine, draw(head))[0]
    assert (answer.width, answer.height) == (320, 240)
    face = answer.faces[0]
    assert np.abs(np.array(face.landmarks) - head.landmarks()).max() < 3.0
    assert face.box[0] < face.landmarks[0][0] < face.landmarks[1][0] < face.box[2]
    assert face.score > 0.9
    assert face.sharpness > Limits().sharpness
    assert len(vector(answer)) == 512
    assert abs(np.linalg.norm(vector(answer)) - 1.0) < 1e-5


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(25, 0, 0), (-25, 0, 0), (0, 15, 0), (0, -15, 0), (10, 8, -20)])
def test_turned_heads_are_seen_to_be_turned(engine: FaceEngine, yaw: float, pitch: float, roll: float) -> None:
    face = examine(engine, draw(Head(yaw=yaw, pitch=pitch, roll=roll)))[0].faces[0]
    assert (face.yaw, face.pitch, face.roll) == pytest.approx((yaw, pitch, roll), abs=4.0)


def test_the_same_head_is_near_and_another_is_far(engine: FaceEngine) -> None:
    pictures = [draw(Head()), draw(Head(x=140, y=110, eyes=50, roll=10)), draw(Head(identity=2))]
    first, again, other = (vector(answer) for answer in examine(engine, *pictures))
    assert np.linalg.norm(first - again) < 0.5
    assert np.linalg.norm(first - other) > 1.0


def test_a_large_picture_is_the_same_person(engine: FaceEngine) -> None:
    near, far = draw(Head()), draw(Head(x=640, y=480, eyes=240), width=1280, height=960)
    first, second = examine(engine, near, far)
    assert second.faces[0].box[2] - second.faces[0].box[0] == pytest.approx(480, rel=0.1)
    assert np.linalg.norm(vector(first) - vector(second)) < 0.5


@pytest.mark.parametrize(
    ("heads", "problem"),
    [
        ((), NO_FACE),
        ((Head(x=90, eyes=42), Head(x=230, eyes=42, identity=2)), SEVERAL_FACES),
        ((Head(eyes=20),), TOO_SMALL),
    ],
)
def test_what_can_not_be_compared_has_no_embedding(engine: FaceEngine, heads: tuple[Head, ...], problem: str) -> None:
    answer = examine(engine, draw(*heads))[0]
    assert answer.problem == problem
    assert answer.embedding == b""
    assert len(answer.faces) == len(heads)


def test_a_blurred_face_is_refused(engine: FaceEngine) -> None:
    sharp = draw(Head())
    blurred = sharp.astype(float)
    for _ in range(60):
        blurred[1:-1, 1:-1] = (blurred[:-2, 1:-1] + blurred[2:, 1:-1] + blurred[1:-1, :-2] + blurred[1:-1, 2:]) / 4
    seen = examine(engine, blurred.astype(np.uint8), sharp)
    assert [answer.problem for answer in seen] == [TOO_BLURRED, ""]
    assert seen[0].faces[0].sharpness < Limits().sharpness < seen[1].faces[0].sharpness


def test_somebody_small_behind_does_not_disturb(engine: FaceEngine) -> None:
    crowd = draw(Head(x=110, eyes=60), Head(x=270, y=60, eyes=18, identity=2))
    assert examine(engine, crowd)[0].problem == ""
    strict = examine(engine, crowd, several_share=0.1)[0]
    assert strict.problem == SEVERAL_FACES
    assert strict.faces[0].box[0] < strict.faces[1].box[0], "the largest comes first"


def test_limits_belong_to_the_request(engine: FaceEngine) -> None:
    small = draw(Head(eyes=30))
    assert examine(engine, small, smallest_px=40.0)[0].problem == ""
    assert examine(engine, small, smallest_px=100.0)[0].problem == TOO_SMALL
    assert examine(engine, small, smallest_px=40.0, sharpness=1e6)[0].problem == TOO_BLURRED


def test_a_picture_in_the_middle_that_can_not_be_read(engine: FaceEngine) -> None:
    good = png(draw(Head()))
    submit(engine, 1, [Frame(good), Frame(good[:200]), Frame(good)])
    seen = run(engine)[1]
    assert [answer.problem for answer in seen] == ["", BAD_IMAGE, ""]
    assert seen[0].embedding == seen[2].embedding


def test_nobody_s_broken_file_costs_the_others_their_answers(engine: FaceEngine) -> None:
    good = draw(Head())
    submit(engine, 1, [Frame(png(good))])
    submit(engine, 2, [Frame(png(good, exif=b"Exif\0\0II*\0"))])
    seen = run(engine)
    assert [seen[number][0].problem for number in (1, 2)] == ["", BAD_IMAGE]


def test_plain_pixels_and_files_are_the_same_picture(engine: FaceEngine) -> None:
    picture = draw(Head())
    submit(engine, 1, [Frame(png(picture)), Frame(picture.tobytes(), 320, 240), Frame(jpeg(picture))])
    file, plain, photo = (vector(answer) for answer in run(engine)[1])
    assert np.array_equal(file, plain)
    assert 0.0 < np.linalg.norm(file - photo) < 0.2


def test_nobodys_answer_depends_on_the_others(engine: FaceEngine) -> None:
    """Frames of many requests in one batch, some cancelled: each gets what it gets alone, in its own order."""
    source = random.Random(5)
    heads = [
        Head(identity=source.randrange(9), x=source.uniform(120, 200), eyes=source.uniform(45, 60)) for _ in range(6)
    ]
    asked = [[png(draw(head)) for head in source.sample(heads, source.randrange(1, 4))] for _ in range(7)]
    alone = []
    for files in asked:
        submit(engine, 1, [Frame(file) for file in files])
        alone.append(run(engine)[1])
    for number, files in enumerate(asked):
        submit(engine, number, [Frame(file) for file in files])
    engine.cancel(3)
    together = run(engine)
    assert set(together) == set(range(7)) - {3}
    for number, answers in together.items():
        assert [answer.faces for answer in answers] == [answer.faces for answer in alone[number]]
        for one, other in zip(answers, alone[number], strict=True):
            assert np.abs(vector(one) - vector(other)).max() < 1e-5


def test_a_batch_takes_a_frame_of_everybody_and_urgent_ones_first(engine: FaceEngine) -> None:
    file = Frame(png(draw(Head())))
    submit(engine, 1, [file] * 6)
    submit(engine, 2, [file])
    submit(engine, 3, [file] * 2, lane="urgent")
    first = {output.request_id for output in engine.step()}
    assert first == {2, 3}, "four places: 3, 1, 2, and 3 again"
    assert {output.request_id for output in engine.step()} == set()
    assert set(run(engine)) == {1}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("recognise", msgspec.msgpack.encode(Examine((Frame(b"x"),)))),
        (EXAMINE, b"\xc1"),
        (EXAMINE, msgspec.msgpack.encode(Examine(()))),
        (EXAMINE, msgspec.msgpack.encode(Examine((Frame(b"x"),) * (MOST_FRAMES + 1)))),
    ],
)
def test_requests_that_make_no_sense(engine: FaceEngine, kind: str, payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"request|frames"):
        engine.submit(Submit(1, kind, payload, 60.0, "interactive", "u|"))
    assert not engine.busy()


def test_counting(engine: FaceEngine) -> None:
    examine(engine, draw(Head()), draw())
    assert engine.stats() == {"running": 0, "steps": 1, "frames": 2, "embeddings": 1}
    submit(engine, 2, [Frame(png(draw()))])
    assert engine.stats()["running"] == 1
    engine.close()
    assert not engine.busy()


# -- folders that are no face packs -------------------------------------------------------------------------------------
def load(folder: Path, **config: Any) -> None:
    FaceEngine().load({"folder": str(folder), "threads": 1} | config)


@pytest.mark.parametrize("name", ["embedder.onnx", "pnet.onnx", "rnet.onnx", "onet.onnx"])
@pytest.mark.parametrize("content", [None, b"no network"])
def test_a_network_that_is_missing_or_broken(tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = write_pack(tmp_path / "pack")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(FacePackError, match=name):
        load(folder)


def test_networks_in_each_others_place(tmp_path: Path) -> None:
    folder = write_pack(tmp_path / "pack")
    (folder / "onet.onnx").write_bytes((folder / "rnet.onnx").read_bytes())
    with pytest.raises(FacePackError, match="landmarks"):
        load(folder)


@pytest.mark.parametrize(
    "config", ["{}", "[]", "{", '{"model_type": "gemma3"}', '{"model_type": "face_verifier", "alignment": 99}']
)
def test_a_configuration_of_something_else(tmp_path: Path, config: str) -> None:
    folder = write_pack(tmp_path / "pack")
    (folder / "config.json").write_text(config)
    with pytest.raises(FacePackError):
        load(folder)


def test_core_ml_is_asked_for_and_not_in_the_pack(tmp_path: Path) -> None:
    with pytest.raises(FacePackError, match="mlpackage"):
        load(write_pack(tmp_path / "pack"), runtime="coreml")
