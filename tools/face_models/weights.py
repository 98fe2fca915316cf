"""The weights by which a network is built: every array is asked for by name and shape, and nothing is left unexplained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


class WeightsError(ValueError):
    """These are not the weights of that network; the message says which array is wrong."""


class Weights:
    """Named arrays; ``take`` hands one out if it is what the network needs."""

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self.taken: set[str] = set()

    def take(self, name: str, *shape: int) -> Array:
        """The array as float32. Raises ``WeightsError`` when it is missing, has another shape or is not finite."""
        found = self._arrays.get(name)
        if found is None:
            raise WeightsError(f"{name} is missing")
        if found.shape != shape:
            raise WeightsError(f"{name} has shape {found.shape}, the network needs {shape}")
        if not np.isfinite(found).all():
            raise WeightsError(f"{name} holds values that are not numbers")
        self.taken.add(name)
        return np.ascontiguousarray(found, dtype=np.float32)


class Recorder(Weights):
    """Hands out zeros and writes down what was asked for: the list of a network's arrays."""

    def __init__(self) -> None:
        super().__init__({})
        self.shapes: dict[str, Shape] = {}

    def take(self, name: str, *shape: int) -> Array:
        self.shapes[name] = shape
        return np.broadcast_to(np.float32(0.0), shape)
