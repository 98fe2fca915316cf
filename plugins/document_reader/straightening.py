"""A photographed page made even, turned and straightened: plain numpy and Pillow, no model.

Skew by projection profiles (Postl 1986): the sum of ink along each line of a page is most uneven when the lines of text
run along it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Points = npt.NDArray[np.float64]
_SMALL: Final = 900
"""Angles are measured on a picture whose longer side has so many pixels."""
_STEEPEST: Final = 15.0
_COARSE, _FINE = 1.0, 0.1
_MOST_INK: Final = 60_000
"""So many pixels of ink are enough to tell an angle."""
_PAPER_CELL: Final = 16
_BLANK: Final = 0.0004
"""A page with a smaller share of dark pixels has nothing to read."""
_EVEN: Final = 0.05
"""Degrees that recognisers do not notice."""


def evened(picture: Image.Image) -> Image.Image:
    """Grey (mode L), with the paper's own brightness divided out: shadows and yellow light go, ink stays."""
    grey = picture.convert("L")
    small = grey.reduce(_PAPER_CELL) if min(grey.size) >= 4 * _PAPER_CELL else grey
    paper = small.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.GaussianBlur(3)).resize(grey.size)
    light = np.maximum(np.asarray(paper, dtype=np.float32), 1.0)
    even = np.asarray(grey, dtype=np.float32) / light * 255.0
    return Image.fromarray(np.clip(even, 0, 255).astype(np.uint8))


def is_blank(grey: Image.Image) -> bool:
    """Whether there is too little ink for a word."""
    dark = np.asarray(grey) < _threshold(grey)
    return bool(dark.mean() < _BLANK)


def lies_sideways(grey: Image.Image) -> bool:
    """Whether the lines of text run up and down rather than across."""
    across, down = _ink(grey)
    return _best(down, across)[1] > _best(across, down)[1]


def skew_of(grey: Image.Image) -> float:
    """Degrees by which lines rise to the right; 0 where there are none. Between -15 and 15."""
    across, down = _ink(grey)
    angle = _best(across, down)[0]
    return angle if abs(angle) > _EVEN else 0.0


def turned(grey: Image.Image, degrees: int) -> Image.Image:
    """Turned clockwise by quarters, nothing lost."""
    quarters = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
    return grey if degrees == 0 else grey.transpose(quarters[degrees])


def straightened(grey: Image.Image, skew: float) -> Image.Image:
    """Lines that rise by ``skew`` degrees become level; the corners are filled with paper."""
    if not skew:
        return grey
    return grey.rotate(-skew, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def _threshold(grey: Image.Image) -> float:
    """Between ink and paper, for a picture whose paper is near white."""
    return 0.6 * float(np.percentile(np.asarray(grey.reduce(max(1, max(grey.size) // _SMALL))), 90))


def _ink(grey: Image.Image) -> tuple[Points, Points]:
    """Places (x to the right, y downwards) of dark pixels, from the middle of a small copy."""
    small = grey.reduce(max(1, round(max(grey.size) / _SMALL)))
    down, across = np.nonzero(np.asarray(small) < _threshold(grey))
    step = max(1, len(down) // _MOST_INK)
    middle = np.float64(small.width / 2), np.float64(small.height / 2)
    return across[::step].astype(np.float64) - middle[0], down[::step].astype(np.float64) - middle[1]


def _best(along: Points, over: Points) -> tuple[float, float]:
    """The angle at which lines of ink run along ``along``, in degrees, and how uneven their profile is then."""
    if not len(along):
        return 0.0, 0.0
    coarse = _sharpest(along, over, np.arange(-_STEEPEST, _STEEPEST + _COARSE, _COARSE))
    return _sharpest(along, over, np.arange(coarse[0] - _COARSE, coarse[0] + _COARSE + _FINE, _FINE))


def _sharpest(along: Points, over: Points, angles: npt.NDArray[np.float64]) -> tuple[float, float]:
    scores = [_unevenness(along, over, float(angle)) for angle in angles]
    best = int(np.argmax(scores))
    return float(angles[best]), scores[best]


def _unevenness(along: Points, over: Points, degrees: float) -> float:
    """Of the profile across lines that rise by ``degrees``."""
    radians = np.deg2rad(degrees)
    level = over * np.cos(radians) + along * np.sin(radians)
    profile = np.bincount((level - level.min()).astype(np.int64)).astype(np.float64)
    return float(np.sum(np.diff(profile) ** 2))
