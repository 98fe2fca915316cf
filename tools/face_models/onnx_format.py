"""The networks as ONNX files: standard operators only, weights inside the file, any number of pictures at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tools.face_models.inception import LENGTH, SIDE, Inception
from tools.face_models.mtcnn import O_SIDE, R_SIDE, Mtcnn
from tools.face_models.weights import Array, Weights

OPSET: Final = 17
_IR_VERSION: Final = 8
_SMALLEST_LENGTH: Final = 1e-12
"""Below which a vector is not scaled to length 1, as in PyTorch's ``normalize``."""
BATCH: Final = "batch"


class OnnxOperations:
    """Operations whose values are names in a growing graph."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._vectors: set[str] = set()

    def conv(self, x: str, weight: Array, bias: Array, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> str:
        parts = [x, self._constant(weight), self._constant(bias)]
        return self._node(
            "Conv", parts, kernel_shape=weight.shape[2:], strides=(stride, stride), pads=(*padding, *padding)
        )

    def relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def prelu(self, x: str, slope: Array) -> str:
        """A picture's slopes are broadcast over height and width."""
        return self._node("PRelu", [x, self._constant(slope if x in self._vectors else slope.reshape(-1, 1, 1))])

    def max_pool(self, x: str, size: int, *, stride: int = 2, ceil: bool = False) -> str:
        return self._node("MaxPool", [x], kernel_shape=(size, size), strides=(stride, stride), ceil_mode=int(ceil))

    def concat(self, values: Sequence[str]) -> str:
        return self._node("Concat", list(values), axis=1)

    def scaled_sum(self, x: str, factor: float, y: str) -> str:
        return self._node("Add", [self._node("Mul", [x, self._constant(np.float32(factor))]), y])

    def mean(self, x: str) -> str:
        return self._node("Flatten", [self._node("GlobalAveragePool", [x])], axis=1)

    def linear(self, x: str, weight: Array, bias: Array) -> str:
        made = self._node("Gemm", [x, self._constant(weight), self._constant(bias)], transB=1)
        self._vectors.add(made)
        return made

    def softmax(self, x: str) -> str:
        return self._node("Softmax", [x], axis=1)

    def flatten_turned(self, x: str) -> str:
        return self._node("Flatten", [self._node("Transpose", [x], perm=(0, 3, 2, 1))], axis=1)

    def unit(self, x: str) -> str:
        length = self._node("ReduceL2", [x], axes=(1,), keepdims=1)
        return self._node("Div", [x, self._node("Max", [length, self._constant(np.float32(_SMALLEST_LENGTH))])])

    def model(
        self, inputs: Mapping[str, Sequence[int | str]], outputs: Mapping[str, tuple[str, Sequence[int | str]]]
    ) -> bytes:
        """The checked file; ``inputs`` name → shape, ``outputs`` name → (value, shape)."""
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        graph = helper.make_graph(
            self._nodes,
            "faces",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (_, shape) in outputs.items()],
            self._constants,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="prontuario")
        made.ir_version = _IR_VERSION
        onnx.checker.check_model(made)
        content: bytes = made.SerializeToString()
        return content

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _constant(self, value: Array | np.float32) -> str:
        name = f"w{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name


def embedder(arrays: Mapping[str, Array]) -> bytes:
    """Inception-ResNet-v1: ``face`` (batch, 3, 160, 160) → ``embedding`` (batch, 512). Raises ``WeightsError``."""
    ops = OnnxOperations()
    made = Inception(ops, Weights(arrays)).build("face")
    return ops.model({"face": (BATCH, 3, SIDE, SIDE)}, {"embedding": (made, (BATCH, LENGTH))})


def proposal(arrays: Mapping[str, Array]) -> bytes:
    """P-Net: ``picture`` → ``shifts``, ``odds``. Raises ``WeightsError``."""
    ops = OnnxOperations()
    shifts, odds = Mtcnn(ops).proposal(Weights(arrays), "picture")
    across = ("rows", "columns")
    return ops.model(
        {"picture": (BATCH, 3, "height", "width")},
        {"shifts": (shifts, (BATCH, 4, *across)), "odds": (odds, (BATCH, 2, *across))},
    )


def refinement(arrays: Mapping[str, Array]) -> bytes:
    """R-Net: ``picture`` (batch, 3, 24, 24) → ``shifts``, ``odds``. Raises ``WeightsError``."""
    ops = OnnxOperations()
    shifts, odds = Mtcnn(ops).refinement(Weights(arrays), "picture")
    return ops.model(
        {"picture": (BATCH, 3, R_SIDE, R_SIDE)}, {"shifts": (shifts, (BATCH, 4)), "odds": (odds, (BATCH, 2))}
    )


def output(arrays: Mapping[str, Array]) -> bytes:
    """O-Net: ``picture`` (batch, 3, 48, 48) → ``shifts``, ``landmarks``, ``odds``. Raises ``WeightsError``."""
    ops = OnnxOperations()
    shifts, landmarks, odds = Mtcnn(ops).output(Weights(arrays), "picture")
    return ops.model(
        {"picture": (BATCH, 3, O_SIDE, O_SIDE)},
        {"shifts": (shifts, (BATCH, 4)), "landmarks": (landmarks, (BATCH, 10)), "odds": (odds, (BATCH, 2))},
    )


DETECTOR: Final[dict[str, Callable[[Mapping[str, Array]], bytes]]] = {
    "pnet": proposal,
    "rnet": refinement,
    "onet": output,
}
"""The detector's networks by the name of their file."""
