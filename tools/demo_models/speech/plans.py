"""What a training is told: the model's shape and the length of its parts. Needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

CONSTANT_SHARE: Final = 0.45


@dataclass(frozen=True, slots=True)
class Shape:
    """``state`` features, ``heads``, ``encoder`` and ``decoder`` layers."""

    state: int = 192
    heads: int = 4
    encoder: int = 3
    decoder: int = 2


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """``windows`` presented in all, ``constant`` of them at the full learning rate, about ``positions`` (20 ms) a step.

    A plan with ``begins`` above 0 is a second leg: it takes the weights of an ended run, begins at that progress (a learning
    rate of (1 - begins) / 0.55 of the full one, all of the damage) and draws from the whole pool at once.
    """

    windows: int
    constant: int
    seed: int = 1
    positions: int = 2_800
    shape: Shape = field(default_factory=Shape)
    begins: float = 0.0

    def progress(self, windows: int) -> float:
        """0 to 0.45 through the constant part, to 1 through the decay: all stages of the training hang on it."""
        if self.begins:
            return self.begins + (1 - self.begins) * windows / self.windows
        if windows < self.constant:
            return CONSTANT_SHARE * windows / self.constant
        return CONSTANT_SHARE + (1 - CONSTANT_SHARE) * (windows - self.constant) / (self.windows - self.constant)
