"""The node's memory budgets (300 GB for models, 100 for the API, 100 for data, of 512) with a live ledger, and what comes of it.

Models are counted by what they declared and by what their processes hold; the API by core's and the dashboard's resident
size; data by Litestream's and etcd's. A sample is kept every hour, and ``forecast`` looks at them.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

import msgspec
import psutil

from appliance.config.model import Memory
from appliance.operations.forecast import Forecast, forecast
from appliance.operations.schedule import Task
from appliance.operations.schedule_memory import Figure
from appliance.security.files import write_file
from appliance.store.durable import make_folder
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("capacity")
HOUR_S: Final = 3600.0
KEEP_S: Final = 400 * 24 * HOUR_S
AI_SHARE: Final = 0.6
REST_SHARE: Final = 0.2
"""Of the machine, when the configuration names no budget: 300, 100 and 100 of 512 GB."""
DATA_PROGRAMS: Final = frozenset({"litestream", "etcd"})
KINDS: Final = ("ai", "api", "data")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One of ``ai``, ``api``, ``data``: bytes allowed, declared (models only), and held now."""

    name: str
    budget_bytes: int
    declared_bytes: int
    used_bytes: int


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """What was held at one moment (seconds since 1970), in bytes."""

    at_s: float
    disk: int
    memory: int


class CapacityReport(msgspec.Struct, frozen=True, kw_only=True):
    """Budgets as they stand, and when disk and memory are full. ``machine_bytes``: all memory that there is."""

    machine_bytes: int
    budgets: tuple[Budget, ...]
    forecasts: tuple[Forecast, ...]


class Engine(Protocol):
    """As far as the ledger asks (``engines.fleet.EngineReport``)."""

    @property
    def pid(self) -> int: ...
    @property
    def footprint_bytes(self) -> int: ...
    @property
    def resident_bytes(self) -> int: ...


class Process(msgspec.Struct, frozen=True):
    """A process of this node."""

    pid: int
    program: str
    resident_bytes: int


def processes_of(home: Path) -> list[Process]:
    """Every process whose command line names this home: core, dashboard, Litestream, etcd, vipd. Blocks some milliseconds."""
    wanted, found = str(home), []
    for one in psutil.process_iter(["pid", "name", "cmdline", "memory_info"]):
        told = one.info
        if told["memory_info"] is not None and any(wanted in word for word in told["cmdline"] or ()):
            found.append(Process(told["pid"], str(told["name"]), int(told["memory_info"].rss)))
    return found


def disk_used(home: Path) -> tuple[int, int]:
    """(used, total) bytes of the disk with the home."""
    told = shutil.disk_usage(home)
    return told.used, told.total


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityParts:
    """Where figures come from; a test gives its own. ``engines``: the fleet's rows."""

    home: Path
    config: Memory
    clock: Clock
    engines: Callable[[], Sequence[Engine]]
    processes: Callable[[Path], Iterable[Process]] = processes_of
    disk: Callable[[Path], tuple[int, int]] = disk_used
    machine_bytes: int = field(default_factory=lambda: int(psutil.virtual_memory().total))


class CapacityLedger:
    """One for each node. ``task`` samples every hour and sets the metrics."""

    def __init__(self, parts: CapacityParts, metrics: Metrics) -> None:
        self._of = parts
        self._file = parts.home / "data" / "capacity.json"
        self._left = metrics.gauge(
            "capacity_days_left",
            "Days until it is full at the recorded pace; NaN: not known, or not growing",
            ("what",),
        )
        self._budget = metrics.gauge("capacity_budget_bytes", "Memory that this part may hold", ("part",))
        self._used = metrics.gauge("capacity_used_bytes", "Memory that this part held at the last look", ("part",))
        for what in ("disk", "memory"):
            self._left.labels(what).set(float("nan"))
        for name, allowed in self._allowed().items():
            self._budget.labels(name).set(allowed)

    async def report(self) -> CapacityReport:
        """As it stands now. Raises ``OSError`` when the disk can't be asked."""
        return await asyncio.to_thread(self._report, None)

    async def sample(self) -> Mapping[str, Figure]:
        """Look, remember, and tell: figures for people."""
        told = await asyncio.to_thread(self._report, self._of.clock.now().timestamp())
        for budget in told.budgets:
            self._used.labels(budget.name).set(budget.used_bytes)
        figures: dict[str, Figure] = {f"{budget.name}_bytes": budget.used_bytes for budget in told.budgets}
        for one in told.forecasts:
            self._left.labels(one.what).set(float("nan") if one.days_left is None else one.days_left)
            figures[f"{one.what}_days_left"] = _spoken(one)
        return figures

    def task(self) -> Task:
        """For the schedule."""
        return Task(
            name="capacity", title_pt="Disco e memória: uso e previsão", title_en="Disk and memory: use and forecast",
            every_s=HOUR_S, run=self.sample,
        )  # fmt: skip

    # -- looking, on a thread -------------------------------------------------------------------------------------------
    def _report(self, now_s: float | None) -> CapacityReport:
        used, total = self._of.disk(self._of.home)
        budgets = self._budgets()
        held = sum(budget.used_bytes for budget in budgets)
        samples = _load(self._file)
        if now_s is not None:
            kept = [one for one in samples if now_s - KEEP_S < one.at_s <= now_s]
            samples = [*kept, Sample(now_s, used, held)]
            _save(self._file, samples)
        allowed = sum(self._allowed().values())
        return CapacityReport(
            machine_bytes=self._of.machine_bytes,
            budgets=budgets,
            forecasts=(
                forecast("disk", [(one.at_s, float(one.disk)) for one in samples], float(total)),
                forecast("memory", [(one.at_s, float(one.memory)) for one in samples], float(allowed)),
            ),
        )

    def _budgets(self) -> tuple[Budget, ...]:
        engines, allowed = list(self._of.engines()), self._allowed()
        theirs = {engine.pid for engine in engines}
        held = {"ai": sum(engine.resident_bytes for engine in engines), "api": 0, "data": 0}
        for process in self._of.processes(self._of.home):
            if process.pid not in theirs:
                held["data" if process.program in DATA_PROGRAMS else "api"] += process.resident_bytes
        declared = {"ai": sum(engine.footprint_bytes for engine in engines)}
        return tuple(
            Budget(name=name, budget_bytes=allowed[name], declared_bytes=declared.get(name, 0), used_bytes=held[name])
            for name in KINDS
        )

    def _allowed(self) -> dict[str, int]:
        config, whole = self._of.config, self._of.machine_bytes
        return {
            "ai": config.ai_bytes or int(whole * AI_SHARE),
            "api": config.api_bytes or int(whole * REST_SHARE),
            "data": config.data_bytes or int(whole * REST_SHARE),
        }


def _spoken(one: Forecast) -> Figure:
    if one.days_left is not None:
        return one.days_left
    if one.verdict == "steady":
        return "sem crescimento"
    return f"histórico insuficiente ({one.days} de {one.needed_days} dias)"


def _load(file: Path) -> list[Sample]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[Sample])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        log.warning("the recorded use of disk and memory can't be read; it begins anew", error=type(error).__name__)
        return []


def _save(file: Path, samples: list[Sample]) -> None:
    try:
        make_folder(file.parent.absolute())
        write_file(file, msgspec.json.encode(samples))
    except OSError as error:
        log.warning("the use of disk and memory could not be recorded", error=type(error).__name__)


__all__ = ["Budget", "CapacityLedger", "CapacityParts", "CapacityReport", "Process"]
