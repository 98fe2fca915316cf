"""The embedder as a Core ML program (.mlpackage). It is converted anywhere, and runs on a Mac.

The program computes in float32: a face costs a few milliseconds on a Mac's GPU as it is, and in float16 the two formats' embeddings
would lie 1e-2 apart instead of 1e-5, so that a template made on one kind of machine would count less on the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import coremltools as ct
import numpy as np
from coremltools.converters.mil import Builder

from tools.face_models.inception import SIDE, Inception
from tools.face_models.weights import Array, Weights

INPUT: Final = "face"
OUTPUT: Final = "embedding"
_SMALLEST_LENGTH: Final = 1e-12


class MilOperations:
    """Operations whose values are those of Core ML's intermediate language; they work inside a program that is being built."""

    def conv(self, x: Any, weight: Array, bias: Array, *, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> Any:
        down, across = padding
        return Builder.conv(
            x=x,
            weight=weight,
            bias=bias,
            strides=(stride, stride),
            pad_type="custom",
            pad=(down, down, across, across),
        )

    def relu(self, x: Any) -> Any:
        return Builder.relu(x=x)

    def max_pool(self, x: Any, size: int, *, stride: int = 2, ceil: bool = False) -> Any:
        return Builder.max_pool(
            x=x, kernel_sizes=(size, size), strides=(stride, stride), pad_type="valid", ceil_mode=ceil
        )

    def concat(self, values: Sequence[Any]) -> Any:
        return Builder.concat(values=list(values), axis=1)

    def scaled_sum(self, x: Any, factor: float, y: Any) -> Any:
        return Builder.add(x=Builder.mul(x=x, y=np.float32(factor)), y=y)

    def mean(self, x: Any) -> Any:
        return Builder.reduce_mean(x=x, axes=(2, 3), keep_dims=False)

    def linear(self, x: Any, weight: Array, bias: Array) -> Any:
        return Builder.linear(x=x, weight=weight, bias=bias)

    def unit(self, x: Any) -> Any:
        length = Builder.reduce_l2_norm(x=x, axes=(1,), keep_dims=True)
        return Builder.real_div(x=x, y=Builder.maximum(x=length, y=np.float32(_SMALLEST_LENGTH)), name=OUTPUT)


def save_embedder(arrays: Mapping[str, Array], path: Path) -> None:
    """Write ``path`` (a folder ``….mlpackage``): ``face`` (1, 3, 160, 160) → ``embedding`` (1, 512). Raises ``WeightsError``."""

    @Builder.program(  # type: ignore[untyped-decorator]  # coremltools has no types
        input_specs=[Builder.TensorSpec(shape=(1, 3, SIDE, SIDE))], opset_version=ct.target.macOS14
    )
    def program(face: Any) -> Any:
        return Inception(MilOperations(), Weights(arrays)).build(face)

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ResourceWarning
        )  # coremltools leaves a temporary folder to be cleaned up by itself
        ct.convert(
            program,
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.macOS14,
            compute_precision=ct.precision.FLOAT32,
            package_dir=str(path),
            skip_model_load=True,
        )
