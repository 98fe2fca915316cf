"""The core's half over a scripted engine: translation, versions, and the threshold that counts for one model only."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
import pytest

from appliance.plugin_api.capabilities import FaceVerifier
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.messages import EMBEDDING_LENGTH, PROBLEMS, Examine, Examined, Face, FrameAnswer
from plugins.facenet_auth.provider import FacenetVerifier
from tests.fakes.scripted_engine import ScriptedEngine

CALL = CallOptions(user="ana")
EMBEDDING = struct.pack(f"<{EMBEDDING_LENGTH}f", 1.0, *[0.0] * (EMBEDDING_LENGTH - 1))
EYES = ((10.0, 20.0), (30.0, 20.0), (20.0, 30.0), (12.0, 40.0), (28.0, 40.0))
FACE = Face((1.0, 2.0, 41.0, 52.0), EYES, 0.98, 12.5, -7.5, 1.0, 55.0)
SEEN = FrameAnswer(640, 480, (FACE,), EMBEDDING)


def over(*answers: FrameAnswer, ready: bool = True, **settings: object) -> tuple[FacenetVerifier, ScriptedEngine]:
    async def answer(_number: int, _payload: bytes) -> list[bytes]:
        return [msgspec.msgpack.encode(Examined(answers))]

    engine = ScriptedEngine(answer, ready=ready)
    return FacenetVerifier(engine, msgspec.convert(settings, FaceConfig)), engine


async def test_pictures_go_in_and_faces_come_out() -> None:
    verifier, engine = over(SEEN, FrameAnswer(0, 0, (), problem="face.image"), smallest_px=60, sharpness=5)
    assert isinstance(verifier, FaceVerifier)
    said = await verifier.describe([b"one", b"two"], CALL)
    asked = msgspec.msgpack.decode(engine.payloads[0], type=Examine)
    assert [frame.image for frame in asked.frames] == [b"one", b"two"]
    assert (asked.limits.smallest_px, asked.limits.sharpness) == (60, 5)
    assert engine.calls == [CALL]
    one, two = said.frames
    assert (one.width, one.height, one.embedding, one.problem) == (640, 480, EMBEDDING, "")
    assert [(face.box, face.score, face.yaw, face.pitch) for face in one.faces] == [(FACE.box, 0.98, 12.5, -7.5)]
    assert (two.faces, two.embedding, two.problem) == ((), b"", "unreadable")
    assert said.model_version == verifier.model_version() == "scripted@" + "0" * 64


async def test_every_problem_of_the_engine_has_a_name_outside() -> None:
    verifier, _ = over(*(FrameAnswer(1, 1, (), problem=problem) for problem in PROBLEMS))
    said = await verifier.describe([b""] * len(PROBLEMS), CALL)
    names = [frame.problem for frame in said.frames]
    assert len(set(names)) == len(PROBLEMS)
    assert all(names)


@pytest.mark.parametrize(
    ("settings", "threshold"),
    [
        ({}, None),
        ({"threshold": 0.9}, None),
        ({"threshold": 0.9, "calibrated_for": "0" * 12}, 0.9),
        ({"threshold": 0.9, "calibrated_for": "0" * 64}, 0.9),
        ({"threshold": 0.9, "calibrated_for": "0" * 11 + "1"}, None),
        ({"calibrated_for": "0" * 12}, None),
    ],
)
def test_a_threshold_counts_for_the_model_it_was_found_for(
    settings: dict[str, object], threshold: float | None
) -> None:
    assert over(**settings)[0].threshold() == threshold


async def test_while_the_engine_is_away_nothing_is_ready() -> None:
    for verifier in (over(ready=False, threshold=0.9, calibrated_for="0" * 12)[0], FacenetVerifier(None, FaceConfig())):
        assert not verifier.model().ready
        assert (verifier.model_version(), verifier.threshold()) == ("", None)
        with pytest.raises(ProntuarioError) as refused:
            await verifier.describe([b""], CALL)
        assert refused.value.kind.code == "unavailable"


async def test_a_model_that_was_exchanged_meanwhile_describes_nothing() -> None:
    """Embeddings of one model under the name of another would be the worst of answers."""

    class Exchanged(FacenetVerifier):
        names: Sequence[str] = ("before", "after")

        def model_version(self) -> str:
            name, *rest = self.names
            self.names = rest
            return name

    _, engine = over(SEEN)
    with pytest.raises(ProntuarioError) as refused:
        await Exchanged(engine, FaceConfig()).describe([b""], CALL)
    assert refused.value.kind.code == "unavailable"
