"""How sure a counted rate is: Clopper-Pearson intervals, through the quantile of the beta distribution. Pure.

Clopper and Pearson, Biometrika 26 (1934) 404-413: exact, never narrower than promised. With k errors in n trials the bounds are
quantiles of Beta(k, n-k+1) and Beta(k+1, n-k). The incomplete beta function is computed by its continued fraction
(NIST DLMF 8.17.22, modified Lentz), its inverse by bisection, which needs no starting point and can't run away.
"""

from __future__ import annotations

import math
from typing import Final

_MOST_TERMS: Final = 10_000
_TINY: Final = 1e-300
_PRECISION: Final = 1e-15
_HALVINGS: Final = 200


def clopper_pearson(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval that holds the true rate with at least ``confidence``, half of the rest on either side.

    Raises:
        ValueError: not 0 <= errors <= trials, no trials, or a confidence that is none.
    """
    _check(errors, trials, confidence)
    tail = (1 - confidence) / 2
    low = 0.0 if errors == 0 else beta_quantile(tail, errors, trials - errors + 1)
    high = 1.0 if errors == trials else beta_quantile(1 - tail, errors + 1, trials - errors)
    return low, high


def upper_bound(errors: int, trials: int, confidence: float = 0.95) -> float:
    """Below this the true rate lies with at least ``confidence`` (one-sided). Raises ``ValueError`` as ``clopper_pearson``."""
    _check(errors, trials, confidence)
    return 1.0 if errors == trials else beta_quantile(confidence, errors + 1, trials - errors)


def trials_needed(rate: float, confidence: float = 0.95) -> int:
    """The fewest trials, all without an error, that show a rate of at most ``rate``: about 3 / rate at 95 % (the rule of three).

    Raises:
        ValueError: a rate or a confidence that is none.
    """
    if not 0 < rate < 1 or not 0 < confidence < 1:
        raise ValueError("a rate and a confidence lie between 0 and 1")
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate) - _PRECISION)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x at which the distribution function of Beta(a, b) is ``probability``."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if middle in {low, high}:
            break
        if incomplete_beta(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b) for a, b > 0."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side of the mean only
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of DLMF 8.17.22 by Lentz's method."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1 / _away_from_zero(1 + coefficient * d)
            c = _away_from_zero(1 + coefficient / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            return value
    raise ArithmeticError(f"the incomplete beta function does not converge at {x}, {a}, {b}")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def _check(errors: int, trials: int, confidence: float) -> None:
    if not 0 <= errors <= trials or not trials or not 0 < confidence < 1:
        raise ValueError("errors lie between 0 and the trials, of which there are some; a confidence between 0 and 1")
