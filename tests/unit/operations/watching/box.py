"""A node's figures and its feed under a clock that a test moves, and the mark of a test that fires an alert for real."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from appliance.operations.watching.conditions import snapshot
from appliance.operations.watching.feed import Alert, AlertFeed, Change
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

PATIENCE_S: Final = 60.0
LOOK_S: Final = 10.0
T = TypeVar("T", bound=Callable[..., Any])


def _nobody(_alert: Alert, _change: Change) -> None:
    """Hears nothing."""


@dataclass
class Box:
    """``metrics`` and ``clock`` may be exchanged for those of the part under test before the first look."""

    folder: Path
    metrics: Metrics = field(default_factory=Metrics)
    clock: HandClock = field(default_factory=HandClock)
    tell: Callable[[Alert, Change], None] = _nobody
    heard: list[tuple[str, Change]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = AlertFeed(self.folder / "alerts.json", "a", self._hear)

    def _hear(self, alert: Alert, change: Change) -> None:
        self.heard.append((alert.rule, change))
        self.tell(alert, change)

    def looks(self, seconds: float) -> None:
        """Look at the figures as they are now, again and again for so long."""
        for _ in range(int(seconds / LOOK_S) + 1):
            self.feed.look(snapshot(self.metrics.registry, self.clock.now().timestamp()))
            self.clock.pass_time(LOOK_S)

    def on(self, within: float = 0.0) -> set[str]:
        """What is on after ``within`` seconds."""
        self.looks(within)
        return {one.rule for one in self.feed.on()}

    def expect(self, *rules: str, within: float = 0.0) -> None:
        """Exactly these are on after ``within`` seconds."""
        assert self.on(within) == set(rules)

    def figure(self, name: str, **labels: str) -> float | None:
        """What a metric says now, by its name without the prefix."""
        return self.metrics.registry.get_sample_value(f"prontuario_{name}", labels)

    def never_ended(self, rules: tuple[str, ...]) -> list[str]:
        """Which of ``rules`` did not come and then go."""
        return [
            rule
            for rule in rules
            if (rule, "on") not in self.heard or (rule, "off") not in self.heard[self.heard.index((rule, "on")) :]
        ]


def fires(*rules: str) -> Callable[[T], T]:
    """The test breaks the real thing and mends it again: the feed of its ``box`` must tell that each of ``rules`` came and went.

    ``test_every_alert`` gathers these marks; what is claimed here and did not happen fails the test that claims it.
    """

    def mark(test: T) -> T:
        if inspect.iscoroutinefunction(test):

            @functools.wraps(test)
            async def later(*args: Any, box: Box, **named: Any) -> None:
                await test(*args, box=box, **named)
                assert box.never_ended(rules) == []

            return later  # type: ignore[return-value]

        @functools.wraps(test)
        def now(*args: Any, box: Box, **named: Any) -> None:
            test(*args, box=box, **named)
            assert box.never_ended(rules) == []

        return now  # type: ignore[return-value]

    return mark


async def until(holds: Callable[[], object]) -> None:
    """Wait for something that another task or process does."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  nothing tells when another process has acted
            await asyncio.sleep(0.01)
