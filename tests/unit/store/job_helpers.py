"""What the tests of jobs share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from appliance.plugin_api.storage import Store, Transaction
from appliance.store.jobs import (
    JobQueue,
    counts,
    enqueue,
)


@asynccontextmanager
async def running(queue: JobQueue) -> AsyncIterator[JobQueue]:
    await queue.start()
    try:
        yield queue
    finally:
        await queue.stop()


async def make(
    store: Store,
    queue: JobQueue | None = None,
    kind: str = "k",
    *,
    dedupe: str | None = None,
    delay_s: float = 0,
    **payload: object,
) -> str:
    def change(tx: Transaction) -> str:
        if queue is not None:
            tx.after_commit(queue.wake)
        return enqueue(tx, kind, payload, dedupe=dedupe, delay_s=delay_s)

    return await store.write(change)


async def states(store: Store) -> dict[str, int]:
    return await store.read(counts)


async def until_counts(store: Store, fact: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    async with asyncio.timeout(60):
        while True:
            found = await states(store)
            if fact(found):
                return found
            await asyncio.sleep(0.01)
