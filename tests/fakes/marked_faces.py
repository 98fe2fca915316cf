"""Drawn heads, and a face pack of small real networks that find them: faces through the whole engine without anybody's weights.

A head is a red ellipse whose pattern is its identity; coloured discs mark the landmarks. The networks have MTCNN's and the
embedder's inputs and outputs, but look for those colours, by standard ONNX operators.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

Array = npt.NDArray[Any]
POINTS = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.58, -0.42], [-0.41, 1.05, -0.08], [0.41, 1.05, -0.08]])
"""Landmarks of a drawn head: distances in parts of that between the eyes; z away from the camera."""
_EYE, _NOSE, _MOUTH = (255, 255, 40), (255, 255, 255), (255, 40, 255)
_COLOURS = (_EYE, _EYE, _NOSE, _MOUTH, _MOUTH)
_BACKGROUND = 60
_MIDDLE, _RADII = np.array([0.0, 0.5]), np.array([1.0, 1.25])


@dataclass(frozen=True)
class Head:
    """Where and how a head is drawn: ``x``, ``y`` of its middle and ``eyes`` (their distance) in pixels, angles in degrees."""

    identity: int = 1
    x: float = 160.0
    y: float = 120.0
    eyes: float = 60.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def landmarks(self) -> Array:
        """(5, 2) in pixels."""
        return np.asarray((POINTS - [0.0, 0.5, 0.0]) @ self.turned()[:2].T * self.eyes + [self.x, self.y])

    def turned(self) -> Array:
        yaw, pitch, roll = np.radians([self.yaw, self.pitch, self.roll])
        about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
        about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        return np.asarray(about_z @ about_x @ about_y)


def draw(*heads: Head, width: int = 320, height: int = 240) -> Array:
    """RGB (height, width, 3) bytes."""
    picture = np.full((height, width, 3), _BACKGROUND, np.uint8)
    down, across = np.mgrid[0:height, 0:width].astype(np.float64)
    for head in heads:
        plane = np.linalg.inv(head.turned()[:2, :2] * head.eyes)
        place = np.stack([across - head.x, down - head.y], axis=-1) @ plane.T + [0.0, 0.5]
        inside = (((place - _MIDDLE) / _RADII) ** 2).sum(axis=-1) <= 1.0
        pattern = np.random.default_rng(head.identity).integers(30, 120, (8, 8)).astype(np.uint8)
        cells = np.clip((place - _MIDDLE + _RADII) / (2 * _RADII) * 8, 0, 7).astype(int)
        grey = pattern[cells[..., 1], cells[..., 0]]
        picture[inside] = np.stack([np.full_like(grey, 255), grey, grey], axis=-1)[inside]
        for (x, y), colour in zip(head.landmarks(), _COLOURS, strict=True):
            picture[(across - x) ** 2 + (down - y) ** 2 <= (head.eyes * 0.12) ** 2] = colour
    return picture


def png(picture: Array, **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", **options)
    return file.getvalue()


def jpeg(picture: Array, **options: Any) -> bytes:
    """The picture as a camera's file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def write_pack(folder: Path, *, seed: int = 1) -> Path:
    """A face pack's folder (ONNX); another ``seed`` is another model, whose embeddings can't be compared with the first one's."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "face_verifier", "name": "marked-heads"}))
    for name, content in (
        ("pnet", _proposal()),
        ("rnet", _window(24)),
        ("onet", _window(48)),
        ("embedder", _embedder(seed)),
    ):
        (folder / f"{name}.onnx").write_bytes(content)
    return folder


class _Graph:
    """A growing ONNX graph; every method gives the name of a value."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def __call__(self, kind: str, *inputs: str | float | Array, **attributes: Any) -> str:
        names = [one if isinstance(one, str) else self._weight(one) for one in inputs]
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def _weight(self, value: float | Array) -> str:
        array = np.asarray(value)
        kind = np.int64 if array.dtype == np.int64 else np.float32
        self._weights.append(numpy_helper.from_array(array.astype(kind), f"w{len(self._weights)}"))
        return f"w{len(self._weights) - 1}"

    def model(self, name: str, sides: tuple[Any, Any], outputs: dict[str, str]) -> bytes:
        self._nodes += [helper.make_node("Identity", [value], [output]) for output, value in outputs.items()]
        graph = helper.make_graph(
            self._nodes, "marked", [helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", 3, *sides))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs], self._weights,
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        made.ir_version = 8
        content: bytes = made.SerializeToString()
        return content


def _channels(graph: _Graph, name: str) -> tuple[str, str, str]:
    """(red: 0 where the background is, 1 on a head; green; blue: 0 to 1), each (batch, 1, height, width)."""
    levels = [graph("Slice", name, np.array([c]), np.array([c + 1]), np.array([1])) for c in range(3)]
    red, green, blue = (graph("Mul", graph("Add", level, 1.0), 0.5) for level in levels)
    floor = _BACKGROUND / 256
    return graph("Clip", graph("Div", graph("Sub", red, floor), 1.0 - floor), 0.0, 1.0), green, blue


def _odds(graph: _Graph, logit: str) -> str:
    score = graph("Sigmoid", logit)
    return graph("Concat", graph("Sub", 1.0, score), score, axis=1)


def _proposal() -> bytes:
    """Fires where a window of 12 is well filled by a head that does not touch its border."""
    graph = _Graph()
    red, _, _ = _channels(graph, "picture")
    filled = graph("AveragePool", red, kernel_shape=(12, 12), strides=(2, 2))
    inner = graph("Slice", red, np.array([1, 1]), np.array([-1, -1]), np.array([2, 3]))
    inner = graph("AveragePool", inner, kernel_shape=(10, 10), strides=(2, 2))
    border = graph("Div", graph("Sub", graph("Mul", filled, 144.0), graph("Mul", inner, 100.0)), 44.0)
    enough = graph("Mul", graph("Sub", filled, 0.25), 20.0)
    logit = graph("Min", enough, graph("Mul", graph("Sub", 0.1, border), 40.0))
    shifts = graph("Concat", *[graph("Mul", filled, 0.0)] * 4, axis=1)
    return graph.model("picture", ("height", "width"), {"shifts": shifts, "odds": _odds(graph, logit)})


def _window(side: int) -> bytes:
    """The box of the head in a window; at the larger size also where its discs are."""
    graph = _Graph()
    red, green, blue = _channels(graph, "picture")
    head = graph("Cast", graph("Greater", red, 0.5), to=TensorProto.FLOAT)
    edges = []
    for axis in (3, 2):  # left and right, top and bottom
        seen = graph("Flatten", graph("ReduceMax", head, axes=(5 - axis,), keepdims=0), axis=1)
        places = np.arange(side, dtype=np.float32)[None]
        first = graph("ReduceMin", graph("Add", graph("Mul", graph("Sub", 1.0, seen), float(side)), places), axes=(1,))
        last = graph("ReduceMax", graph("Mul", seen, places + 1.0), axes=(1,))
        edges.append((graph("Div", first, float(side)), graph("Sub", graph("Div", last, float(side)), 1.0)))
    shifts = graph("Concat", edges[0][0], edges[1][0], edges[0][1], edges[1][1], axis=1)
    filled = graph("Flatten", graph("ReduceMean", head, axes=(2, 3), keepdims=0), axis=1)
    outputs = {"shifts": shifts, "odds": _odds(graph, graph("Mul", graph("Sub", filled, 0.2), 40.0))}
    if side == 48:
        outputs["landmarks"] = _landmarks(graph, green, blue, side)
    return graph.model("picture", (side, side), outputs)


def _landmarks(graph: _Graph, green: str, blue: str, side: int) -> str:
    down, across = np.mgrid[0:side, 0:side].astype(np.float32) / side + 0.5 / side
    across, down = across[None, None], down[None, None]

    def middle(weight: str, places: Array) -> str:
        total = graph("ReduceSum", weight, np.array([2, 3]), keepdims=1)
        return graph(
            "Div",
            graph("ReduceSum", graph("Mul", weight, places), np.array([2, 3]), keepdims=1),
            graph("Add", total, 1e-6),
        )

    def halves(weight: str) -> tuple[str, str]:
        right = graph("Cast", graph("Less", middle(weight, across), across), to=TensorProto.FLOAT)
        return graph("Mul", weight, graph("Sub", 1.0, right)), graph("Mul", weight, right)

    eyes = halves(graph("Relu", graph("Sub", graph("Sub", green, blue), 0.15)))
    mouth = halves(graph("Relu", graph("Sub", graph("Sub", blue, green), 0.15)))
    nose = graph("Relu", graph("Sub", graph("Min", green, blue), 0.6))
    weights = (*eyes, nose, *mouth)
    found = [middle(weight, places) for places in (across, down) for weight in weights]
    return graph("Flatten", graph("Concat", *found, axis=1), axis=1)


def _embedder(seed: int) -> bytes:
    """The pattern in the middle of an aligned head, by a random projection."""
    graph = _Graph()
    _, green, blue = _channels(graph, "face")
    grey = graph("Min", graph("Min", green, blue), 0.5)
    middle = graph("Slice", grey, np.array([32, 32]), np.array([128, 128]), np.array([2, 3]))
    cells = graph("Flatten", graph("AveragePool", middle, kernel_shape=(16, 16), strides=(16, 16)), axis=1)
    cells = graph("Sub", cells, graph("ReduceMean", cells, axes=(1,), keepdims=1))
    random = np.random.default_rng(seed)
    vector = graph("Add", graph("MatMul", cells, random.normal(size=(36, 512))), random.normal(size=(1, 512)) * 1e-3)
    return graph.model(
        "face", (160, 160), {"embedding": graph("Div", vector, graph("ReduceL2", vector, axes=(1,), keepdims=1))}
    )
