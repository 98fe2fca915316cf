"""What the golden arrays of SigLIP were made from: pictures that are not symmetric in colour or place, and sentences."""

from __future__ import annotations

from typing import Any

import numpy as np

SENTENCES = [
    "Pleural effusion present!",
    "a normal chest x-ray",
    "Lesão pigmentada, com bordas irregulares",
    "benign tissue (no atypia)",
    "mg " * 40,
]
_SIZES = ((61, 83), (140, 96), (56, 56))


def pictures() -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Three RGB pictures of shape (height, width, 3): a slope, a disc and stripes with grain, larger and smaller than the model's."""
    chance = np.random.default_rng(7)
    made = []
    for number, (height, width) in enumerate(_SIZES):
        down, right = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
        disc = ((down - 0.3) ** 2 + (right - 0.6) ** 2 < 0.05).astype(float)
        stripes = np.floor(right * (5 + number)) % 2
        colours = np.stack([0.2 + 0.7 * down, 0.9 * disc + 0.1 * stripes, 0.6 * stripes * (1 - down)], axis=-1)
        grain = chance.random((height, width, 3)) * 0.2
        made.append(np.clip((colours + grain) * 220, 0, 255).astype(np.uint8))
    return made
