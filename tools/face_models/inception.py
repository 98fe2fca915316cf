"""Inception-ResNet-v1 as an embedder of faces: 160x160 RGB in, 512 values of unit length out.

Source: Szegedy et al. 2016 (arXiv:1602.07261), in the variant and with the array names of facenet-pytorch 2.6.0, so that its state
dictionaries fit. Batch normalisation is folded into the convolution before it, in float64: both engine formats then hold
the very same numbers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tools.face_models.operations import Nothing, Operations, Value
from tools.face_models.weights import Array, Recorder, Shape, Weights

SIDE: Final = 160
LENGTH: Final = 512
_EPSILON: Final = 0.001
_PLAIN: Final = (0, 0)


class Inception:
    """Builds the network with ``ops`` from ``weights``. Raises ``WeightsError``."""

    def __init__(self, ops: Operations, weights: Weights) -> None:
        self._ops = ops
        self._weights = weights

    def build(self, x: Value) -> Value:
        """``x`` (batch, 3, 160, 160), standardised as ``(value - 127.5) / 128``; gives (batch, 512)."""
        x = self._stem(x)
        for number in range(5):
            x = self._block35(f"repeat_1.{number}", x)
        x = self._mixed_6a(x)
        for number in range(10):
            x = self._block17(f"repeat_2.{number}", x)
        x = self._mixed_7a(x)
        for number in range(5):
            x = self._ops.relu(self._block8(f"repeat_3.{number}", x, 0.2))
        x = self._block8("block8", x, 1.0)
        return self._ops.unit(self._last(self._ops.mean(x)))

    def _stem(self, x: Value) -> Value:
        x = self._unit("conv2d_1a", x, 3, 32, (3, 3), stride=2)
        x = self._unit("conv2d_2a", x, 32, 32, (3, 3))
        x = self._unit("conv2d_2b", x, 32, 64, (3, 3), padding=(1, 1))
        x = self._ops.max_pool(x, 3)
        x = self._unit("conv2d_3b", x, 64, 80, (1, 1))
        x = self._unit("conv2d_4a", x, 80, 192, (3, 3))
        return self._unit("conv2d_4b", x, 192, 256, (3, 3), stride=2)

    def _block35(self, name: str, x: Value) -> Value:
        first = self._unit(f"{name}.branch0", x, 256, 32, (1, 1))
        second = self._unit(f"{name}.branch1.0", x, 256, 32, (1, 1))
        second = self._unit(f"{name}.branch1.1", second, 32, 32, (3, 3), padding=(1, 1))
        third = self._unit(f"{name}.branch2.0", x, 256, 32, (1, 1))
        third = self._unit(f"{name}.branch2.1", third, 32, 32, (3, 3), padding=(1, 1))
        third = self._unit(f"{name}.branch2.2", third, 32, 32, (3, 3), padding=(1, 1))
        return self._ops.relu(self._residual(name, x, [first, second, third], (96, 256), scale=0.17))

    def _block17(self, name: str, x: Value) -> Value:
        first = self._unit(f"{name}.branch0", x, 896, 128, (1, 1))
        second = self._unit(f"{name}.branch1.0", x, 896, 128, (1, 1))
        second = self._unit(f"{name}.branch1.1", second, 128, 128, (1, 7), padding=(0, 3))
        second = self._unit(f"{name}.branch1.2", second, 128, 128, (7, 1), padding=(3, 0))
        return self._ops.relu(self._residual(name, x, [first, second], (256, 896), scale=0.1))

    def _block8(self, name: str, x: Value, scale: float) -> Value:
        """Without the rectifier at its end: the very last block has none."""
        first = self._unit(f"{name}.branch0", x, 1792, 192, (1, 1))
        second = self._unit(f"{name}.branch1.0", x, 1792, 192, (1, 1))
        second = self._unit(f"{name}.branch1.1", second, 192, 192, (1, 3), padding=(0, 1))
        second = self._unit(f"{name}.branch1.2", second, 192, 192, (3, 1), padding=(1, 0))
        return self._residual(name, x, [first, second], (384, 1792), scale=scale)

    def _mixed_6a(self, x: Value) -> Value:
        first = self._unit("mixed_6a.branch0", x, 256, 384, (3, 3), stride=2)
        second = self._unit("mixed_6a.branch1.0", x, 256, 192, (1, 1))
        second = self._unit("mixed_6a.branch1.1", second, 192, 192, (3, 3), padding=(1, 1))
        second = self._unit("mixed_6a.branch1.2", second, 192, 256, (3, 3), stride=2)
        return self._ops.concat([first, second, self._ops.max_pool(x, 3)])

    def _mixed_7a(self, x: Value) -> Value:
        first = self._unit("mixed_7a.branch0.0", x, 896, 256, (1, 1))
        first = self._unit("mixed_7a.branch0.1", first, 256, 384, (3, 3), stride=2)
        second = self._unit("mixed_7a.branch1.0", x, 896, 256, (1, 1))
        second = self._unit("mixed_7a.branch1.1", second, 256, 256, (3, 3), stride=2)
        third = self._unit("mixed_7a.branch2.0", x, 896, 256, (1, 1))
        third = self._unit("mixed_7a.branch2.1", third, 256, 256, (3, 3), padding=(1, 1))
        third = self._unit("mixed_7a.branch2.2", third, 256, 256, (3, 3), stride=2)
        return self._ops.concat([first, second, third, self._ops.max_pool(x, 3)])

    # -- pieces --------------------------------------------------------------------------------------------------------
    def _unit(
        self,
        name: str,
        x: Value,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        *,
        stride: int = 1,
        padding: tuple[int, int] = _PLAIN,
    ) -> Value:
        """Convolution, batch normalisation, rectifier."""
        weight = self._weights.take(f"{name}.conv.weight", outputs, inputs, *kernel)
        weight, bias = self._folded(f"{name}.bn", weight)
        return self._ops.relu(self._ops.conv(x, weight, bias, stride=stride, padding=padding))

    def _residual(self, name: str, x: Value, branches: list[Value], sides: tuple[int, int], *, scale: float) -> Value:
        inputs, outputs = sides
        weight = self._weights.take(f"{name}.conv2d.weight", outputs, inputs, 1, 1)
        bias = self._weights.take(f"{name}.conv2d.bias", outputs)
        return self._ops.scaled_sum(self._ops.conv(self._ops.concat(branches), weight, bias), scale, x)

    def _last(self, x: Value) -> Value:
        weight = self._weights.take("last_linear.weight", LENGTH, 1792)
        return self._ops.linear(x, *self._folded("last_bn", weight))

    def _folded(self, name: str, weight: Array) -> tuple[Array, Array]:
        """``weight`` and the bias that make the normalisation ``name`` unnecessary."""
        outputs = weight.shape[0]
        gain, shift, mean, variance = (
            self._weights.take(f"{name}.{part}", outputs).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gain / np.sqrt(variance + _EPSILON)
        across = factor.reshape(-1, *([1] * (weight.ndim - 1)))
        return (weight * across).astype(np.float32), (shift - mean * factor).astype(np.float32)


def shapes() -> dict[str, Shape]:
    """Every array of the network by name, in the order of its use."""
    recorder = Recorder()
    Inception(Nothing(), recorder).build(None)
    return recorder.shapes
