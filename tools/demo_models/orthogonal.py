"""What Muon (Keller Jordan, 2024) does to a matrix's momentum; both models are trained with it."""

from __future__ import annotations

from typing import Any, Final

_COEFFICIENTS: Final = (3.4445, -4.7750, 2.0315)


def orthogonal(matrices: Any, *, iterations: int) -> Any:
    """Nearly orthogonal matrices with the same singular vectors (a Newton–Schulz iteration); shape (n, rows, columns)."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x
