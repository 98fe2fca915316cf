"""kill -9 in the middle: nothing acknowledged is missing, neither from the file nor from a restore of the spool."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from appliance.config.model import Store as StoreConfig
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query
from appliance.store.database import Database
from appliance.store.jobs import Job, JobQueue, list_jobs
from appliance.store.litestream import Litestream
from appliance.store.litestream_config import program
from appliance.store.process_lock import ProcessLock
from appliance.store.sqlite import inspect
from appliance.telemetry.clock import SystemClock

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"


Starter = Callable[[str, Path], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def start() -> AsyncIterator[Starter]:
    """Starts the programs beside this test; none outlives it."""
    processes: list[asyncio.subprocess.Process] = []

    async def starter(name: str, argument: Path) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, str(PROGRAMS / name), str(argument)],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        processes.append(process)
        return process

    yield starter
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_from(process: asyncio.subprocess.Process) -> list[str]:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().split()


async def rest_of(process: asyncio.subprocess.Process) -> list[list[str]]:
    """Every whole line up to the process's end."""
    assert process.stdout is not None
    text = (await process.stdout.read()).decode()
    await process.wait()
    return [line.split() for line in text.split("\n")[:-1]]


def kept(query: Query) -> set[str]:
    assert query.one("PRAGMA integrity_check")[0] == "ok"  # type: ignore[index]
    return {str(row["id"]) for row in query.all("SELECT id FROM kept")}


async def restored(spool: Path, to: Path) -> set[str]:
    restoring = await asyncio.create_subprocess_exec(
        *[str(program()), "restore", "-o", str(to), spool.as_uri()], stderr=asyncio.subprocess.DEVNULL
    )
    assert await restoring.wait() == 0
    return await asyncio.to_thread(inspect, to, kept)


@pytest.mark.parametrize("victims", ["writer", "writer and litestream", "litestream first"])
async def test_nothing_acknowledged_is_lost_by_kill_9(tmp_path: Path, start: Starter, victims: str) -> None:
    acknowledged: set[str] = set()
    for life in (1, 2):
        writer = await start("write_until_killed.py", tmp_path)
        word, litestream = await line_from(writer)
        assert word == "litestream"
        for _ in range(random.randint(50, 400)):
            acknowledged.add((await line_from(writer))[1])
        if victims == "litestream first":
            os.kill(int(litestream), signal.SIGKILL)
            for _ in range(30):  # the supervisor brings it back, and writes are acknowledged again
                acknowledged.add((await line_from(writer))[1])
        writer.kill()
        if victims == "writer and litestream":
            os.kill(int(litestream), signal.SIGKILL)
        acknowledged |= {words[1] for words in await rest_of(writer) if words[0] == "acknowledged"}
        lock = await ProcessLock.take(tmp_path / "data" / "record.sqlite.litestream-lock")
        lock.release()  # had to wait: the leash ended the orphan
        in_spool = await restored(tmp_path / "data" / "spool", tmp_path / f"restored-{life}.sqlite")
        assert acknowledged - in_spool == set()
        async with await Database.open(tmp_path / "data" / "record.sqlite", StoreConfig(litestream=False)) as database:
            assert acknowledged - await database.read(kept) == set()
    assert len(acknowledged) > 100


async def test_a_second_litestream_on_the_same_database_is_refused(tmp_path: Path, start: Starter) -> None:
    writer = await start("write_until_killed.py", tmp_path)
    _, pid = await line_from(writer)
    second = Litestream(tmp_path / "data" / "record.sqlite", tmp_path / "data" / "spool", tmp_path / "run-2")
    with pytest.raises(ProntuarioError) as caught:
        await second.start()
    await second.stop()
    writer.kill()
    await rest_of(writer)
    assert caught.value.kind.code == "store.litestream_running"
    assert caught.value.details == {"pid": int(pid)}
    (await ProcessLock.take(tmp_path / "data" / "record.sqlite.litestream-lock")).release()


async def test_a_job_survives_its_process_and_a_job_that_kills_it_ends_as_a_dead_letter(
    tmp_path: Path, start: Starter
) -> None:
    path = tmp_path / "record.sqlite"
    jobs = set()
    for attempt in ("1", "2"):
        process = await start("run_job_until_killed.py", path)
        word, job_id, counted = await line_from(process)
        assert (word, counted) == ("running", attempt)
        jobs.add(job_id)
        process.kill()
        await rest_of(process)
    assert len(jobs) == 1  # the dedupe key held across the lives
    async with await Database.open(path, StoreConfig(litestream=False)) as database:
        (row,) = await database.read(list_jobs)
        assert (row.state, row.attempt) == ("running", 2)
        done = asyncio.Event()

        async def finish(job: Job) -> None:
            assert (job.id in jobs, job.payload, job.attempt) == (True, {"dictation": "d1"}, 3)
            done.set()

        queue = JobQueue(database, SystemClock())
        queue.register("transcribe", finish, max_attempts=3)
        await queue.start()
        async with asyncio.timeout(60):
            await done.wait()
        await queue.stop()


async def test_a_job_that_killed_its_process_every_time_is_not_run_again(tmp_path: Path, start: Starter) -> None:
    path = tmp_path / "record.sqlite"
    for _ in range(3):
        process = await start("run_job_until_killed.py", path)
        await line_from(process)
        process.kill()
        await rest_of(process)
    async with await Database.open(path, StoreConfig(litestream=False)) as database:
        queue = JobQueue(database, SystemClock())

        async def finish(_job: Job) -> None:
            pytest.fail("a poisonous job was run a fourth time")

        queue.register("transcribe", finish, max_attempts=3)
        await queue.start()
        await queue.stop()
        (row,) = await database.read(lambda query: list_jobs(query, "dead"))
        assert (row.attempt, row.error) == (3, "process_died")
