"""Health by a synthetic request through the engine's own queue; a ping alone proves nothing about answers."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final

from appliance.engines.dispatcher import Dispatcher
from appliance.engines.errors import BUSY
from appliance.engines.watch import Rhythm
from appliance.plugin_api.engine import CallOptions, EngineSpec, Lane
from appliance.plugin_api.errors import ProntuarioError

FAILURES_UNTIL_KILL: Final = 2


class Prober:
    """Sends ``spec.probe`` when nothing real has been answered for a while."""

    def __init__(self, spec: EngineSpec, dispatcher: Dispatcher, rhythm: Rhythm) -> None:
        self._spec = spec
        self._dispatcher = dispatcher
        self._rhythm = rhythm
        self.proven_at = float("-inf")
        self.failures = 0
        self.last_code = ""

    async def run(self) -> None:
        """Until two probes in a row have failed: the caller ends the child then."""
        loop = asyncio.get_running_loop()
        while self._spec.probe is not None and self.failures < FAILURES_UNTIL_KILL:
            if self._dispatcher.last_output_at > loop.time() - self._rhythm.probe_s:
                self._proven(loop.time())
            else:
                await self.ask()
            pause = self._rhythm.probe_s if self.failures == 0 else self._rhythm.probe_s / 10
            await asyncio.sleep(pause)

    async def ask(self) -> bool:
        """One synthetic request; whether it was answered. A full queue is no proof of illness."""
        if self._spec.probe is None:
            return True
        kind, payload = self._spec.probe
        options = CallOptions(Lane.URGENT, self._rhythm.probe_deadline_s, user="(health)", idempotent=False)
        try:
            async with aclosing(self._dispatcher.submit(kind, payload, options)) as answer:
                async for _ in answer:
                    pass
        except ProntuarioError as error:
            self.last_code = error.kind.code
            if error.kind is not BUSY:
                self.failures += 1
            return False
        self._proven(asyncio.get_running_loop().time())
        return True

    def _proven(self, now: float) -> None:
        self.proven_at = now
        self.failures = 0
        self.last_code = ""
