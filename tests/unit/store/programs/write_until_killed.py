"""Writes rows through the whole store and prints each id once it is acknowledged, until somebody kills it."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from pathlib import Path

from appliance.config.model import Store as StoreConfig
from appliance.store.database import Database
from appliance.store.litestream import Litestream
from appliance.telemetry.logs import configure

WRITERS = 20


async def main(home: Path) -> None:
    litestream = Litestream(home / "data" / "record.sqlite", home / "data" / "spool", home / "run")
    config = StoreConfig(barrier_timeout_s=60.0)
    database = await Database.open(home / "data" / "record.sqlite", config, barrier=litestream.barrier)
    await litestream.start()
    await database.write(lambda tx: tx.execute("CREATE TABLE IF NOT EXISTS kept (id TEXT PRIMARY KEY, body TEXT)"))
    os.write(1, f"litestream {litestream.pid}\n".encode())
    numbers = itertools.count()

    async def write_on_and_on() -> None:
        while True:
            row = f"{os.getpid()}-{next(numbers)}"
            await database.write(lambda tx, row=row: tx.execute("INSERT INTO kept VALUES (?, ?)", (row, "y" * 300)))  # type: ignore[misc]
            os.write(1, f"acknowledged {row}\n".encode())

    await asyncio.gather(*(write_on_and_on() for _ in range(WRITERS)))


if __name__ == "__main__":
    configure(level="error", file=None)  # to stderr; stdout is for the test
    asyncio.run(main(Path(sys.argv[1])))
