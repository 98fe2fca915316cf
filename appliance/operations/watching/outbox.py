"""Alerts on their way: each target has its own queue and its own patience, so that a dead mail server holds up no webhook."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from appliance.operations.watching.feed import Alert, Change
from appliance.operations.watching.targets import DeliveryError, Notice, Target
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("alerts")
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 600.0
MAX_WAITING: Final = 200
"""For each target; then the oldest are dropped, for the newest say how things stand."""
_WORTH: Final = {"warning": 0, "critical": 1}


class Outbox:
    """``tell`` it of changes; ``start`` and ``close`` it. What waits at the end the feed tells again after a restart."""

    def __init__(
        self, targets: Sequence[Target], metrics: Metrics, hospital: str, *, least: str = "warning",
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:  # fmt: skip
        """``least``: the severity below which nothing is sent."""
        self._hospital, self._least, self._first_pause_s = hospital, least, first_pause_s
        self._lines = [_Line(target) for target in targets]
        self._tasks: list[asyncio.Task[None]] = []
        self._taken = asyncio.Event()
        self.on_told: Callable[[Alert, Change], None] = lambda _alert, _change: None
        """Hears of a change once every target has taken it."""
        self._sent = metrics.counter("alerts_sent_total", "Alerts sent, by outcome of each attempt", ("outcome",))
        metrics.gauge("alerts_unsent", "Alerts that wait to be sent to some target").set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """Notices that some target has not taken yet."""
        return sum(len(line.queue) for line in self._lines)

    def tell(self, alert: Alert, change: Change) -> None:
        """An alert began or ended."""
        if _WORTH[alert.severity] < _WORTH[self._least]:
            return
        for line in self._lines:
            line.queue.append(Notice(hospital=self._hospital, status=change, alert=alert))
            line.wake.set()

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [
            asyncio.create_task(self._serve(line), name=f"alerts: {line.target.name}") for line in self._lines
        ]

    async def empty(self) -> None:
        """Return once every target has taken everything."""
        while self.waiting:
            self._taken.clear()
            await self._taken.wait()

    async def close(self) -> None:
        """Stop sending; safe to call twice."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _serve(self, line: _Line) -> None:
        pause_s = self._first_pause_s
        while True:
            line.wake.clear()
            if not line.queue:
                await line.wake.wait()
                continue
            notice = line.queue[0]
            try:
                await line.target.send(notice)
            except DeliveryError as error:
                self._sent.labels("failed").inc()
                log.warning(
                    "an alert could not be sent; it is tried again", component=line.target.name, error=str(error)
                )
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)
                continue
            pause_s = self._first_pause_s
            self._sent.labels("ok").inc()
            if line.queue and line.queue[0] is notice:  # a full queue may have dropped it meanwhile
                line.queue.popleft()
            if not any(self._is_of(waits, notice) for other in self._lines for waits in other.queue):
                self.on_told(notice.alert, notice.status)
            self._taken.set()

    @staticmethod
    def _is_of(one: Notice, other: Notice) -> bool:
        return (one.alert.id, one.status) == (other.alert.id, other.status)


class _Line:
    """What waits for one target."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.queue: deque[Notice] = deque(maxlen=MAX_WAITING)
        self.wake = asyncio.Event()
