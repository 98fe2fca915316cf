"""Weights out of a seed, the same on every machine and in every version of NumPy: for tests and benches, never for care.

Only a bit generator's raw output is promised to stay as it is, so nothing else of it is used. With plain random weights any two
pictures look alike to a network; ``statistics`` are what its batch normalisations saw when they were calibrated
(``tools/golden/facenet.py``), and make the embeddings of different pictures differ.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np

from tools.face_models.weights import Array, Shape

_WORDS: Final = 4
"""16-bit words in one raw number of the generator."""
_UNIFORM_DEVIATION: Final = 3**-0.5
"""Standard deviation of a uniform variable between -1 and 1."""


def array(name: str, shape: Shape, seed: int) -> Array:
    """Uniform values whose variance keeps a rectified signal's strength (He et al. 2015); vectors are smaller ones."""
    count = int(np.prod(shape))
    bits = np.random.Philox(key=(seed << 32) + zlib.crc32(name.encode()))
    words = bits.random_raw(-(-count // _WORDS)).astype("<u8").view("<u2")[:count]
    values = words.astype(np.float32) / np.float32(32768.0) - np.float32(1.0)
    inputs = int(np.prod(shape[1:])) if len(shape) > 1 else 64
    spread = np.float32((2.0 / inputs) ** 0.5 / _UNIFORM_DEVIATION)
    return np.asarray(values * spread, np.float32).reshape(shape)


def arrays(shapes: Mapping[str, Shape], seed: int, statistics: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """A whole network: normalisations have gain 1, shift 0 and, where there are none, mean 0 and variance 1."""
    known = statistics or {}
    return {name: known[name] if name in known else _one(name, shape, seed) for name, shape in shapes.items()}


def _one(name: str, shape: Shape, seed: int) -> Array:
    normalises = ".bn." in name or name.startswith("last_bn.")
    if normalises and name.endswith((".weight", ".running_var")):
        return np.ones(shape, np.float32)
    if normalises:
        return np.zeros(shape, np.float32)
    return array(name, shape, seed)


def picture(seed: int, side: int) -> Array:
    """A smooth coloured picture, (side, side, 3) in 0 to 255: neighbouring pixels are alike, as in a photograph."""
    coarse = array(f"picture {seed}", (12, 12, 3), seed)
    coarse = (coarse - coarse.min()) / (coarse.max() - coarse.min())
    place = np.linspace(0.0, 11.0, side, dtype=np.float64)
    low = np.minimum(place.astype(int), 10)
    part = (place - low)[:, None]
    rows = coarse[low] * (1 - part[:, :, None]) + coarse[low + 1] * part[:, :, None]
    across = rows[:, low] * (1 - part[None]) + rows[:, low + 1] * part[None]
    return np.asarray((across * 255.0).round(), np.uint8)
