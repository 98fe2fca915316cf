"""A camera and a face model that understand each other: a picture says itself whose face it shows and how it is turned."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.plugin_api.capabilities import DescribedFace, FaceDescription, FrameFaces, ModelInfo
from appliance.plugin_api.engine import CallOptions
from appliance.plugin_api.errors import ProntuarioError
from appliance.security.faces import vectors
from appliance.security.faces.vectors import Vector

JPEG = b"\xff\xd8\xff\xe0"
LENGTH = 64
NOISE = 0.25
"""How far two pictures of a person are from the person, so that two of one person differ by about 0.35."""
TURNS: dict[str, tuple[float, float]] = {
    "straight": (0.0, 0.0),
    "turn_left": (25.0, 2.0),
    "turn_right": (-25.0, -2.0),
    "nod": (1.0, -18.0),
}
_serials = itertools.count(1)


def picture(person: str, turn: str = "straight", **told: Any) -> bytes:
    """A new picture; ``told`` overrides what the model reads in it (``problem``, ``yaw``, ``pitch``, ``box``, ``noise``)."""
    yaw, pitch = TURNS[turn]
    said = {"person": person, "yaw": yaw + 4.0, "pitch": pitch - 6.0, "serial": next(_serials)} | told
    return JPEG + json.dumps(said).encode()


def pictures(person: str, steps: Sequence[str], **told: Any) -> list[bytes]:
    """What a phone takes for a challenge: straight, the steps, straight."""
    return [picture(person, turn, **told) for turn in ("straight", *steps, "straight")]


def person_vector(person: str) -> Vector:
    """The point of the embedding space where this person lives."""
    return _direction(f"person {person}")


def described(data: bytes) -> FrameFaces:
    """What the scripted model sees in one picture."""
    said = json.loads(data.removeprefix(JPEG))
    if problem := said.get("problem", ""):
        return FrameFaces(640, 480, problem=problem)
    wobble = random.Random(said["serial"])
    left = 200.0 + wobble.uniform(-6, 6)
    box = tuple(said.get("box", (left, 100.0, left + 150.0, 290.0)))
    noise = _direction(f"noise {said['serial']}")
    point = [a + said.get("noise", NOISE) * b for a, b in zip(person_vector(said["person"]), noise, strict=True)]
    face = DescribedFace(box, 0.99, said["yaw"], said["pitch"])
    return FrameFaces(640, 480, (face,), vectors.encode(vectors.unit(point)))


@dataclass
class ScriptedFaces:
    """A ``FaceVerifier``; ``failures`` are raised first, one a call."""

    version: str = "scripted-1"
    limit: float | None = 0.9
    failures: list[ProntuarioError] = field(default_factory=list)
    asked: int = 0

    def model(self) -> ModelInfo:
        return ModelInfo(
            "scripted-faces", hashlib.sha256(self.version.encode()).hexdigest(), "face_verifier", True, True
        )

    def model_version(self) -> str:
        return self.version

    def threshold(self) -> float | None:
        return self.limit

    async def describe(self, frames: Sequence[bytes], call: CallOptions) -> FaceDescription:
        assert call.user
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return FaceDescription(self.version, tuple(described(frame) for frame in frames))


def _direction(seed: str) -> Vector:
    chance = random.Random(seed)
    return vectors.unit([chance.gauss(0, 1) for _ in range(LENGTH)])
