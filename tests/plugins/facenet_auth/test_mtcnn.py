"""The detector's networks, and the whole detection with them, give what the reference gives.

The networks are seeded ones here, as nobody's weights lie in this repository. With MTCNN's own weights and a photograph:
``make parity-faces`` (the last test; skipped without what that command fetches).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from plugins.facenet_auth.engine_detector import Mtcnn
from plugins.facenet_auth.engine_model import open_detector
from tests.plugins.facenet_auth import reference
from tools.face_models import onnx_format, seeded
from tools.face_models.state_dict import read

SIDES = {"pnet": (40, 52), "rnet": (24, 24), "onet": (48, 48)}
OUTPUTS = {"pnet": ["shifts", "odds"], "rnet": ["shifts", "odds"], "onet": ["shifts", "landmarks", "odds"]}
PIXELS = 3.0
SCRATCH = os.environ.get("PRONTUARIO_FACE_PARITY", "")


def _shown(name: str) -> reference.Array:
    height, width = SIDES[name]
    return np.stack([seeded.picture(number, 64) for number in range(2)])[:, :height, :width]


@pytest.mark.parametrize("name", SIDES)
def test_each_network_equals_the_reference(name: str) -> None:
    answers = reference.detector(name).run(OUTPUTS[name], {"picture": reference.standardised(_shown(name))})
    for number, answer in enumerate(answers):
        assert np.abs(answer - reference.golden()[f"{name}.{number}"]).max() < 1e-4


@pytest.mark.parametrize("name", SIDES)
def test_swapped_colours_are_not_the_reference(name: str) -> None:
    swapped = reference.standardised(_shown(name)[..., ::-1])
    answer = reference.detector(name).run(["shifts"], {"picture": swapped})[0]
    assert np.abs(answer - reference.golden()[f"{name}.0"]).max() > 1e-2


def _scene() -> reference.Array:
    return seeded.picture(7, 160)[:120]


def _detector(folder: Path, thresholds: tuple[float, float, float]) -> Mtcnn:
    for name, make in onnx_format.DETECTOR.items():
        (folder / f"{name}.onnx").write_bytes(make(reference.detector_arrays(name)))
    return open_detector(folder, thresholds, threads=1)


def _thresholds() -> tuple[float, float, float]:
    first, second, third = (float(value) for value in reference.golden()["scene.thresholds"])
    return first, second, third


def test_a_whole_detection_equals_the_reference(tmp_path: Path) -> None:
    """Pyramid, both kinds of suppression, regression, squares and landmarks: fourteen boxes, all of them, in their order."""
    found = _detector(tmp_path, _thresholds()).find([_scene()], [30.0])[0]
    expected = reference.golden()["scene.boxes"]
    assert len(expected) > 10
    assert found.boxes.shape == (len(expected), 4)
    assert np.abs(found.boxes - expected[:, :4]).max() < 0.05
    assert np.abs(found.scores - expected[:, 4]).max() < 1e-4
    assert np.abs(found.landmarks - reference.golden()["scene.points"]).max() < 0.05


def test_pictures_together_give_what_each_gives_alone(tmp_path: Path) -> None:
    detector = _detector(tmp_path, _thresholds())
    scenes = [_scene(), seeded.picture(8, 96), np.zeros((40, 40, 3), np.uint8), _scene()[:, ::-1]]
    together = detector.find(scenes, [30.0] * len(scenes))
    for scene, seen in zip(scenes, together, strict=True):
        alone = detector.find([scene], [30.0])[0]
        assert np.array_equal(alone.boxes.shape, seen.boxes.shape)
        assert np.abs(alone.landmarks - seen.landmarks).max(initial=0.0) < 1e-3
    assert len(together[0].boxes) > 0


def test_a_picture_smaller_than_a_face_has_none(tmp_path: Path) -> None:
    found = _detector(tmp_path, _thresholds()).find([np.zeros((20, 200, 3), np.uint8)], [30.0])[0]
    assert found.boxes.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


@pytest.mark.skipif(not SCRATCH, reason="needs MTCNN's weights and a photograph: make parity-faces")
def test_a_photograph_with_the_published_weights(tmp_path: Path) -> None:
    site = Path(SCRATCH)
    for name, make in onnx_format.DETECTOR.items():
        (tmp_path / f"{name}.onnx").write_bytes(make(read(site / "facenet_pytorch" / "data" / f"{name}.pt")))
    photo = np.asarray(Image.open(site / "skimage" / "data" / "astronaut.png").convert("RGB"))
    found = open_detector(tmp_path, (0.6, 0.7, 0.7), threads=1)
    seen, mirrored = found.find([photo, photo[:, ::-1]], [40.0, 40.0])
    expected = reference.photograph()
    assert seen.boxes.shape == (1, 4)
    assert np.abs(seen.boxes[0] - expected["boxes"][0][:4]).max() < PIXELS
    assert np.abs(seen.landmarks[0] - expected["points"][0]).max() < PIXELS
    assert np.abs(mirrored.landmarks[0] - expected["points"][0]).max() > PIXELS
