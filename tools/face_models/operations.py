"""The few operations of which the face networks consist. One description of a network is built with any implementation of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tools.face_models.weights import Array

Value = Any
"""What an implementation hands from one operation to the next: a name, a node, an array."""


class Operations(Protocol):
    """Pictures are (batch, channels, height, width), vectors (batch, length)."""

    def conv(
        self, x: Value, weight: Array, bias: Array, *, stride: int = 1, padding: tuple[int, int] = (0, 0)
    ) -> Value:
        """``weight`` (out, in, height, width); ``padding`` with zeros on both sides of height and of width."""
        ...

    def relu(self, x: Value) -> Value: ...

    def max_pool(self, x: Value, size: int, *, stride: int = 2, ceil: bool = False) -> Value:
        """``ceil``: a window that sticks out at the end still counts (the MTCNN networks have it so)."""
        ...

    def concat(self, values: Sequence[Value]) -> Value:
        """Along the channels."""
        ...

    def scaled_sum(self, x: Value, factor: float, y: Value) -> Value:
        """``x * factor + y``."""
        ...

    def mean(self, x: Value) -> Value:
        """Over height and width: a vector."""
        ...

    def linear(self, x: Value, weight: Array, bias: Array) -> Value:
        """``weight`` (out, in)."""
        ...

    def unit(self, x: Value) -> Value:
        """The vector at length 1."""
        ...


class DetectorOperations(Operations, Protocol):
    """What the MTCNN networks need besides."""

    def prelu(self, x: Value, slope: Array) -> Value:
        """``slope`` (channels,) applies below zero."""
        ...

    def softmax(self, x: Value) -> Value:
        """Over the channels."""
        ...

    def flatten_turned(self, x: Value) -> Value:
        """Width before height before channels, as the weights from Caffe expect it: a vector."""
        ...


class Nothing:
    """Operations that build nothing: to learn which weights a network asks for."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None
