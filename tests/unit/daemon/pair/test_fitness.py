"""Whether a node could lead: told by its disk and its programs, not by hope."""

from __future__ import annotations

import asyncio
import resource
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.config import Paths
from appliance.daemon.pair import fitness as module
from appliance.daemon.pair.fitness import FAILED, FULL, MISSING, Fitness, probe


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "home")
    paths.database.parent.mkdir(parents=True)
    return paths


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """Every write fails as on a full disk (EFBIG): Linux honours it for root too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_good_disk_leaves_no_trace_of_the_probe(paths: Paths) -> None:
    fitness = Fitness(paths)
    assert await fitness.look() == ""
    assert list(paths.database.parent.iterdir()) == []
    assert (await fitness.health()).status == "ok"


async def test_little_room_counts_as_full_before_it_is(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(paths.home).free
    monkeypatch.setattr(module, "ROOM_BYTES", free * 2)
    fitness = Fitness(paths)
    assert await fitness.look() == FULL
    told = await fitness.health()
    assert told.status == "failed"
    assert told.advice == "free disk space"
    monkeypatch.setattr(module, "ROOM_BYTES", 1)
    assert await fitness.look() == "", "space has returned"


def test_a_disk_that_takes_no_bytes_is_sick(paths: Paths) -> None:
    with no_file_may_grow():
        assert probe(paths.database.parent) in {FULL, FAILED}
    assert probe(paths.database.parent) == ""


def test_a_folder_that_is_gone_is_a_failing_disk(paths: Paths) -> None:
    paths.database.parent.rmdir()
    assert probe(paths.database.parent) == FAILED


def test_without_its_programs_a_node_can_not_lead(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise module.ProntuarioError(module.durable.as_failure(OSError()).kind)

    monkeypatch.setattr(module, "program", gone)
    assert probe(paths.database.parent) == MISSING


async def test_a_disk_that_hangs_is_sick_and_hangs_nobody(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def hang(_folder: Path) -> str:
        release.wait(60)
        return ""

    monkeypatch.setattr(module, "PROBE_LIMIT_S", 0.2)
    monkeypatch.setattr(module, "probe", hang)
    fitness = Fitness(paths)
    try:
        assert await fitness.look() == FAILED
    finally:
        release.set()


async def test_it_looks_again_and_again_until_it_is_closed(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["", FULL, ""]
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def next_finding(_folder: Path) -> str:
        if len(found) == 1:
            loop.call_soon_threadsafe(looked.set)
            return found[0]
        return found.pop(0)

    monkeypatch.setattr(module, "EVERY_S", 0.01)
    monkeypatch.setattr(module, "probe", next_finding)
    fitness = Fitness(paths)
    await fitness.start()
    async with asyncio.timeout(60):
        await looked.wait()
    await fitness.close()
    assert found == [""]
