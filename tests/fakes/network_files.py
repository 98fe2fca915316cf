"""Small networks in the two formats of face packs: ONNX, and a Core ML package; and a folder with both."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "embedder.mlpackage"
MODEL = f"{PACKAGE}/Data/com.apple.CoreML/model.mlmodel"
BLOB = f"{PACKAGE}/Data/com.apple.CoreML/weights/weight.bin"
MANIFEST = f"{PACKAGE}/Manifest.json"
KINDS = ("config.json", "embedder.onnx", MANIFEST, MODEL, BLOB)
WEIGHTS = np.linspace(-1.0, 1.0, 64 * 64, dtype=np.float32).reshape(64, 64)


def onnx_model() -> Any:
    """A network that multiplies by a matrix, with a branch inside: to be changed by tests."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["y"], ["chosen"])],
        "inner",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, (1, 64))],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 64))],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 64))],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(made)
    return made


@cache
def package_files() -> dict[str, bytes]:
    """A Core ML package of one matrix product, by relative path."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import coremltools as ct
        from coremltools.converters.mil import Builder

        @Builder.program(input_specs=[Builder.TensorSpec(shape=(1, 64))], opset_version=ct.target.macOS14)
        def program(x: Any) -> Any:
            return Builder.linear(x=Builder.linear(x=x, weight=WEIGHTS), weight=WEIGHTS.T.copy())

        model = ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.macOS14,
                           compute_precision=ct.precision.FLOAT32, skip_model_load=True)  # fmt: skip
        with TemporaryDirectory() as folder:
            model.save(str(Path(folder) / PACKAGE))
            return {name: (Path(folder) / name).read_bytes() for name in (MANIFEST, MODEL, BLOB)}


def write(folder: Path) -> Path:
    """A face pack's folder with one file of each kind."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "face_verifier"}))
    (folder / "embedder.onnx").write_bytes(onnx_model().SerializeToString())
    for name, content in package_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
