"""A real database on a real disk, and ways to fill that disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.storage import Query, Transaction
from appliance.store.barrier import DurabilityBarrier
from appliance.store.database import Database
from appliance.telemetry.metrics import Metrics

Opener = Callable[..., Awaitable[Database]]


@pytest.fixture
async def open_database(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens databases with a table ``thing (id, body)``; closes them at the end."""
    async with AsyncExitStack() as stack:

        async def opener(
            path: Path | None = None,
            *,
            barrier: DurabilityBarrier | None = None,
            metrics: Metrics | None = None,
            **settings: float,
        ) -> Database:
            config = StoreConfig(litestream=False, **settings)  # type: ignore[arg-type]
            path = path or tmp_path / "data" / "record.sqlite"
            database = await Database.open(path, config, barrier=barrier, metrics=metrics)
            await stack.enter_async_context(database)
            await database._writer_thread.run(
                lambda connection: connection.execute(
                    "CREATE TABLE IF NOT EXISTS thing (id TEXT PRIMARY KEY, body TEXT NOT NULL)"
                )
            )
            return database

        yield opener


@pytest.fixture
async def database(open_database: Opener) -> Database:
    return await open_database()


def add(thing: str, body: str = "x") -> Callable[[Transaction], str]:
    def change(tx: Transaction) -> str:
        tx.execute("INSERT INTO thing (id, body) VALUES (?, ?)", (thing, body))
        return thing

    return change


def things(query: Query) -> list[str]:
    return [str(row["id"]) for row in query.all("SELECT id FROM thing ORDER BY id")]


async def until(fact: Callable[[], object], limit_s: float = 60.0) -> None:
    """Wait for ``fact`` to become true."""
    async with asyncio.timeout(limit_s):
        while True:
            if fact():
                return
            await asyncio.sleep(0.005)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB of its own; skips where the user may not mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """No file can grow beyond ``size`` bytes: a full disk that needs no root (setrlimit(2), EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(file: Path) -> None:
    """Write to ``file`` until its disk is full."""
    with file.open("wb", buffering=0) as open_file, contextlib.suppress(OSError):
        while True:
            open_file.write(b"\0" * 4096)


def gone(pid: int) -> bool:
    """Whether a process has ended. (A zombie has: only its foreign parent has not asked yet.)"""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
