"""Runs a Core ML program (.mlpackage) on any machine, with NumPy: Core ML itself computes on a Mac only.

The saved package is read by coremltools' own loader of programs, so what is run is what the file says. Only operations of the
face embedder are known; another one is an error, never skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import numpy.typing as npt
from coremltools.converters.mil.frontend.milproto.load import load as load_program

Array = npt.NDArray[Any]
_SPECIFICATION = 8


class MilProgram:
    """A loaded package with ``predict``, as ``coremltools.models.MLModel`` has it."""

    def __init__(self, path: Path) -> None:
        model = coremltools.models.MLModel(str(path), skip_model_load=True)
        program = load_program(
            model.get_spec(), specification_version=_SPECIFICATION, file_weights_dir=model.weights_dir
        )
        self._function = program.functions["main"]

    def predict(self, data: Any) -> Any:
        """For a list of inputs by name a list of outputs by name; for one alone one alone."""
        return [self._run(one) for one in data] if isinstance(data, list) else self._run(data)

    def _run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        values: dict[str, Any] = dict(inputs)
        for operation in self._function.operations:
            if operation.op_type != "const":
                parts = {name: _value(part, values) for name, part in operation.inputs.items()}
                values[operation.outputs[0].name] = _OPERATIONS[operation.op_type](parts)
        return {output.name: values[output.name] for output in self._function.outputs}


def _value(part: Any, values: dict[str, Any]) -> Any:
    if isinstance(part, list | tuple):
        return [_value(one, values) for one in part]
    if part is None:
        return None
    return values.get(part.name, part.val)


def _windows(x: Array, size: tuple[int, int], strides: tuple[int, int]) -> Array:
    """(batch, channels, rows, columns, height, width)."""
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis=(2, 3))
    return every[:, :, :: strides[0], :: strides[1]]


def _conv(parts: dict[str, Any]) -> Array:
    if parts["pad_type"] not in {"custom", "valid"} or any(np.asarray(parts["dilations"]) != 1) or parts["groups"] != 1:
        raise NotImplementedError("only plain convolutions")
    top, bottom, left, right = (int(side) for side in parts["pad"]) if parts["pad_type"] == "custom" else (0, 0, 0, 0)
    x = np.pad(parts["x"], ((0, 0), (0, 0), (top, bottom), (left, right)))
    weight = np.asarray(parts["weight"], np.float32)
    outputs, _, height, width = weight.shape
    seen = _windows(x, (height, width), tuple(int(step) for step in parts["strides"]))
    rows, columns = seen.shape[2:4]
    flat = seen.transpose(0, 2, 3, 1, 4, 5).reshape(len(x) * rows * columns, -1)
    made = flat @ weight.reshape(outputs, -1).T + (0.0 if parts.get("bias") is None else parts["bias"])
    return np.asarray(made.reshape(len(x), rows, columns, outputs).transpose(0, 3, 1, 2), np.float32)


def _max_pool(parts: dict[str, Any]) -> Array:
    if parts["pad_type"] != "valid" or parts["ceil_mode"]:
        raise NotImplementedError("only windows inside the picture")
    size, strides = (tuple(int(side) for side in parts[name]) for name in ("kernel_sizes", "strides"))
    return np.asarray(_windows(parts["x"], size, strides).max(axis=(4, 5)))


def _axes(parts: dict[str, Any]) -> tuple[int, ...]:
    return tuple(int(axis) for axis in parts["axes"])


def _linear(parts: dict[str, Any]) -> Array:
    made = parts["x"] @ np.asarray(parts["weight"]).T
    return np.asarray(made if parts.get("bias") is None else made + parts["bias"])


_OPERATIONS: dict[str, Callable[[dict[str, Any]], Array]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "linear": _linear,
    "relu": lambda parts: np.maximum(parts["x"], 0),
    "add": lambda parts: parts["x"] + parts["y"],
    "mul": lambda parts: parts["x"] * parts["y"],
    "maximum": lambda parts: np.maximum(parts["x"], parts["y"]),
    "real_div": lambda parts: parts["x"] / parts["y"],
    "concat": lambda parts: np.concatenate(parts["values"], axis=int(parts["axis"])),
    "reduce_mean": lambda parts: parts["x"].mean(axis=_axes(parts), keepdims=bool(parts["keep_dims"])),
    "reduce_l2_norm": lambda parts: np.linalg.norm(parts["x"], axis=_axes(parts), keepdims=bool(parts["keep_dims"])),
}
