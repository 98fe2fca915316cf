"""Starts a job that never ends, and says so; somebody kills the process in the middle of it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from appliance.config.model import Store as StoreConfig
from appliance.store.database import Database
from appliance.store.jobs import Job, JobQueue, enqueue
from appliance.telemetry.clock import SystemClock
from appliance.telemetry.logs import configure


async def never_ends(job: Job) -> None:
    os.write(1, f"running {job.id} {job.attempt}\n".encode())
    await asyncio.Event().wait()


async def main(path: Path) -> None:
    database = await Database.open(path, StoreConfig(litestream=False))
    queue = JobQueue(database, SystemClock())
    queue.register("transcribe", never_ends, max_attempts=3)
    await queue.start()
    await database.write(lambda tx: enqueue(tx, "transcribe", {"dictation": "d1"}, dedupe="d1"))
    queue.wake()
    await asyncio.Event().wait()


if __name__ == "__main__":
    configure(level="error", file=None)  # to stderr; stdout is for the test
    asyncio.run(main(Path(sys.argv[1])))
