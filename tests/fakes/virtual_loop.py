"""An event loop whose clock leaps to the next timer: minutes of waiting pass at once, and the same way every time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code that waits by the loop's own clock only: timers, timeouts, sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        super().__init__()

    def time(self) -> float:
        return self.seconds

    def _run_once(self) -> None:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not self._ready and scheduled:  # type: ignore[attr-defined]
            self.seconds = max(self.seconds, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def run_virtually(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())
