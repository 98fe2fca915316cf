"""Muon for the matrices of the blocks: momentum whose step is made orthogonal (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import torch

from tools.demo_models.orthogonal import orthogonal

_ITERATIONS: Final = 4
_MOMENTUM: Final = 0.95
_DECAY: Final = 0.02


class Muon:
    """Steps over two-dimensional parameters; those of one shape go through one batched iteration."""

    def __init__(self, parameters: Iterable[Any], rate: float = 0.02) -> None:
        self._rate = rate
        self._groups: dict[tuple[int, ...], list[Any]] = {}
        for parameter in parameters:
            self._groups.setdefault(tuple(parameter.shape), []).append(parameter)
        self._momentum = {shape: torch.zeros_like(torch.stack(group)) for shape, group in self._groups.items()}

    def step(self, factor: float) -> None:
        """One update at ``factor`` times the rate."""
        with torch.no_grad():
            for shape, group in self._groups.items():
                gradient = torch.stack([parameter.grad for parameter in group])
                momentum = self._momentum[shape]
                momentum.lerp_(gradient, 1 - _MOMENTUM)
                update = orthogonal(gradient.lerp(momentum, _MOMENTUM), iterations=_ITERATIONS)
                scale = factor * self._rate * max(1.0, shape[0] / shape[1]) ** 0.5
                for parameter, change in zip(group, update, strict=True):
                    parameter.mul_(1 - factor * self._rate * _DECAY).add_(change, alpha=-scale)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"x".join(map(str, shape)): momentum for shape, momentum in self._momentum.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take what ``state`` gave."""
        for shape, momentum in self._momentum.items():
            momentum.copy_(state["x".join(map(str, shape))])
