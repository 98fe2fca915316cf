"""Judging the rules on the box: which alerts are on now, and since when."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from appliance.operations.watching.conditions import Labels, Snapshot
from appliance.operations.watching.rules import RULES, Rule

Key = tuple[str, Labels]
"""The rule's name and the labels of the series."""
_SPARE_S: Final = 60.0


@dataclass(slots=True)
class Evaluator:
    """``judge`` each snapshot in turn; moments are seconds since 1970."""

    rules: Sequence[Rule] = RULES
    _history: deque[Snapshot] = field(default_factory=deque)
    _since: dict[Key, float] = field(default_factory=dict)

    def judge(self, now: Snapshot) -> dict[Key, float]:
        """Every alert that is on, and since when its condition has been met without a gap.

        A clock that steps back begins the history anew: what is on stays on, what waits waits from now.
        """
        if self._history and now.at < self._history[-1].at:
            self._history.clear()
            self._since = {key: min(since, now.at) for key, since in self._since.items()}
        self._history.append(now)
        longest = max((rule.condition.window_s for rule in self.rules), default=0.0) + _SPARE_S
        while self._history[0].at < now.at - longest:
            self._history.popleft()
        met = {(rule.name, labels): rule for rule in self.rules for labels in self._met(rule)}
        self._since = {key: self._since.get(key, now.at) for key in met}
        return {key: since for key, since in self._since.items() if now.at - since >= met[key].for_s}

    def _met(self, rule: Rule) -> list[Labels]:
        return rule.condition.met(self._history)
