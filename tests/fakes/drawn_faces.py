"""Faces that are drawn, for the real engine: a texture for each person, and landmarks that are written into the first row.

Only the detector is a stand-in (nobody's weights lie in this repository): it reads the landmarks where they are written. Decoding,
pose, alignment and embedding are the engine's own.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from plugins.facenet_auth.engine_alignment import SIDE, TEMPLATE, similarity
from plugins.facenet_auth.engine_detector import Found
from plugins.facenet_auth.engine_pose import HEAD
from tests.fakes.scripted_faces import TURNS
from tools.face_models import seeded

Array = npt.NDArray[Any]
PICTURE_SIDE: Final = 320
EYES_APART_PX: Final = 60.0
_FRACTION: Final = 64.0
_POINTS: Final = 5
_serials = itertools.count(1)


def drawn(person: int, turn: str = "straight") -> bytes:
    """A PNG of the person; every call moves a little and has noise of its own."""
    chance = np.random.default_rng(next(_serials))
    yaw, pitch = TURNS[turn]
    middle = np.array([160.0, 150.0]) + chance.uniform(-8, 8, 2)
    landmarks = np.round((_landmarks(yaw, pitch) * EYES_APART_PX + middle) * _FRACTION) / _FRACTION
    texture = Image.fromarray(seeded.picture(100 + person, SIDE))
    to_texture = similarity(landmarks, TEMPLATE * SIDE)
    face = texture.transform(
        (PICTURE_SIDE, PICTURE_SIDE), Image.Transform.AFFINE, tuple(to_texture.ravel()), Image.Resampling.BILINEAR
    )
    pixels = np.clip(np.asarray(face, np.float64) + chance.normal(0, 3, (PICTURE_SIDE, PICTURE_SIDE, 3)), 0, 255)
    whole = pixels.astype(np.uint8)
    fixed = (landmarks.ravel() * _FRACTION).astype(np.uint16)
    whole[0, : 2 * _POINTS, 0], whole[0, : 2 * _POINTS, 1] = fixed >> 8, fixed & 255
    file = io.BytesIO()
    Image.fromarray(whole).save(file, "PNG", compress_level=1)
    return file.getvalue()


def drawn_all(person: int, steps: Sequence[str]) -> list[bytes]:
    """What a phone takes for a challenge: straight, the steps, straight."""
    return [drawn(person, turn) for turn in ("straight", *steps, "straight")]


class WrittenLandmarks:
    """Stands for the engine's detector."""

    def find(self, pictures: Sequence[Array], smallest_px: Sequence[float]) -> list[Found]:
        return [_found(picture) for picture in pictures]


def _found(picture: Array) -> Found:
    written = picture[0, : 2 * _POINTS].astype(np.float64)
    landmarks = ((written[:, 0] * 256 + written[:, 1]) / _FRACTION).reshape(_POINTS, 2)
    low, high = landmarks.min(axis=0) - EYES_APART_PX / 2, landmarks.max(axis=0) + EYES_APART_PX / 2
    box = np.concatenate([low, high])
    return Found(box[None], np.array([0.99]), landmarks[None])


def _landmarks(yaw_deg: float, pitch_deg: float) -> Array:
    """The mean head's landmarks, turned; in distances between the eyes, around their middle."""
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    away = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    across = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])
    down = np.cross(away, across)
    points: Array = (HEAD - HEAD.mean(axis=0)) @ np.stack([across, down / np.linalg.norm(down)]).T
    return points
