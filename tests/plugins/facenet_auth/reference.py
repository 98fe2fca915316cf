"""What the reference said (``tools/golden/facenet.py``), and the seeded networks of which it said it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from tools.face_models import inception, mtcnn, onnx_format, seeded

Array = npt.NDArray[Any]
GOLDEN = Path(__file__).parent / "golden"
SEED = 1
FACES = 4
TOLERANCE = 1e-3


@cache
def golden() -> dict[str, Array]:
    with np.load(GOLDEN / "facenet.npz") as file:
        return dict(file)


def photograph() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "photograph.json").read_text())
    return found


@cache
def embedder_arrays() -> dict[str, Array]:
    """The state dictionary, with its normalisations as they were calibrated."""
    shapes, place, statistics = inception.shapes(), 0, {}
    kept = golden()["statistics"]
    for name, shape in shapes.items():
        if ".running_" in name:
            statistics[name] = kept[place : place + shape[0]].astype(np.float32)
            place += shape[0]
    assert place == len(kept)
    return seeded.arrays(shapes, SEED, statistics)


def detector_arrays(name: str) -> dict[str, Array]:
    return seeded.arrays(mtcnn.shapes()[name], SEED)


def session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def embedder() -> onnxruntime.InferenceSession:
    return session(onnx_format.embedder(embedder_arrays()))


def detector(name: str) -> onnxruntime.InferenceSession:
    return session(onnx_format.DETECTOR[name](detector_arrays(name)))


def standardised(pictures: Array) -> Array:
    """(n, rows, columns, 3) bytes to what the networks take."""
    return np.ascontiguousarray(((pictures.astype(np.float32) - 127.5) / 128.0).transpose(0, 3, 1, 2))


def faces(count: int = FACES) -> Array:
    """The pictures that the reference saw, (count, 160, 160, 3) bytes."""
    return np.stack([seeded.picture(number, inception.SIDE) for number in range(count)])
