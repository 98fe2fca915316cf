"""Alerts of a disk that is really full: a file system of a known size, filled and emptied."""

from __future__ import annotations

from pathlib import Path

from appliance.config.model import Memory
from appliance.operations.budgets import CapacityLedger, CapacityParts
from appliance.operations.watching.node_figures import show_machine
from tests.fakes.small_disk import small_disk
from tests.unit.operations.watching.box import Box, fires

MIB, GIB = 1 << 20, 1 << 30
DAY_S = 86400.0


@fires("DiskFilling", "DiskFull")
def test_a_disk_that_fills_and_is_emptied(box: Box, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 20 * GIB + 8 * MIB) as disk:
        show_machine(box.metrics, disk.path, {})
        box.expect(within=400)
        file = disk.fill(16 * MIB)
        box.expect(within=290)
        box.expect("DiskFilling")
        file.unlink()
        box.expect()
        disk.resize(2 * GIB + 8 * MIB)
        box.expect("DiskFilling", within=310)
        file = disk.fill(16 * MIB)
        box.expect("DiskFilling", "DiskFull")
        file.unlink()
        box.expect("DiskFilling")
        disk.resize(21 * GIB)
        box.expect()


@fires("CapacityEnding")
async def test_a_disk_that_will_be_full_within_the_month(box: Box, tmp_path: Path) -> None:
    """Two MiB a day on a disk of sixty-four; then somebody deletes what filled it, and gives it a larger disk."""
    with small_disk(tmp_path / "disk", 64 * MIB) as disk:
        parts = CapacityParts(
            home=disk.path, config=Memory(), clock=box.clock, engines=list, processes=lambda _home: []
        )
        ledger = CapacityLedger(parts, box.metrics)
        await ledger.sample()
        box.expect(within=310)
        for _ in range(10):
            box.clock.pass_time(DAY_S)
            disk.fill(2 * MIB)
            await ledger.sample()
        box.expect("CapacityEnding", within=310)
        disk.resize(8 * GIB)
        await ledger.sample()
        box.expect()
