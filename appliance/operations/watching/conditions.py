"""What an alert looks for in the metrics, in a form that both PromQL and the box itself understand.

Each condition writes itself as PromQL and judges a history of snapshots; a test runs both over the same series. Seconds
throughout; moments are seconds since 1970, as in Prometheus. A figure that is NaN (not told) meets no condition.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry

Labels = tuple[tuple[str, str], ...]
"""Sorted by name."""
Series = Mapping[Labels, float]
Operator = Literal[">", "<", ">=", "<=", "=="]
PREFIX: Final = "prontuario_"
_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq,
}  # fmt: skip
NO_LABELS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every figure at one moment, by full metric name."""

    at: float
    series: Mapping[str, Series]

    def chosen(self, metric: str, where: Mapping[str, str]) -> Series:
        """The series of ``metric`` that carry these labels."""
        wanted = set(where.items())
        return {labels: value for labels, value in self.series.get(metric, {}).items() if wanted <= set(labels)}


def snapshot(registry: CollectorRegistry, at: float) -> Snapshot:
    """What the registry says now; histograms' buckets are left out, no rule looks at them."""
    series: dict[str, dict[Labels, float]] = {}
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                series.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return Snapshot(at, series)


class Condition(Protocol):
    """Something that is so for some series, or not."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The full names that it reads."""
        ...

    @property
    def window_s(self) -> float:
        """How far back it looks; 0: the newest snapshot only."""
        ...

    def promql(self) -> str:
        """The expression."""
        ...

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """The labels for which it is met now; ``history`` ends with now and is never empty."""
        ...


@dataclass(frozen=True, slots=True)
class Is:
    """A figure compared with a number; ``magnitude`` looks away from its sign."""

    metric: str
    sign: Operator
    value: float
    where: Mapping[str, str] = field(default_factory=dict)
    magnitude: bool = False

    @property
    def metrics(self) -> tuple[str, ...]:
        """See ``Condition``."""
        return (self.metric,)

    @property
    def window_s(self) -> float:
        """See ``Condition``."""
        return 0.0

    def promql(self) -> str:
        """See ``Condition``."""
        name = selector(self.metric, self.where)
        return f"{f'abs({name})' if self.magnitude else name} {self.sign} {self.value:g}"

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """See ``Condition``."""
        compare = _OPERATORS[self.sign]
        found = history[-1].chosen(self.metric, self.where).items()
        return [labels for labels, value in found if compare(abs(value) if self.magnitude else value, self.value)]


@dataclass(frozen=True, slots=True)
class Share:
    """A figure divided by another one with the same labels, compared with a number; nothing is a share of nothing."""

    part: str
    whole: str
    sign: Operator
    value: float

    @property
    def metrics(self) -> tuple[str, ...]:
        """See ``Condition``."""
        return (self.part, self.whole)

    @property
    def window_s(self) -> float:
        """See ``Condition``."""
        return 0.0

    def promql(self) -> str:
        """See ``Condition``."""
        return f"{self.part} / ({self.whole} > 0) {self.sign} {self.value:g}"

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """See ``Condition``."""
        now, compare = history[-1], _OPERATORS[self.sign]
        wholes = now.chosen(self.whole, NO_LABELS)
        return [
            labels
            for labels, part in now.chosen(self.part, NO_LABELS).items()
            if wholes.get(labels, 0.0) > 0 and compare(part / wholes[labels], self.value)
        ]


@dataclass(frozen=True, slots=True)
class Either:
    """One of two conditions: the same fact, told by two figures of which a place may have only one."""

    one: Condition
    other: Condition

    @property
    def metrics(self) -> tuple[str, ...]:
        """See ``Condition``."""
        return (*self.one.metrics, *self.other.metrics)

    @property
    def window_s(self) -> float:
        """See ``Condition``."""
        return max(self.one.window_s, self.other.window_s)

    def promql(self) -> str:
        """See ``Condition``."""
        return f"{self.one.promql()} or {self.other.promql()}"

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """See ``Condition``."""
        return list(dict.fromkeys([*self.one.met(history), *self.other.met(history)]))


@dataclass(frozen=True, slots=True)
class EndsWithin:
    """A moment (seconds since 1970) that is less than ``seconds`` away, or has passed; 0 means that there is none."""

    metric: str
    seconds: float

    @property
    def metrics(self) -> tuple[str, ...]:
        """See ``Condition``."""
        return (self.metric,)

    @property
    def window_s(self) -> float:
        """See ``Condition``."""
        return 0.0

    def promql(self) -> str:
        """See ``Condition``."""
        return f"({self.metric} > 0) - time() < {self.seconds:g}"

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """See ``Condition``."""
        now = history[-1]
        found = now.chosen(self.metric, NO_LABELS).items()
        return [labels for labels, moment in found if moment > 0 and moment - now.at < self.seconds]


@dataclass(frozen=True, slots=True)
class Rises:
    """A counter that rose by more than ``by`` within ``window_s``.

    Prometheus extrapolates and does not see the first count of a new series; the box counts exactly, and sees it.
    """

    metric: str
    by: float
    window_s: float
    where: Mapping[str, str] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """See ``Condition``."""
        return (self.metric,)

    def promql(self) -> str:
        """See ``Condition``."""
        return f"increase({selector(self.metric, self.where)}[{self.window_s:g}s]) > {self.by:g}"

    def met(self, history: Sequence[Snapshot]) -> list[Labels]:
        """See ``Condition``."""
        within = [one for one in history if one.at >= history[-1].at - self.window_s]
        counted = [one.chosen(self.metric, self.where) for one in within]
        return [labels for labels in counted[-1] if _rise([one.get(labels, 0.0) for one in counted]) > self.by]


def _rise(values: Sequence[float]) -> float:
    """How much a counter rose; one that fell began anew."""
    return sum(after - before if after >= before else after for before, after in pairwise(values))


def selector(metric: str, where: Mapping[str, str]) -> str:
    """A PromQL selector."""
    chosen = ", ".join(f'{name}="{value}"' for name, value in sorted(where.items()))
    return f"{metric}{{{chosen}}}" if chosen else metric
