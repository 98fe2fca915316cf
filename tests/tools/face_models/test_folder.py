"""What the tool writes is a folder that can be signed and that the engine loads; wrong weights are named and refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from plugins.facenet_auth.engine import FaceEngine
from plugins.facenet_auth.engine_alignment import VERSION
from tests.fakes import packs
from tests.plugins.facenet_auth import reference
from tools.face_models import folder as folders
from tools.face_models import inception, mtcnn, seeded
from tools.face_models.__main__ import main
from tools.face_models.folder import Sources, write
from tools.face_models.weights import WeightsError


def sources() -> Sources:
    return Sources(reference.embedder_arrays(), {name: reference.detector_arrays(name) for name in mtcnn.shapes()})


def test_a_folder_is_signed_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, arrays in sources().detector.items():
        save_file(dict(arrays), tmp_path / f"{name}.safetensors")
    extra = {"logits.weight": np.zeros((2, 512), np.float32), "conv2d_1a.bn.num_batches_tracked": np.zeros(1, np.int64)}
    save_file(dict(sources().embedder) | extra, tmp_path / "embedder.safetensors")
    made = tmp_path / "faces"
    command = ["face_models", "--embedder", str(tmp_path / "embedder.safetensors"), "--detector", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(made), "--name", "seeded", "--no-coreml"])
    assert main() == 0
    manifest = packs.sign_model(made, capability="face_verifier", name="faces")
    assert {file.path for file in manifest.files} == {
        "config.json",
        "embedder.onnx",
        "pnet.onnx",
        "rnet.onnx",
        "onet.onnx",
    }
    loaded = FaceEngine().load({"folder": str(made), "threads": 1})
    assert loaded.model_id == f"seeded-alignment-{VERSION}"
    assert main() == 1, "a folder that is there is not written over"


def test_the_tool_and_the_engine_mean_the_same_alignment() -> None:
    assert folders.ALIGNMENT == VERSION


def test_without_weights_it_says_which_file_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["face_models", "--embedder", str(tmp_path / "none.pt"), "--detector", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(tmp_path / "faces")])
    assert main() == 1
    assert "pnet" in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("conv2d_1a.conv.weight", None, "missing"),
        ("conv2d_1a.conv.weight", np.zeros((32, 1, 3, 3), np.float32), "shape"),
        ("conv2d_1a.conv.weight", np.full((32, 3, 3, 3), np.nan, np.float32), "not numbers"),
        ("repeat_4.weight", np.zeros(3, np.float32), "no part"),
    ],
)
def test_weights_of_another_network(tmp_path: Path, name: str, array: reference.Array | None, reason: str) -> None:
    arrays = {known: np.broadcast_to(np.float32(0), shape) for known, shape in inception.shapes().items()}
    arrays = {known: value for known, value in arrays.items() if known != name} | (
        {} if array is None else {name: array}
    )
    with pytest.raises(WeightsError, match=reason):
        write(tmp_path / "faces", Sources(arrays, {}), coreml=False)


def test_seeded_weights_never_change() -> None:
    """The golden arrays were made with these very numbers."""
    first = seeded.array("conv", (2, 3), 1)
    assert first.dtype == np.float32
    assert np.array_equal(first, seeded.array("conv", (2, 3), 1))
    assert not np.array_equal(first, seeded.array("conv", (2, 3), 2))
    assert not np.array_equal(first, seeded.array("conw", (2, 3), 1))
    large = seeded.array("large", (100, 500), 4)
    assert large.std() == pytest.approx((2 / 500) ** 0.5, rel=0.02)
    assert seeded.picture(7, 20)[3, 4].tolist() == PIXEL


PIXEL = [173, 83, 140]
