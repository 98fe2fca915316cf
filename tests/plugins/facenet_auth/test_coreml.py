"""The Core ML program equals ONNX and the reference; the adapter over it keeps the rules of embedders.

The program is run here by an interpreter of ours (``tests/fakes/mil_interpreter.py``); on a Mac by Core ML itself, too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.operations.packs.coreml_contents import check_package, check_part
from appliance.plugin_api.model_folder import weight_bytes, weight_files, weight_sha256
from plugins.facenet_auth.engine_coreml import CoreMlEmbedder, open_coreml
from plugins.facenet_auth.engine_model import COREML, Embedder, FacePackError, OnnxEmbedder, check_embedder
from tests.fakes.mil_interpreter import MilProgram
from tests.plugins.facenet_auth import reference
from tools.face_models.coreml_format import save_embedder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("coreml")
    save_embedder(reference.embedder_arrays(), made / COREML)
    return made


@pytest.fixture(scope="module")
def program(folder: Path) -> MilProgram:
    return MilProgram(folder / COREML)


@pytest.fixture(scope="module", params=["onnx", "coreml"])
def embedder(request: pytest.FixtureRequest) -> Iterator[Embedder]:
    if request.param == "onnx":
        yield OnnxEmbedder(reference.embedder())
    else:
        yield CoreMlEmbedder(request.getfixturevalue("program"))


def test_the_program_equals_onnx_and_the_reference(program: MilProgram) -> None:
    face = reference.standardised(reference.faces(1))
    found = CoreMlEmbedder(program).embed(face)
    assert np.abs(found - OnnxEmbedder(reference.embedder()).embed(face)).max() < 1e-4
    assert np.abs(found - reference.golden()["embeddings"][:1]).max() < reference.TOLERANCE


def test_swapped_colours_are_neither(program: MilProgram) -> None:
    swapped = CoreMlEmbedder(program).embed(reference.standardised(reference.faces(1)[..., ::-1]))
    assert np.linalg.norm(swapped - reference.golden()["embeddings"][:1]) > 50 * reference.TOLERANCE


def test_every_embedder_keeps_the_rules(embedder: Embedder) -> None:
    check_embedder(embedder)
    faces = reference.standardised(reference.faces(2))
    together = embedder.embed(faces)
    assert together.dtype == np.float32
    assert np.abs(embedder.embed(faces[1:])[0] - together[1]).max() < 1e-5, (
        "in their order, whatever stands beside them"
    )
    assert np.linalg.norm(together[0] - together[1]) > 0.5


class Wrong:
    """A model whose answers are changed."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def predict(self, data: Any) -> Any:
        return [{"embedding": self._answer} for _ in data]


@pytest.mark.parametrize(
    "answer",
    [np.ones((1, 512)), np.ones((1, 128)) / 128**0.5, np.full((1, 512), np.nan), np.zeros((1, 512))],
    ids=["too long", "too few", "no numbers", "nothing"],
)
def test_answers_that_are_no_embeddings(answer: Any) -> None:
    with pytest.raises(FacePackError):
        check_embedder(CoreMlEmbedder(Wrong(answer)))


def test_the_package_may_lie_in_a_pack(folder: Path) -> None:
    for path in (folder / COREML).rglob("*"):
        if path.is_file():
            check_part(path, path.relative_to(folder).as_posix())
    check_package(folder, COREML)


def test_a_models_hash_covers_the_package(folder: Path, tmp_path: Path) -> None:
    assert len(weight_files(folder)) == 3
    assert weight_bytes(folder) > 90_000_000
    small = tmp_path / "small" / COREML
    (small / "Data").mkdir(parents=True)
    (small / "Data" / "weight.bin").write_bytes(b"one")
    before = weight_sha256(small.parent)
    (small / "Data" / "weight.bin").write_bytes(b"two")
    assert weight_sha256(small.parent) != before


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac computes with Core ML")
def test_core_ml_elsewhere_is_refused_with_the_next_step(folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"plugins\.facenet_auth\.runtime"):
        open_coreml(folder / COREML)


@pytest.mark.skipif(sys.platform != "darwin", reason="Core ML computes on a Mac only")
def test_core_ml_itself_equals_the_reference(folder: Path) -> None:
    embedder = open_coreml(folder / COREML)
    check_embedder(embedder)
    found = embedder.embed(reference.standardised(reference.faces()))
    assert np.abs(found - reference.golden()["embeddings"]).max() < reference.TOLERANCE
