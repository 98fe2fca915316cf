"""Muon for the matrices of the layers, AdamW for the embedding and the norms.

Muon (Keller Jordan, 2024) turns each matrix's momentum into its nearest orthogonal matrix by five Newton-Schulz steps.
fp32 throughout: bf16 is slower on processors without the instructions for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import torch

from tools.demo_models.notes.model import EMBEDDING, Parameters
from tools.demo_models.orthogonal import orthogonal

MATRIX_RATE: Final = 0.02
OTHER_RATE: Final = 3e-3
_DECAY: Final = 0.01
_MOMENTUM: Final = 0.95
_ITERATIONS: Final = 5
_MATRIX: Final = 2


@dataclass(slots=True)
class Optimiser:
    """Both optimisers over one set of parameters."""

    parameters: Parameters
    _adam: Any = field(init=False)
    _momenta: dict[str, Any] = field(init=False)
    _alike: dict[tuple[int, ...], list[str]] = field(init=False)

    def __post_init__(self) -> None:
        matrices = [name for name, value in self.parameters.items() if value.ndim == _MATRIX and name != EMBEDDING]
        others = [value for name, value in self.parameters.items() if name not in set(matrices)]
        self._adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
        self._momenta = {name: torch.zeros_like(self.parameters[name]) for name in matrices}
        self._alike = {}
        for name in matrices:
            self._alike.setdefault(tuple(self.parameters[name].shape), []).append(name)

    def step(self, scale: float) -> None:
        """Apply the gradients at ``scale`` times the full rates, and clear them."""
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self._step_matrices(MATRIX_RATE * scale)
        for group in self._adam.param_groups:
            group["lr"] = OTHER_RATE * scale
        self._adam.step()
        for value in self.parameters.values():
            value.grad = None

    @torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore]
    def _step_matrices(self, rate: float) -> None:
        for shape, names in self._alike.items():
            gradients = torch.stack([self.parameters[name].grad for name in names])
            momenta = torch.stack(
                [self._momenta[name].lerp_(self.parameters[name].grad, 1 - _MOMENTUM) for name in names]
            )
            turned = (
                orthogonal(gradients.lerp(momenta, _MOMENTUM), iterations=_ITERATIONS)
                * max(1, shape[0] / shape[1]) ** 0.5
            )
            for name, change in zip(names, turned, strict=True):
                self.parameters[name].mul_(1 - rate * _DECAY).add_(change, alpha=-rate)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"adam": self._adam.state_dict(), "momenta": self._momenta}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._adam.load_state_dict(state["adam"])
        for name, value in state["momenta"].items():
            self._momenta[name].copy_(value)
