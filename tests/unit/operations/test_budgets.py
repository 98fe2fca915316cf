"""The budgets of the machine with what is held of each, sampled by the hour, and the days that are left."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from appliance.config.model import Memory
from appliance.operations.budgets import KEEP_S, CapacityLedger, CapacityParts, Process, processes_of
from appliance.telemetry.metrics import Metrics
from tests.fakes.hand_clock import HandClock

GB = 10**9
DAY_S = 86400.0


@dataclass(frozen=True)
class Row:
    pid: int
    footprint_bytes: int
    resident_bytes: int


class Ground:
    def __init__(self, home: Path, memory: Memory | None = None) -> None:
        self.clock, self.metrics, self.used = HandClock(), Metrics(), 100 * GB
        self.ledger = CapacityLedger(
            CapacityParts(
                home=home, config=memory or Memory(), clock=self.clock, machine_bytes=512 * GB,
                engines=lambda: [Row(7, 90 * GB, 60 * GB), Row(8, 10 * GB, 4 * GB)],
                processes=lambda _home: [
                    Process(1, "python", 2 * GB), Process(2, "litestream", GB), Process(3, "etcd", GB), Process(7, "python", 60 * GB),
                ],
                disk=lambda _home: (self.used, 1000 * GB),
            ),
            self.metrics,
        )  # fmt: skip

    def figure(self, name: str, **labels: str) -> float:
        value = self.metrics.registry.get_sample_value(f"prontuario_{name}", labels)
        assert value is not None
        return value


async def test_each_part_has_its_budget_and_what_it_holds(tmp_path: Path) -> None:
    ground = Ground(tmp_path, Memory(ai_bytes=300 * GB, api_bytes=100 * GB, data_bytes=90 * GB))
    told = await ground.ledger.report()
    rows = {one.name: (one.budget_bytes // GB, one.declared_bytes // GB, one.used_bytes // GB) for one in told.budgets}
    assert rows == {"ai": (300, 100, 64), "api": (100, 0, 2), "data": (90, 0, 2)}
    assert ground.figure("capacity_budget_bytes", part="data") == 90 * GB


async def test_without_figures_in_the_configuration_the_machine_is_shared_out(tmp_path: Path) -> None:
    told = await Ground(tmp_path).ledger.report()
    assert [round(one.budget_bytes / GB) for one in told.budgets] == [307, 102, 102]


async def test_samples_become_days_left_and_the_metric_of_the_alert(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    figures = await ground.ledger.sample()
    assert figures["disk_days_left"] == "histórico insuficiente (1 de 7 dias)"
    assert math.isnan(ground.figure("capacity_days_left", what="disk"))
    for _ in range(20):
        ground.clock.pass_time(DAY_S)
        ground.used += 45 * GB
        figures = await ground.ledger.sample()
    assert figures["disk_days_left"] == 0.0 if ground.used >= 1000 * GB else figures["disk_days_left"]
    assert ground.figure("capacity_days_left", what="disk") == figures["disk_days_left"]
    assert figures["memory_days_left"] == "sem crescimento"
    assert math.isnan(ground.figure("capacity_days_left", what="memory"))


async def test_growth_is_told_in_days(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    for _ in range(11):
        figures = await ground.ledger.sample()
        ground.clock.pass_time(DAY_S)
        ground.used += 10 * GB
    assert figures["disk_days_left"] == 80.0, "200 of 1000 GB, ten a day"


async def test_old_samples_go_and_a_damaged_file_begins_anew(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    await ground.ledger.sample()
    ground.clock.pass_time(KEEP_S + 1)
    await ground.ledger.sample()
    told = await ground.ledger.report()
    assert told.forecasts[0].days == 1
    (tmp_path / "data" / "capacity.json").write_text("[[")
    assert (await ground.ledger.report()).forecasts[0].days == 0


def test_processes_are_found_by_the_home_that_they_name(tmp_path: Path) -> None:
    found = processes_of(tmp_path / "nobody")
    assert found == []
    mine = [one for one in processes_of(Path("/")) if one.pid == os.getpid()]
    assert all(one.resident_bytes > 0 for one in mine)
