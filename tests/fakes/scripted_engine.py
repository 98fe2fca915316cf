"""An engine handle whose answers and delays are the test's: for the half of a plugin that lives in the core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from appliance.plugin_api.engine import CallOptions, EngineStatus
from appliance.plugin_api.messages import Loaded

Answer = Callable[[int, bytes], Awaitable[list[bytes]]]
"""From (number of the request, payload) to the payloads of its outputs."""


class ScriptedEngine:
    """An ``EngineHandle``. ``running`` and ``most_running`` count requests; ``closed`` lists those that ended."""

    def __init__(self, answer: Answer, *, ready: bool = True) -> None:
        self._answer = answer
        self._ready = ready
        self.payloads: list[bytes] = []
        self.calls: list[CallOptions] = []
        self.running = 0
        self.most_running = 0
        self.cancelled: list[int] = []

    @property
    def status(self) -> EngineStatus:
        return EngineStatus.READY if self._ready else EngineStatus.STARTING

    @property
    def loaded(self) -> Loaded | None:
        return Loaded("scripted", "0" * 64, 0, demonstration=False, info={}) if self._ready else None

    @property
    def waiting(self) -> int:
        return 0

    async def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncGenerator[bytes, None]:
        number = len(self.payloads)
        self.payloads.append(payload)
        self.calls.append(options)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        finished = False
        try:
            for output in await self._answer(number, payload):
                await asyncio.sleep(0)
                yield output
            finished = True
        finally:
            self.running -= 1
            if not finished:
                self.cancelled.append(number)
