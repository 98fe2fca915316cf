"""The loop that looks at the node's figures every few seconds, keeps the feed and sends what changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.operations.watching.conditions import snapshot
from appliance.operations.watching.feed import AlertFeed
from appliance.operations.watching.outbox import Outbox
from appliance.plugin_api.hooks import Health
from appliance.store.threads import to_the_end
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("alerts")
EVERY_S: Final = 10.0


class Watch:
    """``start`` and ``close`` it. ``measure``: what has to be asked for before each look (the other node's clock)."""

    def __init__(
        self, metrics: Metrics, clock: Clock, feed: AlertFeed, outbox: Outbox, *,
        measure: Callable[[], Awaitable[None]] | None = None, every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        self.feed, self.outbox = feed, outbox
        self._metrics, self._clock, self._measure, self._every_s = metrics, clock, measure, every_s
        self._task: asyncio.Task[None] | None = None
        self._on = metrics.gauge("alerts_on", "Alerts that are on, by severity", ("severity",))

    def start(self) -> None:
        """Begin to look and to send."""
        self.outbox.start()
        self._task = asyncio.create_task(self._run(), name="alerts")

    async def close(self) -> None:
        """Stop; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self.outbox.close()

    async def look(self) -> None:
        """Look once."""
        if self._measure is not None:
            await self._measure()
        await self._judge()

    async def tell_last(self, within_s: float) -> None:
        """Look now, and give what waits to be sent ``within_s`` seconds: the machine goes off before the next look would come."""
        await self._judge()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.outbox.empty()

    async def _judge(self) -> None:
        if self.feed.look(snapshot(self._metrics.registry, self._clock.now().timestamp())):
            await to_the_end(self.feed.save)
        on = self.feed.on()
        for severity in ("warning", "critical"):
            self._on.labels(severity).set(sum(one.severity == severity for one in on))

    async def health(self) -> Health:
        """A check for the registry: whether anybody looks at all. Asks nobody; what is on is told by the alerts themselves."""
        if self._task is None or self._task.done():
            return Health(
                "failed",
                "nobody watches this node's figures",
                "restart core and call support",
                message_pt="ninguém vigia os números deste nó",
                advice_pt="reinicie o core e chame o suporte",
            )
        return Health("ok", "the figures are watched", message_pt="os números são vigiados")

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)
