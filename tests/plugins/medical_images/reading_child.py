"""The reader's engine in this process, and a second one as a real child."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from appliance.engines.ledger import MemoryLedger
from appliance.engines.supervisor import EngineSupervisor
from appliance.plugin_api.hooks import PluginContext
from appliance.plugin_api.testing import InProcessEngine
from plugins.medical_images.config import ImagesConfig
from plugins.medical_images.plugin import plugin
from plugins.medical_images.provider import PictureReader
from plugins.medical_images.reading.child import ReaderEngine
from plugins.medical_images.reading.limits import Limits

LOAD_S = 110.0


def config(**limits: int) -> dict[str, Any]:
    return {"limits": msgspec.to_builtins(Limits(**limits)), "memory_bytes": 2 << 30, "limit_s": 60.0}


def in_process(**limits: int) -> InProcessEngine:
    return InProcessEngine(ReaderEngine(), config(**limits))


_shared: dict[str, InProcessEngine] = {}


def shared_reader(**limits: int) -> PictureReader:
    """One worker for many files, as in service; whoever uses it calls ``end_shared_readers`` in the end."""
    key = str(sorted(limits.items()))
    if key not in _shared:
        _shared[key] = in_process(**limits)
    return PictureReader(_shared[key])


def end_shared_readers() -> None:
    while _shared:
        _shared.popitem()[1].close()


@asynccontextmanager
async def as_child(folder: Path) -> AsyncIterator[tuple[PictureReader, EngineSupervisor]]:
    context = PluginContext("medical_images", ImagesConfig(), folder / "data", folder / "models")
    (spec,) = plugin.register_engines(context)
    engine = EngineSupervisor(spec, MemoryLedger(16 << 30))
    await engine.start()
    try:
        assert await engine.wait_ready(LOAD_S), f"the reader did not start: {engine.last_death}"
        yield PictureReader(engine), engine
    finally:
        await engine.stop(drain_s=1.0)
