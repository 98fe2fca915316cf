"""An engine without its child process: quick to test, easy to debug."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from appliance.plugin_api.engine import CallOptions, Engine, EngineStatus
from appliance.plugin_api.messages import Failed, Loaded, Output, Submit


class EngineFailedError(Exception):
    """The engine answered ``Failed`` (or refused in ``submit``, with code ``invalid``)."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class InProcessEngine:
    """An ``EngineHandle`` whose engine lives in this process and is stepped by whoever waits for an answer.

    There is no queue, no deadline and no restart: those belong to the appliance, not to the engine under test.
    """

    def __init__(self, engine: Engine, config: Mapping[str, Any] | None = None) -> None:
        self.engine = engine
        self._ids = itertools.count(1)
        self._answers: dict[int, list[Output | Failed]] = {}
        self._loaded: Loaded | None = engine.load(dict(config or {}))

    @property
    def status(self) -> EngineStatus:
        return EngineStatus.STOPPED if self._loaded is None else EngineStatus.READY

    @property
    def loaded(self) -> Loaded | None:
        return self._loaded

    @property
    def waiting(self) -> int:
        return 0

    def close(self) -> None:
        """End it, as the child does."""
        self._loaded = None
        self.engine.close()

    async def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncGenerator[bytes, None]:
        """Run a request. Raises ``EngineFailedError``; closing the iterator cancels the request."""
        request_id = next(self._ids)
        self._answers[request_id] = []
        message = Submit(request_id, kind, payload, options.deadline_s, options.lane, options.tenant)
        try:
            self.engine.submit(message)
        except ValueError as error:
            del self._answers[request_id]
            raise EngineFailedError("invalid", str(error)) from error
        finished = False
        try:
            while not finished:
                for answer in await self._next(request_id):
                    if isinstance(answer, Failed):
                        finished = True
                        raise EngineFailedError(answer.code, answer.message)
                    finished = answer.final
                    yield answer.payload
        finally:
            del self._answers[request_id]
            if not finished:
                self.engine.cancel(request_id)

    async def _next(self, request_id: int) -> list[Output | Failed]:
        await asyncio.sleep(0)
        if not self._answers[request_id]:
            if not self.engine.busy():
                raise EngineFailedError("stuck", "the engine is not busy, but the request has no final answer")
            for answer in self.engine.step():
                if answer.request_id in self._answers:
                    self._answers[answer.request_id].append(answer)
        answers, self._answers[request_id] = self._answers[request_id], []
        return answers
