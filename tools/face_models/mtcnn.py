"""The three networks of MTCNN: P proposes windows, R refines them, O adds five landmarks.

Source: Zhang et al. 2016 (arXiv:1604.02878), with the array names of facenet-pytorch 2.6.0. Pictures are standardised as
``(value - 127.5) / 128``. Box outputs are shifts of left, top, right and bottom in parts of the window's side; landmarks are five x,
then five y, in parts of the window's side.
"""

from __future__ import annotations

from typing import Final

from tools.face_models.operations import DetectorOperations, Nothing, Value
from tools.face_models.weights import Recorder, Shape, Weights

R_SIDE: Final = 24
O_SIDE: Final = 48


class Mtcnn:
    """Builds the networks with ``ops``; each takes its own ``Weights``. Raises ``WeightsError``."""

    def __init__(self, ops: DetectorOperations) -> None:
        self._ops = ops

    def proposal(self, weights: Weights, x: Value) -> tuple[Value, Value]:
        """``x`` (batch, 3, height, width) of any size from 12; gives shifts (batch, 4, h, w) and odds (batch, 2, h, w)."""
        x = self._conv(weights, 1, x, 3, 10, 3)
        x = self._ops.max_pool(x, 2, ceil=True)
        x = self._conv(weights, 2, x, 10, 16, 3)
        x = self._conv(weights, 3, x, 16, 32, 3)
        odds = self._ops.conv(x, weights.take("conv4_1.weight", 2, 32, 1, 1), weights.take("conv4_1.bias", 2))
        shifts = self._ops.conv(x, weights.take("conv4_2.weight", 4, 32, 1, 1), weights.take("conv4_2.bias", 4))
        return shifts, self._ops.softmax(odds)

    def refinement(self, weights: Weights, x: Value) -> tuple[Value, Value]:
        """``x`` (batch, 3, 24, 24); gives shifts (batch, 4) and odds (batch, 2)."""
        x = self._ops.max_pool(self._conv(weights, 1, x, 3, 28, 3), 3, ceil=True)
        x = self._ops.max_pool(self._conv(weights, 2, x, 28, 48, 3), 3, ceil=True)
        x = self._ops.flatten_turned(self._conv(weights, 3, x, 48, 64, 2))
        x = self._ops.prelu(self._dense(weights, "dense4", x, 576, 128), weights.take("prelu4.weight", 128))
        odds = self._ops.softmax(self._dense(weights, "dense5_1", x, 128, 2))
        return self._dense(weights, "dense5_2", x, 128, 4), odds

    def output(self, weights: Weights, x: Value) -> tuple[Value, Value, Value]:
        """``x`` (batch, 3, 48, 48); gives shifts (batch, 4), landmarks (batch, 10) and odds (batch, 2)."""
        x = self._ops.max_pool(self._conv(weights, 1, x, 3, 32, 3), 3, ceil=True)
        x = self._ops.max_pool(self._conv(weights, 2, x, 32, 64, 3), 3, ceil=True)
        x = self._ops.max_pool(self._conv(weights, 3, x, 64, 64, 3), 2, ceil=True)
        x = self._ops.flatten_turned(self._conv(weights, 4, x, 64, 128, 2))
        x = self._ops.prelu(self._dense(weights, "dense5", x, 1152, 256), weights.take("prelu5.weight", 256))
        odds = self._ops.softmax(self._dense(weights, "dense6_1", x, 256, 2))
        return self._dense(weights, "dense6_2", x, 256, 4), self._dense(weights, "dense6_3", x, 256, 10), odds

    def _conv(self, weights: Weights, number: int, x: Value, *sides: int) -> Value:
        inputs, outputs, size = sides
        weight = weights.take(f"conv{number}.weight", outputs, inputs, size, size)
        x = self._ops.conv(x, weight, weights.take(f"conv{number}.bias", outputs))
        return self._ops.prelu(x, weights.take(f"prelu{number}.weight", outputs))

    def _dense(self, weights: Weights, name: str, x: Value, inputs: int, outputs: int) -> Value:
        return self._ops.linear(
            x, weights.take(f"{name}.weight", outputs, inputs), weights.take(f"{name}.bias", outputs)
        )


def shapes() -> dict[str, dict[str, Shape]]:
    """Every array of each network (``pnet``, ``rnet``, ``onet``) by name."""
    networks = Mtcnn(Nothing())
    found = {}
    for name, build in (("pnet", networks.proposal), ("rnet", networks.refinement), ("onet", networks.output)):
        recorder = Recorder()
        build(recorder, None)
        found[name] = recorder.shapes
    return found
