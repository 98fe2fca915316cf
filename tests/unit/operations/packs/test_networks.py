"""Packs of whole networks (ONNX, Core ML): an honest one passes; whatever could run code or leave the folder is refused."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from appliance.operations.packs.contents import check_file
from appliance.operations.packs.intake import Intake
from appliance.operations.packs.manifest import PackManifest
from appliance.operations.packs.shelf import Shelf
from appliance.plugin_api.errors import ProntuarioError
from tests.fakes import network_files, packs
from tests.fakes.network_files import BLOB, MANIFEST, MODEL, PACKAGE

Change = Callable[[Any], object]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return network_files.write(tmp_path / "faces")


def sign(folder: Path, **changes: Any) -> PackManifest:
    return packs.sign_model(folder, **({"name": "faces", "capability": "face_verifier"} | changes))


def refusal(attempt: Callable[[], object]) -> tuple[str, str]:
    """(code, the sentence in English)."""
    with pytest.raises(ProntuarioError) as caught:
        attempt()
    return caught.value.kind.code, caught.value.sentence("en")


def test_an_honest_pack_is_taken_in_with_every_file_hashed(shelf: Shelf, faces: Path) -> None:
    signed = sign(faces)
    assert {file.path for file in signed.files} == set(network_files.KINDS)
    assert Intake(shelf, spare_bytes=0).take_in(faces).pack == "faces-1"
    assert shelf.verify("faces-1").capability == "face_verifier"


@pytest.mark.parametrize("name", network_files.KINDS)
def test_one_flipped_bit_in_a_file_of_any_kind(shelf: Shelf, faces: Path, name: str) -> None:
    sign(faces)
    content = bytearray((faces / name).read_bytes())
    content[len(content) // 2] ^= 1
    (faces / name).write_bytes(content)
    assert refusal(lambda: Intake(shelf, spare_bytes=0).take_in(faces))[0] == "pack.altered"
    assert not (shelf.models / "face_verifier" / "faces-1").exists()


@pytest.mark.parametrize("name", network_files.KINDS[1:])
def test_no_other_capability_may_hold_networks(faces: Path, name: str) -> None:
    for other in network_files.KINDS[1:]:
        if other.partition("/")[0] != name.partition("/")[0]:
            (faces / other).unlink()
    (faces / "model.safetensors").write_bytes(packs.safetensors({"a": (2, 2)}))
    assert refusal(lambda: sign(faces, capability="chat_model"))[0] == "pack.format"


# -- ONNX ---------------------------------------------------------------------------------------------------------------
def _external_data(model: Any) -> None:
    weight = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(weight, "../../secrets")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.ClearField("raw_data")


def _external_by_name_only(model: Any) -> None:
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "/etc/passwd")
    model.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT


def _foreign_operator(model: Any) -> None:
    model.graph.node[0].domain = "com.evil"


def _foreign_set(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))


def _python_operator(model: Any) -> None:
    model.graph.node[0].op_type, model.graph.node[0].domain = "PyOp", "ai.onnx.contrib"


def _foreign_inside_a_branch(model: Any) -> None:
    branch = next(one for one in model.graph.node[2].attribute if one.name == "else_branch")
    branch.g.node[0].domain = "com.microsoft"


def _external_in_an_attribute(model: Any) -> None:
    _mark(model.graph.node[1].attribute[0].t)


def _external_in_a_sparse_weight(model: Any) -> None:
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(model.graph.initializer[0])
    _mark(sparse.values)


def _mark(tensor: Any) -> None:
    tensor.data_location = onnx.TensorProto.EXTERNAL


def _local_function(model: Any) -> None:
    model.functions.append(
        helper.make_function("", "Mine", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [])
    )


def _training(model: Any) -> None:
    model.training_info.add().initialization.CopyFrom(model.graph)


def _deep(model: Any) -> None:
    for _ in range(10):
        inner = onnx.GraphProto()
        inner.CopyFrom(model.graph)
        del model.graph.node[:]
        model.graph.node.append(helper.make_node("If", ["yes"], ["z"], then_branch=inner))


ATTACKS: dict[Change, str] = {
    _external_data: "another file",
    _external_by_name_only: "another file",
    _external_in_an_attribute: "another file",
    _external_in_a_sparse_weight: "another file",
    _foreign_operator: "com.evil",
    _foreign_set: "ai.onnx.contrib",
    _python_operator: "ai.onnx.contrib",
    _foreign_inside_a_branch: "com.microsoft",
    _local_function: "number 25",
    _training: "number 20",
    _deep: "within networks",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__.strip("_"))
def test_an_onnx_file_that_is_more_than_a_network(faces: Path, attack: Change) -> None:
    model = network_files.onnx_model()
    attack(model)
    (faces / "embedder.onnx").write_bytes(model.SerializeToString())
    code, sentence = refusal(lambda: sign(faces))
    assert code == "pack.format"
    assert ATTACKS[attack] in sentence


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (pickle.dumps({"weights": [1]}), "pack.pickle"),
        (b"PK\x03\x04 as torch.save writes", "pack.pickle"),
        (b"", "pack.format"),
        (b"no network at all", "pack.format"),
        (b"\x08\x08", "pack.format"),
        (b"\xff" * 64, "pack.format"),
        (b"\x3a\xff\xff\xff\xff\x7f", "pack.format"),
    ],
)
def test_an_onnx_file_that_is_none(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "embedder.onnx"
    path.write_bytes(content)
    assert refusal(lambda: check_file(path, "embedder.onnx"))[0] == code


def test_a_pickle_behind_a_network(tmp_path: Path) -> None:
    path = tmp_path / "embedder.onnx"
    path.write_bytes(network_files.onnx_model().SerializeToString() + pickle.dumps([1, 2, 3]))
    assert refusal(lambda: check_file(path, "embedder.onnx"))[0] == "pack.format"


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_network_cut_short(tmp_path: Path, part: float) -> None:
    whole = network_files.onnx_model().SerializeToString()
    path = tmp_path / "embedder.onnx"
    path.write_bytes(whole[: int(len(whole) * part)])
    assert refusal(lambda: check_file(path, "embedder.onnx"))[0] == "pack.format"


# -- Core ML ------------------------------------------------------------------------------------------------------------
def test_weights_with_the_name_of_a_pickle_only_inside_a_package(faces: Path) -> None:
    (faces / "weight.bin").write_bytes((faces / BLOB).read_bytes())
    assert refusal(lambda: sign(faces))[0] == "pack.pickle"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (pickle.dumps(list(range(100))), "pack.pickle"),
        (struct.pack("<II56x", 1, 2) + b"\0" * 64, "pack.format"),
        (struct.pack("<II56x", 0, 2) + b"c__builtin__\neval\n" * 9, "pack.format"),
        (struct.pack("<II56x", 0x0280, 2), "pack.format"),
        (struct.pack("<II56x", 1, 1), "pack.format"),
        (b"", "pack.format"),
    ],
)
def test_weights_of_a_package_that_are_none(faces: Path, content: bytes, code: str) -> None:
    (faces / BLOB).write_bytes(content)
    assert refusal(lambda: sign(faces))[0] == code


def test_bytes_behind_the_last_weight(faces: Path) -> None:
    (faces / BLOB).write_bytes((faces / BLOB).read_bytes() + bytes(64))
    assert refusal(lambda: sign(faces))[0] == "pack.format"


@pytest.mark.parametrize("name", ["Data/com.apple.CoreML/run.sh", "Data/plugin.bundle", "extra.txt"])
def test_a_stranger_in_a_package(faces: Path, name: str) -> None:
    (faces / PACKAGE / name).write_text("echo")
    assert refusal(lambda: sign(faces))[0] == "pack.format"


def _program(change: Change) -> bytes:
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    spec.ParseFromString(network_files.package_files()[MODEL])
    change(spec)
    content: bytes = spec.SerializeToString()
    return content


def _operations(spec: Any) -> Any:
    function = spec.mlProgram.functions["main"]
    return function.block_specializations[function.opset].operations


def _leave(spec: Any) -> None:
    blobs = [one for operation in _operations(spec) for one in operation.attributes.values()]
    blob = next(one for one in blobs if one.HasField("blobFileValue"))
    blob.blobFileValue.fileName = "@model_path/../../../secrets"


def _custom_operation(spec: Any) -> None:
    _operations(spec)[0].type = "custom_layer"


def _custom_model(spec: Any) -> None:
    spec.customModel.className = "Evil"


def _linked_model(spec: Any) -> None:
    spec.linkedModel.linkedModelFile.linkedModelFileName.defaultValue = "elsewhere"


def _updatable(spec: Any) -> None:
    spec.isUpdatable = True


def _pipeline(spec: Any) -> None:
    inner = spec.__class__()
    inner.customModel.className = "Evil"
    spec.pipeline.models.append(inner)


@pytest.mark.parametrize(
    "change",
    [_leave, _custom_operation, _custom_model, _linked_model, _updatable, _pipeline],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_core_ml_model_that_is_more_than_a_program(faces: Path, change: Change) -> None:
    (faces / MODEL).write_bytes(_program(change))
    code, sentence = refusal(lambda: sign(faces))
    assert code == "pack.format"
    assert "Core ML" in sentence


@pytest.mark.parametrize("name", [MANIFEST, MODEL, BLOB])
def test_a_package_that_lacks_a_part(faces: Path, name: str) -> None:
    (faces / name).unlink()
    assert refusal(lambda: sign(faces))[0] == "pack.truncated"


@pytest.mark.parametrize("path", ["../outside", "com.apple.CoreML/other.mlmodel", "/etc/passwd"])
def test_a_package_whose_manifest_leads_elsewhere(faces: Path, path: str) -> None:
    manifest = json.loads((faces / MANIFEST).read_text())
    manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"] = path
    (faces / MANIFEST).write_text(json.dumps(manifest))
    assert refusal(lambda: sign(faces))[0] == "pack.format"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"itemInfoEntries": {"a": 3}}'])
def test_a_package_whose_manifest_says_nothing(faces: Path, content: str) -> None:
    (faces / MANIFEST).write_text(content)
    assert refusal(lambda: sign(faces))[0] == "pack.format"
