"""The node's own figures: sizes on disk, memory of core and its children, uptime."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from appliance.api.admin_shapes import NodeFacts
from appliance.config.model import Config, Paths
from appliance.telemetry.clock import Clock, instant
from appliance.telemetry.metrics import Metrics

REQUESTS_METRIC = "prontuario_http_requests_total"


class Sizes(msgspec.Struct, frozen=True):
    """What was measured on the machine, in bytes."""

    database: int
    disk_free: int
    disk_total: int
    memory_used: int
    memory_free: int
    memory_total: int


class NodeProbe:
    """Implements ``NodeReport``. ``mode`` and ``requests_total`` are asked at every look."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        clock: Clock,
        *,
        version: str,
        mode: Callable[[], str],
        requests_total: Callable[[], float],
    ) -> None:
        self._config = config
        self._paths = paths
        self._clock = clock
        self._version = version
        self._mode = mode
        self._requests_total = requests_total
        self._started = clock.monotonic()

    async def facts(self, demonstration_models: tuple[str, ...]) -> NodeFacts:
        """The figures of now; the measuring runs on a thread (walking the process table takes milliseconds)."""
        sizes = await asyncio.to_thread(measure, self._paths.database)
        node = self._config.node
        return NodeFacts(
            name=node.name,
            hospital=node.hospital,
            phase=node.phase,
            profile=node.profile,
            mode=self._mode(),
            version=self._version,
            at=instant(self._clock.now()),
            uptime_s=round(self._clock.monotonic() - self._started, 3),
            demonstration_models=demonstration_models,
            database_bytes=sizes.database,
            disk_free_bytes=sizes.disk_free,
            disk_total_bytes=sizes.disk_total,
            memory_used_bytes=sizes.memory_used,
            memory_free_bytes=sizes.memory_free,
            memory_total_bytes=sizes.memory_total,
            requests_total=self._requests_total(),
        )


def measure(database: Path) -> Sizes:
    """Measure the machine. ``database`` counts with its WAL; one that does not exist yet counts 0."""
    folder = next(parent for parent in database.parents if parent.exists())
    disk = shutil.disk_usage(folder)
    memory = psutil.virtual_memory()
    files = (database, database.with_name(database.name + "-wal"))
    size = sum(_file_size(file) for file in files)
    return Sizes(size, disk.free, disk.total, resident_bytes(), memory.available, memory.total)


def resident_bytes() -> int:
    """Resident memory of this process and all its descendants; one that ends meanwhile counts 0."""
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += int(process.memory_info().rss)
    return total


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def requests_answered(metrics: Metrics) -> float:
    """HTTP requests answered since the start, of every route and status: the ``requests_total`` of ``NodeProbe``."""
    chosen = metrics.registry.restricted_registry([REQUESTS_METRIC])
    return sum(sample.value for family in chosen.collect() for sample in family.samples)
