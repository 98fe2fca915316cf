"""Providers and an engine's status, as the façade sees them, with their readiness in the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from appliance.plugin_api.capabilities import ChatDelta, ModelInfo
from appliance.plugin_api.engine import EngineStatus


@dataclass
class Engine:
    """Only a status."""

    status: EngineStatus


class Chat:
    """A chat model whose readiness a test can change."""

    def __init__(self, name: str, *, ready: bool = True, installed: bool = True) -> None:
        self.name = name
        self.ready = ready
        self.installed = installed
        self.broken = False

    def model(self) -> ModelInfo:
        if self.broken:
            raise RuntimeError("broken")
        return ModelInfo(
            self.name, "0" * 64, "chat_model", demonstration=False, ready=self.ready, installed=self.installed
        )

    async def chat(self, *_arguments: Any) -> AsyncIterator[ChatDelta]:
        yield ChatDelta("", "stop")


class Cloud:
    def __init__(self, *, configured: bool) -> None:
        self._configured = configured

    def configured(self) -> bool:
        return self._configured
