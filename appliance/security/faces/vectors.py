"""Embeddings as plain numbers: reading, comparing, averaging. Nothing here knows people, keys or pictures."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Final

Vector = tuple[float, ...]
"""A point on the unit sphere."""
_FLOAT_BYTES: Final = 4
_UNIT_TOLERANCE: Final = 0.01


def decode(packed: bytes) -> Vector:
    """Little-endian float32 as a vector of length exactly 1.

    Raises:
        ValueError: not whole numbers, not finite, or not of (about) unit length: the model is not what it says.
    """
    count, rest = divmod(len(packed), _FLOAT_BYTES)
    if not count or rest:
        raise ValueError("an embedding is a row of float32")
    values = struct.unpack(f"<{count}f", packed)
    if not all(map(math.isfinite, values)) or abs(math.hypot(*values) - 1) > _UNIT_TOLERANCE:
        raise ValueError("an embedding has unit length")
    return unit(values)


def encode(vector: Sequence[float]) -> bytes:
    """The vector as little-endian float32."""
    return struct.pack(f"<{len(vector)}f", *vector)


def distance(one: Vector, other: Vector) -> float:
    """Euclidean, 0 (same direction) to 2 (opposite).

    Raises:
        ValueError: vectors of different models.
    """
    return math.dist(one, other)


def mean(vectors: Sequence[Vector]) -> Vector:
    """The direction between all of them.

    Raises:
        ValueError: none at all, or they cancel each other out.
    """
    return unit([math.fsum(column) for column in zip(*vectors, strict=True)])


def unit(values: Sequence[float]) -> Vector:
    """The same direction at length 1. Raises ``ValueError`` for the zero vector."""
    length = math.hypot(*values)
    if length == 0 or not math.isfinite(length):
        raise ValueError("a vector without a direction")
    return tuple(value / length for value in values)
