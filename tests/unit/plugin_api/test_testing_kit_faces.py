"""The conformance suite of faces finds what it promises to find."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from appliance.plugin_api.capabilities import DescribedFace, FaceDescription, FrameFaces, ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.testing import check_face_verifier
from appliance.plugin_api.testing.faces import grey_picture

SHA = "ab" * 32
PORTRAIT = b"\xff\xd8\xffportrait"
FACE = DescribedFace((10.0, 10.0, 90.0, 110.0), 0.99, 3.0, -4.0)
SMALLER = DescribedFace((100.0, 10.0, 120.0, 30.0), 0.9, 0.0, 0.0)
EMBEDDING = struct.pack("<2f", 0.6, 0.8)


class Keeps:
    """A verifier that keeps the contract; ``portrait`` is what it says of a portrait."""

    portrait: Any = FrameFaces(200, 160, (FACE, SMALLER), EMBEDDING)

    def model(self) -> ModelInfo:
        return ModelInfo("faces", SHA, "face_verifier", demonstration=False, ready=True)

    def model_version(self) -> str:
        return f"faces@{SHA}"

    def threshold(self) -> float | None:
        return None

    async def describe(self, frames: Sequence[bytes], call: CallOptions) -> FaceDescription:
        return FaceDescription(self.model_version(), tuple(self.one(frame, frames) for frame in frames))

    def one(self, frame: bytes, frames: Sequence[bytes]) -> FrameFaces:
        if frame == PORTRAIT:
            return self.portrait  # type: ignore[no-any-return]
        return (
            FrameFaces(200, 160, problem="none")
            if frame.startswith(b"\x89PNG")
            else FrameFaces(0, 0, problem="unreadable")
        )


async def test_one_that_keeps_the_contract_passes() -> None:
    said = await check_face_verifier(Keeps(), PORTRAIT)
    assert [frame.problem for frame in said.frames] == ["none", "unreadable", "", ""]
    assert len((await check_face_verifier(Keeps())).frames) == 2


class UnknownWeights(Keeps):
    def model(self) -> ModelInfo:
        return msgspec.structs.replace(super().model(), sha256="")


class VersionOfNothing(Keeps):
    def model_version(self) -> str:
        return "1"


class AnyDistance(Keeps):
    def threshold(self) -> float | None:
        return 2.0


class SeesFacesInGrey(Keeps):
    def one(self, frame: bytes, frames: Sequence[bytes]) -> FrameFaces:
        return self.portrait if frame.startswith(b"\x89PNG") else super().one(frame, frames)  # type: ignore[no-any-return]


class RaisesOnRubbish(Keeps):
    async def describe(self, frames: Sequence[bytes], call: CallOptions) -> FaceDescription:
        return FaceDescription(
            self.model_version(), tuple(self.one(frame, frames) for frame in frames if frame[:1] != b"n")
        )


class DependsOnItsNeighbours(Keeps):
    def one(self, frame: bytes, frames: Sequence[bytes]) -> FrameFaces:
        said = super().one(frame, frames)
        turned = struct.pack("<2f", 0.8, 0.6)
        return msgspec.structs.replace(said, embedding=turned) if said.embedding and len(frames) == 1 else said


def portrait(**changed: Any) -> type[Keeps]:
    said = msgspec.structs.replace(Keeps.portrait, **changed)
    return type("Changed", (Keeps,), {"portrait": said})


@pytest.mark.parametrize(
    ("verifier", "rule"),
    [
        (UnknownWeights, "SHA-256"),
        (VersionOfNothing, "names the weights"),
        (AnyDistance, "distance"),
        (SeesFacesInGrey, "no face"),
        (RaisesOnRubbish, "one answer for each"),
        (DependsOnItsNeighbours, "alone or among others"),
        (portrait(problem="blurred"), "either an embedding or a problem"),
        (portrait(faces=()), "of a face"),
        (portrait(faces=(SMALLER, FACE)), "largest"),
        (portrait(faces=(msgspec.structs.replace(FACE, box=(90.0, 10.0, 10.0, 110.0)),)), "left, top"),
        (portrait(faces=(msgspec.structs.replace(FACE, score=1.5),)), "score"),
        (portrait(faces=(msgspec.structs.replace(FACE, yaw=180.0),)), "degrees"),
        (portrait(embedding=struct.pack("<2f", 3.0, 4.0)), "length 1"),
        (portrait(embedding=b"abc"), "float32"),
    ],
)
async def test_each_fault_is_named(verifier: type[Keeps], rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        await check_face_verifier(verifier(), PORTRAIT)


def test_the_grey_picture_is_a_png() -> None:
    data = grey_picture(20, 10)
    assert struct.unpack(">II", data[16:24]) == (20, 10)
    length = struct.unpack(">I", data[33:37])[0]
    assert zlib.decompress(data[41 : 41 + length]) == (b"\x00" + b"\x80" * 20) * 10
