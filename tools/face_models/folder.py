"""The folder that ``prontuario models sign`` makes a face pack of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.face_models import inception, onnx_format
from tools.face_models.weights import Array, WeightsError

ALIGNMENT: Final = 1
"""The rule by which faces are cropped (``plugins/facenet_auth/engine_alignment.py``) for which these folders are made."""
_HEAD: Final = "logits."
"""The classifier that was trained beside the embedder; it is not needed."""
_UNUSED: Final = ".num_batches_tracked"


@dataclass(frozen=True)
class Sources:
    """The weights of the embedder and, by name (``pnet``, ``rnet``, ``onet``), of the detector's networks."""

    embedder: Mapping[str, Array]
    detector: Mapping[str, Mapping[str, Array]]


def write(folder: Path, sources: Sources, *, name: str = "inception-resnet-v1", coreml: bool = True) -> None:
    """Both engine formats of ``sources`` into the new ``folder``.

    Raises:
        WeightsError: an array is missing, is of another shape, or belongs to no part of the network.
        FileExistsError: the folder is there already.
    """
    _refuse_strangers(sources.embedder)
    folder.mkdir(parents=True)
    config = {"model_type": "face_verifier", "name": name, "alignment": ALIGNMENT}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "embedder.onnx").write_bytes(onnx_format.embedder(sources.embedder))
    for part, make in onnx_format.DETECTOR.items():
        (folder / f"{part}.onnx").write_bytes(make(sources.detector[part]))
    if coreml:
        from tools.face_models.coreml_format import save_embedder

        save_embedder(sources.embedder, folder / "embedder.mlpackage")


def _refuse_strangers(arrays: Mapping[str, Array]) -> None:
    """Weights of a larger network would convert, too, and mean something else."""
    known = inception.shapes()
    strangers = [name for name in arrays if name not in known and not name.startswith(_HEAD)]
    strangers = [name for name in strangers if not name.endswith(_UNUSED)]
    if strangers:
        raise WeightsError(f"{strangers[0]} belongs to no part of Inception-ResNet-v1")
