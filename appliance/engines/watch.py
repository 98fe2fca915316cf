"""The eye on one living child: does it step, is it stopped, how much memory does it hold, does it obey a cancel."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import Final

from appliance.engines.process import EngineProcess
from appliance.plugin_api.engine import EngineSpec
from appliance.plugin_api.messages import Ping, Pong

MEMORY_FACTOR: Final = 1.5
_LATE_TICK_S: Final = 0.5
"""A tick that comes later than this says that the core itself stood still; the child is not blamed for that."""

_STOPPED_S: Final = 1.0
"""Nobody stops an engine for good reason (SIGSTOP), and to wait for the stall, as long as a slow step, would cost every stream."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often things are looked at, in seconds; tests make it faster."""

    tick_s: float = 0.25
    ping_s: float = 1.0
    probe_s: float = 30.0
    probe_deadline_s: float = 20.0
    drain_grace_s: float = 2.0


class Watch:
    """Pings one child and kills it when it stalls, grows too far or goes on with cancelled work."""

    def __init__(self, spec: EngineSpec, process: EngineProcess, rhythm: Rhythm, footprint_bytes: int) -> None:
        self._spec = spec
        self._process = process
        self._rhythm = rhythm
        self._limit_bytes = int(MEMORY_FACTOR * footprint_bytes)
        self._nonces = itertools.count(1)
        self._nonce = 0
        self._asked_at: float | None = None
        self._answered_at = float("-inf")
        self._ignored = 0.0
        self._ignoring_since: float | None = None
        self._stopped_since: float | None = None
        self.resident_bytes = 0
        self.stats: dict[str, float] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            await asyncio.sleep(self._rhythm.tick_s)
            now = loop.time()
            late_s = now - before - self._rhythm.tick_s
            if late_s > _LATE_TICK_S:
                self._forgive(late_s)
            before = now
            self._look(now)

    def _forgive(self, late_s: float) -> None:
        if self._asked_at is not None:
            self._asked_at += late_s
        if self._stopped_since is not None:
            self._stopped_since += late_s

    def _look(self, now: float) -> None:
        self.resident_bytes = self._process.resident_bytes()
        if not self._process.stopped:
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        elif now - self._stopped_since > _STOPPED_S:
            self._process.kill("stopped")
            return
        if 0 < self._limit_bytes < self.resident_bytes:
            self._process.kill("memory")
        elif self._asked_at is None:
            if now - self._answered_at >= self._rhythm.ping_s:
                self._ask(now)
        elif now - self._asked_at > self._spec.stall_limit_s:
            self._process.kill("stall")

    def _ask(self, now: float) -> None:
        self._nonce = next(self._nonces)
        self._asked_at = now
        self._process.send(Ping(self._nonce))

    def on_pong(self, pong: Pong, now: float) -> None:
        """The stepping thread is alive; ``pong`` has its figures."""
        if pong.nonce != self._nonce:
            return
        self._asked_at = None
        self._answered_at = now
        self.stats = pong.stats
        ignored = pong.stats.get("ignored_cancels", 0.0)
        if ignored == self._ignored:
            self._ignoring_since = None
        elif self._ignoring_since is None:
            self._ignoring_since = now
        elif now - self._ignoring_since > self._spec.stall_limit_s:
            self._process.kill("cancel ignored")
        self._ignored = ignored
