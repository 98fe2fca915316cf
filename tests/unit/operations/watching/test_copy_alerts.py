"""Alerts of the record's copy: a Litestream that ends, a copy whose files are gone, a proof that nobody makes."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.config.model import Paths
from appliance.config.model import Store as StoreConfig
from appliance.operations import backup
from appliance.operations.proof import prove_own_copy
from appliance.operations.schedule import Schedule, Task
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.store.process_lock import ProcessLock
from appliance.telemetry.clock import instant
from tests.unit.operations.watching.box import Box, fires, until


@asynccontextmanager
async def scheduled(box: Box, task: Task) -> AsyncIterator[Schedule]:
    schedule = Schedule(box.folder / "s.json", box.clock, box.metrics, settle_s=0.0, poll_s=0.005)
    schedule.add(task)
    schedule.start()
    try:
        yield schedule
    finally:
        await schedule.stop()


async def one_run(schedule: Schedule, *, failures: int, code: str = "") -> None:
    """Have the only task run once more; how often it has failed in a row afterwards, and why."""
    before = schedule.report()[0].last
    schedule.run_soon(schedule.report()[0].name)
    await until(lambda: schedule.report()[0].last is not before)
    assert schedule.report()[0].failures == failures
    trouble = schedule.report()[0].trouble
    assert (trouble.code if trouble is not None else "") == code


@fires("CopyStopped", "RestoreProofFailed", "RoutineFailed", "RestoreProofLate")
async def test_a_litestream_that_ends_and_a_copy_whose_files_are_gone(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "_RETRY_PAUSE_S", 0.0)
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    litestream = Litestream(paths.database, paths.spool, paths.run, metrics=box.metrics)
    config = StoreConfig(barrier_timeout_s=60.0)
    async with await Database.open(paths.database, config, barrier=litestream.barrier) as database:
        try:
            await dies_and_lives(box, litestream)
        finally:
            await litestream.stop()
        task = Task(
            name="restore-proof", title_pt="p", title_en="p", every_s=3600.0,
            run=lambda: prove_own_copy(paths.spool, tmp_path / "scratch", paths.database, database),
        )  # fmt: skip
        async with scheduled(box, task) as schedule:
            await one_run(schedule, failures=0)
            await loses_its_files(box, schedule, paths.spool / "ltx")
        await is_not_proven_for_hours(box, task)


async def dies_and_lives(box: Box, litestream: Litestream) -> None:
    """Its child ends at once, under the leash that the real one has; then the real one runs."""
    lock = await ProcessLock.take(box.folder / "lock")
    try:
        assert await litestream._run_once(Path(shutil.which("false") or ""), lock) != 0
    finally:
        lock.release()
    box.expect("CopyStopped", within=70)
    await litestream.start()
    box.expect()
    await litestream.barrier.sync()


async def loses_its_files(box: Box, schedule: Schedule, files: Path) -> None:
    aside = files.rename(files.with_name("aside"))
    await one_run(schedule, failures=1, code="backup.not_restorable")
    assert "RestoreProofFailed" in box.on()
    assert "RoutineFailed" not in box.on()
    await one_run(schedule, failures=2, code="backup.not_restorable")
    assert {"RestoreProofFailed", "RoutineFailed"} <= box.on()
    aside.rename(files)
    await one_run(schedule, failures=0)
    assert not {"RestoreProofFailed", "RoutineFailed"} & box.on()


async def is_not_proven_for_hours(box: Box, task: Task) -> None:
    """Nobody runs the schedule; the next start of the node makes up for it."""
    assert "RestoreProofLate" not in box.on()
    box.clock.pass_time(10 * 3600.0)
    assert "RestoreProofLate" in box.on()
    async with scheduled(box, task) as again:
        await until(lambda: again.report()[0].ok_at == instant(box.clock.now()))
        assert "RestoreProofLate" not in box.on()
