"""How often a face model is wrong: false accepts and rejects at thresholds, and which claim about them the data can carry. Pure.

Every picture is compared with every other one. Pairs that share a picture or a person are not independent, and the intervals are
those of independent pairs: the truth is less certain than they say, the more so the fewer people there are.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from appliance.security.faces.binomial import clopper_pearson, trials_needed, upper_bound
from appliance.security.faces.vectors import Vector

THRESHOLDS: Final = tuple(round(0.50 + 0.05 * step, 2) for step in range(19))
"""0.50 to 1.40, in distance between unit vectors."""
CAUTION: Final = (
    "Pairs share people and pictures, the intervals are those of independent pairs: the truth is less certain than they say. "
    "Take many people, in the light and with the phones of your hospital."
)
_STEPS: Final = 1000
"""A claimed threshold has three decimals."""


class ClaimError(ValueError):
    """The data can't carry the claim; the text says why and what would."""


class Rate(msgspec.Struct, frozen=True):
    """``errors`` of ``pairs``, as a share, and the 95 % Clopper-Pearson interval."""

    errors: int
    pairs: int
    share: float
    low: float
    high: float


class Row(msgspec.Struct, frozen=True):
    """What happens at one threshold: two people taken for one (FAR), one person not recognised (FRR)."""

    threshold: float
    false_accepts: Rate
    false_rejects: Rate


class Claim(msgspec.Struct, frozen=True):
    """A threshold at which FAR is at most ``far`` with ``confidence`` (one-sided): ``bound`` is what was shown."""

    far: float
    confidence: float
    bound: float
    row: Row


class Distances(msgspec.Struct, frozen=True):
    """Distances of every pair of pictures, ascending: of one person, and of two."""

    same: Sequence[float]
    different: Sequence[float]


def distances(people: Mapping[str, Sequence[Vector]]) -> Distances:
    """Compare every picture with every other.

    Raises:
        ValueError: fewer than two people, or nobody with two pictures: there is nothing to compare.
    """
    owners = np.array([number for number, faces in enumerate(people.values()) for _ in faces])
    points = np.array([vector for faces in people.values() for vector in faces], np.float64)
    apart: npt.NDArray[np.float64] = np.sqrt(np.maximum(0.0, 2.0 - 2.0 * points @ points.T)) if len(points) else points
    first, second = np.triu_indices(len(points), k=1)
    same = owners[first] == owners[second]
    every = apart[first, second] if len(points) else apart
    found = Distances(sorted(every[same].tolist()), sorted(every[~same].tolist()))
    if not found.same or not found.different:
        raise ValueError("there must be two people, and one of them in two pictures")
    return found


def row(found: Distances, threshold: float) -> Row:
    """Rates at one threshold: a pair counts as one person's when it is at most so far apart."""
    accepted = bisect_right(found.different, threshold)
    rejected = len(found.same) - bisect_right(found.same, threshold)
    return Row(threshold, _rate(accepted, len(found.different)), _rate(rejected, len(found.same)))


def claim(found: Distances, far: float, confidence: float = 0.95) -> Claim:
    """The largest threshold at which FAR is shown to be at most ``far``.

    Raises:
        ClaimError: there are too few pairs of two people for any threshold (rule of three), or two people lie too close.
        ValueError: a rate or a confidence that is none.
    """
    pairs, needed = len(found.different), trials_needed(far, confidence)
    if pairs < needed:
        least = upper_bound(0, pairs, confidence)
        raise ClaimError(
            f"FAR <= {far:g} can't be shown with {pairs} pairs of two people: not one false accept among them shows only"
            f" FAR <= {least:.2g} at {confidence:.0%} confidence. It takes {needed} pairs (rule of three)."
        )
    allowed = _most_errors(pairs, far, confidence)
    threshold = 2.0 - 1 / _STEPS if allowed == pairs else _just_below(found.different[allowed])
    if threshold <= 0:
        raise ClaimError(f"FAR <= {far:g} holds at no threshold: pictures of two people are the same to this model.")
    at = row(found, threshold)
    return Claim(far, confidence, upper_bound(at.false_accepts.errors, pairs, confidence), at)


def _most_errors(pairs: int, far: float, confidence: float) -> int:
    """The largest number of errors whose upper bound still lies below ``far``; zero errors do, as the caller knows."""
    low, high = 0, pairs
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(middle, pairs, confidence) <= far:
            low = middle
        else:
            high = middle
    return low


def _just_below(distance: float) -> float:
    return (int(np.ceil(distance * _STEPS)) - 1) / _STEPS


def _rate(errors: int, pairs: int) -> Rate:
    low, high = clopper_pearson(errors, pairs)
    return Rate(errors, pairs, errors / pairs, low, high)
