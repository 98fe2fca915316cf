"""A plugin whose engine does what its model pack says: ``config.json`` has the echo engine's settings and the probe's kind."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from appliance.plugin_api.capabilities import ChatDelta, ChatMessage, ChatOptions, ModelInfo
from appliance.plugin_api.engine import CallOptions, EngineHandle, EngineSpec, EngineStatus
from appliance.plugin_api.hooks import PluginContext, Provider, hookimpl
from appliance.plugin_api.model_folder import find_model_folder
from tests.fakes import packs

ECHO = "appliance.plugin_api.testing.echo_engine:EchoEngine"


class Late:
    """A ``ChatModel``: every answer takes as many seconds as the message says, and tells which model it is of."""

    def __init__(self, engine: EngineHandle, name: str) -> None:
        self.engine = engine
        self.name = name

    def model(self) -> ModelInfo:
        loaded = self.engine.loaded
        ready = loaded is not None and self.engine.status is EngineStatus.READY
        return ModelInfo(loaded.model_id if loaded else "", "", "chat_model", demonstration=False, ready=ready)

    async def chat(
        self, messages: Sequence[ChatMessage], options: ChatOptions, call: CallOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        model = self.model().id
        async for _ in self.engine.submit("late", msgspec.msgpack.encode(float(messages[-1].content)), call):
            yield ChatDelta(model, finish_reason="stop")


class PackPlugin:
    """Serves ``chat_model``. ``demonstration`` is a folder with a ``config.json``."""

    def __init__(self, demonstration: Path) -> None:
        self._demonstration = demonstration

    def _folder(self, context: PluginContext) -> Path:
        return find_model_folder(
            configured=None, models_dir=context.models_dir, capability="chat_model", demonstration=self._demonstration
        ).path

    @hookimpl
    def register_engines(self, context: PluginContext) -> Sequence[EngineSpec]:
        folder = self._folder(context)
        settings = json.loads((folder / "config.json").read_bytes())
        config = {"model_id": folder.name, "isolated": True, "folder": str(folder)} | settings["echo"]
        probe = (settings.get("probe", "echo"), msgspec.msgpack.encode(settings.get("says", "?")))
        size = settings.get("footprint", 256 << 20)
        return [EngineSpec("late", ECHO, config=config, max_running=64, footprint_bytes=size, probe=probe)]

    @hookimpl
    def register_providers(self, context: PluginContext, engines: Mapping[str, EngineHandle]) -> Sequence[Provider]:
        if json.loads((self._folder(context) / "config.json").read_bytes()).get("unknown"):
            raise KeyError("a setting that this plugin does not know")
        return [Provider("chat_model", "late", Late(engines["late"], self._folder(context).name))]


def make(folder: Path, version: int, name: str = "late", **settings: Any) -> Path:
    """A signed pack whose engine has these ``echo`` settings; ``probe``, ``says``, ``footprint``, ``unknown`` are the pack's own."""
    packs.write_model(folder)
    own = {key: settings.pop(key) for key in ("probe", "says", "footprint", "unknown") if key in settings}
    (folder / "config.json").write_text(json.dumps({"echo": settings} | own))
    packs.sign_model(folder, name=name, version=version)
    return folder
