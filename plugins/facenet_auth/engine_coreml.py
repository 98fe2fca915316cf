"""The embedder through Core ML, on a Mac. The only module that knows coremltools' run-time side.

The program was converted for one face at a time (fixed shapes are what Core ML runs fastest); several faces go to it as one
batch request.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class CoreMlModel(Protocol):
    """What is used of ``coremltools.models.MLModel``."""

    def predict(self, data: Any) -> Any:
        """For a list of inputs by name, a list of outputs by name."""
        ...


class CoreMlEmbedder:
    """An ``engine_model.Embedder`` over a loaded model with input ``face`` and output ``embedding``."""

    def __init__(self, model: CoreMlModel) -> None:
        self._model = model

    def embed(self, faces: Array) -> Array:
        answers: Sequence[dict[str, Any]] = self._model.predict(
            [{"face": np.ascontiguousarray(face[None], np.float32)} for face in faces]
        )
        return np.concatenate([np.asarray(answer["embedding"], np.float32).reshape(1, -1) for answer in answers])


def open_coreml(path: Path) -> CoreMlEmbedder:
    """Load a ``.mlpackage``. Raises ``RuntimeError`` where Core ML is missing or refuses it.

    It computes in float32, which the Neural Engine does not do: it is not asked.
    """
    if sys.platform != "darwin":
        raise RuntimeError("Core ML computes on a Mac only: set plugins.facenet_auth.runtime to onnx")
    import coremltools

    model = coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_AND_GPU)
    return CoreMlEmbedder(model)
