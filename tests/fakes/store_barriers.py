"""Durability barriers that a test holds in its hand."""

from __future__ import annotations

import asyncio


class HeldBarrier:
    """Confirms only what was asked before the last ``let_pass``; counts how often it was asked."""

    mode = "single"
    checkpoints = False

    def __init__(self) -> None:
        self.asked = 0
        self._gate = asyncio.Event()

    def let_pass(self) -> None:
        self._gate.set()

    async def confirm(self) -> None:
        self.asked += 1
        await self._gate.wait()


class BrokenBarrier:
    """Fails the next ``failures`` times."""

    mode = "degraded"
    checkpoints = False

    def __init__(self, error: Exception, failures: int) -> None:
        self._error = error
        self.failures = failures

    async def confirm(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise self._error
