"""The reader's engine in this process, and a second one as a real child."""

from __future__ import annotations

import subprocess
import sys
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


def refused_within(path: Path) -> tuple[str, int]:
    """The refusal's code, and the bytes that the worker held at most, seen from a process that has no other child.

    Never from this one: a child's peak begins with its parent's at the fork (getrusage(2)), and a test run's is large.
    """
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], check=True, capture_output=True, text=True, timeout=LOAD_S
    )
    code, most = done.stdout.split()
    return code, int(most) * (1 if sys.platform == "darwin" else 1024)


_MEASURE = """
import msgspec, resource, sys
from plugins.medical_images.messages import Inspect, Refusal
from plugins.medical_images.reading.limits import Limits
from plugins.medical_images.reading.workshop import Workshop
workshop = Workshop(Limits(), memory_bytes=2 << 30, limit_s=60.0)
(answer,) = workshop.ask(msgspec.msgpack.encode(Inspect(sys.argv[1], None)))
workshop.close()
print(msgspec.msgpack.decode(answer, type=Refusal).code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""

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
