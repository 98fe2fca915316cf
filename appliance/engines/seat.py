"""The handle that a provider holds: it outlives the engine behind it when a model is replaced while people work."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.engine import CallOptions, EngineStatus
from appliance.plugin_api.messages import Loaded


class EngineSeat:
    """Implements ``EngineHandle``. Whoever began with the old model (a dictation that lasts an hour) ends with its successor."""

    def __init__(self, engine: EngineSupervisor) -> None:
        self._engine = engine
        self._successor: EngineSeat | None = None

    @property
    def engine(self) -> EngineSupervisor:
        """Who takes requests now."""
        return self._engine if self._successor is None else self._successor.engine

    def pass_to(self, successor: EngineSeat) -> None:
        """From now on requests go to ``successor``; those that run here are not touched.

        Raises:
            ValueError: ``successor`` leads back here.
        """
        after: EngineSeat | None = successor
        while after is not None:
            if after is self:
                raise ValueError("a seat can't succeed itself")
            after = after._successor  # noqa: SLF001  its own kind
        self._successor = successor

    @property
    def status(self) -> EngineStatus:
        return self.engine.status

    @property
    def loaded(self) -> Loaded | None:
        return self.engine.loaded

    @property
    def waiting(self) -> int:
        return self.engine.waiting

    async def submit(self, kind: str, payload: bytes, options: CallOptions) -> AsyncGenerator[bytes, None]:
        """See ``EngineHandle.submit``; the engine is chosen when the first piece is asked for."""
        async with aclosing(self.engine.submit(kind, payload, options)) as pieces:
            async for piece in pieces:
                yield piece
