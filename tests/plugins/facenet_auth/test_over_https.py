"""The real engine behind the real API: pictures in, a confirmed session out; and the attacks that pictures can make."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.plugin_api.testing import InProcessEngine
from plugins.facenet_auth.config import FaceConfig
from plugins.facenet_auth.engine import FaceEngine
from plugins.facenet_auth.provider import FacenetVerifier
from tests.api.faces_node import AGREED, FacesNode, ask, faces_node, is_confirmed, problem, send
from tests.api.identity_node import PASSWORD, TestPhone
from tests.fakes.drawn_faces import WrittenLandmarks, drawn, drawn_all
from tests.plugins.facenet_auth import reference
from tools.face_models import onnx_format

ANA, RUI = 1, 2
THRESHOLD = 1.0
"""Of the seeded network and drawn faces: two pictures of one person lie about 0.6 apart, of two people 1.5."""


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    (folder / "embedder.onnx").write_bytes(onnx_format.embedder(reference.embedder_arrays()))
    for name, make in onnx_format.DETECTOR.items():
        (folder / f"{name}.onnx").write_bytes(make(reference.detector_arrays(name)))
    (folder / "config.json").write_text(json.dumps({"model_type": "face_verifier", "name": "seeded"}))
    return folder


@pytest.fixture
async def node(pack: Path, tmp_path: Path) -> AsyncIterator[FacesNode]:
    engine = FaceEngine()
    handle = InProcessEngine(engine, {"folder": str(pack), "threads": 1, "runtime": "onnx"})
    engine._detector = WrittenLandmarks()  # type: ignore[assignment]
    assert handle.loaded is not None
    digest = handle.loaded.model_sha256[:12]
    verifier = FacenetVerifier(handle, FaceConfig(threshold=THRESHOLD, calibrated_for=digest, sharpness=0.0))
    async with faces_node(tmp_path, real=verifier) as running:
        yield running
    handle.close()


async def enrolled(node: FacesNode, name: str, face: int) -> TestPhone:
    phone = await node.node.phone(name, "physician")
    challenge = await ask(phone, "enrol")
    frames = [base64.b64encode(frame).decode() for frame in drawn_all(face, challenge["steps"])]
    body = {"nonce": challenge["nonce"], "frames": frames, "consent": AGREED, "current_password": PASSWORD}
    answer = await phone.client.post("/api/faces/enrol", json=body)
    assert answer.status_code == 201, answer.text
    return phone


async def test_the_person_is_confirmed_and_what_pictures_can_attack_with_is_refused(node: FacesNode) -> None:
    ana, _rui = await enrolled(node, "ana", ANA), await enrolled(node, "rui", RUI)
    challenge = await ask(ana)
    assert problem(await send(ana, challenge["nonce"], drawn_all(RUI, challenge["steps"]))) == (403, "faces.different")

    challenge = await ask(ana)
    frames = drawn_all(ANA, challenge["steps"])
    frames[1] = drawn(RUI, challenge["steps"][0])
    assert problem(await send(ana, challenge["nonce"], frames)) == (403, "faces.changed")
    assert await is_confirmed(ana) is None

    challenge = await ask(ana)
    frames = drawn_all(ANA, challenge["steps"])
    answer = await send(ana, challenge["nonce"], frames)
    assert answer.status_code == 200, answer.text
    assert await is_confirmed(ana) == "face"

    challenge = await ask(ana)
    assert problem(await send(ana, challenge["nonce"], frames)) == (403, "faces.replayed")
    assert [code for _, code in await node.attempts() if code] == ["faces.different", "faces.changed", "faces.replayed"]


async def test_without_the_gestures_or_without_a_picture_nobody_is_confirmed(node: FacesNode) -> None:
    ana = await enrolled(node, "ana", ANA)
    challenge = await ask(ana)
    still = [drawn(ANA) for _ in range(5)]
    assert problem(await send(ana, challenge["nonce"], still)) == (403, "faces.steps_wrong")
    challenge = await ask(ana)
    broken = [*drawn_all(ANA, challenge["steps"])[:-1], b"\xff\xd8\xff no jpeg"]
    answer = await send(ana, challenge["nonce"], broken)
    assert problem(answer) == (422, "faces.unusable")
    assert answer.json()["field"] == "frames[4]"
    assert await is_confirmed(ana) is None
