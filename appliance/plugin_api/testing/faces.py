"""What every face verifier must keep. Raises AssertionError with the reason."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Final, get_args

from appliance.plugin_api.capabilities import FaceDescription, FaceProblem, FaceVerifier, FrameFaces
from appliance.plugin_api.engine import CallOptions

_SHA256_HEX: Final = 64
_FARTHEST: Final = 2.0
_SAME: Final = 0.01
_UNIT_TOLERANCE: Final = 0.01
_RIGHT_ANGLE: Final = 90.0


def _require(condition: object, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


async def check_face_verifier(provider: FaceVerifier, portrait: bytes | None = None) -> FaceDescription:
    """The contract of ``FaceVerifier``; ``portrait`` is a JPEG or PNG of exactly one person, if there is one.

    Returns:
        What the provider says of the portrait, a grey picture and no picture at all, for assertions of your own.
    """
    _require(isinstance(provider, FaceVerifier), "the provider has the methods of FaceVerifier")
    model = provider.model()
    _require(model.capability == "face_verifier" and model.id, "model() names itself and its capability")
    _require(model.ready and len(model.sha256) == _SHA256_HEX, "a ready model tells the SHA-256 of its weights")
    _require(model.sha256 in provider.model_version(), "the version of the embeddings names the weights")
    threshold = provider.threshold()
    _require(threshold is None or 0 < threshold < _FARTHEST, "a threshold is a distance between unit vectors")
    pictures = [grey_picture(200, 160), b"neither JPEG nor PNG", *([portrait, portrait] if portrait else [])]
    said = await _describe(provider, pictures)
    _require(said.frames[0].problem == "none", "a grey picture has no face")
    _require((said.frames[0].width, said.frames[0].height) == (200, 160), "a frame tells its size")
    _require(said.frames[1].problem == "unreadable", "what is no picture is an answer, not an error")
    if portrait is not None:
        _check_same_person(said.frames[2:])
        (alone,) = (await _describe(provider, [portrait])).frames
        _check_same_person([alone, said.frames[2]])
    return said


def grey_picture(width: int, height: int) -> bytes:
    """A PNG (RFC 2083) of one even grey."""
    rows = (b"\x00" + b"\x80" * width) * height
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


async def _describe(provider: FaceVerifier, pictures: Sequence[bytes]) -> FaceDescription:
    said = await provider.describe(pictures, CallOptions(user="conformance"))
    _require(said.model_version == provider.model_version(), "a description tells of which model it is")
    _require(len(said.frames) == len(pictures), "there is one answer for each picture, in their order")
    for frame in said.frames:
        _check_frame(frame)
    return said


def _check_frame(frame: FrameFaces) -> None:
    _require(frame.problem in get_args(FaceProblem), "a problem is one of those that are known")
    _require(bool(frame.embedding) != bool(frame.problem), "a frame has either an embedding or a problem")
    _require(not frame.embedding or frame.faces, "an embedding is of a face")
    for face in frame.faces:
        left, top, right, bottom = face.box
        _require(left < right and top < bottom, "a box is left, top, right, bottom")
        _require(0 <= face.score <= 1, "a detector's score is 0 to 1")
        _require(max(abs(face.yaw), abs(face.pitch)) <= _RIGHT_ANGLE, "angles are in degrees")
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in frame.faces]
    _require(areas == sorted(areas, reverse=True), "the largest face comes first")


def _check_same_person(frames: Sequence[FrameFaces]) -> None:
    vectors = [_vector(frame) for frame in frames]
    _require(all(abs(math.hypot(*vector) - 1) < _UNIT_TOLERANCE for vector in vectors), "an embedding has length 1")
    _require(math.dist(*vectors) < _SAME, "the same picture has the same embedding, alone or among others")


def _vector(frame: FrameFaces) -> tuple[float, ...]:
    _require(frame.embedding and len(frame.embedding) % 4 == 0, "a portrait has an embedding of float32")
    return struct.unpack(f"<{len(frame.embedding) // 4}f", frame.embedding)
