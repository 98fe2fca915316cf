"""Acknowledged writes that a drill makes and looks for again: how the RPO is counted, not guessed.

Each is an event in the audit log, whose Merkle root of that moment is noted with the acknowledgement. Whoever has the same
root has that write and every one before it (RFC 6962), so the last one speaks for everything that was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.security import audit
from appliance.security.audit import AuditEvent
from appliance.telemetry.clock import Clock, instant

EVERY_S: Final = 0.05
BRISK: Final = 600
"""Writes: half a minute. A drill may wait an hour for a consult to end, and must not fill the log with itself."""
PATIENT_S: Final = 1.0
AT_LEAST: Final = 10


class Watched(msgspec.Struct, frozen=True):
    """An acknowledged write: its number in the audit log, and the log's root with it (hex)."""

    size: int
    root: str


async def write_one(store: Store, clock: Clock, drill: str) -> Watched:
    """Write and return once it is acknowledged. Raises what the store raises."""
    event = AuditEvent(at=instant(clock.now()), action="drill write", resource=f"drill/{drill}", status=200)

    def change(tx: Transaction) -> Watched:
        size = audit.append(tx, event)
        return Watched(size, audit.root_at(tx, size).hex())

    return await store.write(change)


class Writer:
    """Writes until it is refused, as a client would at the moment of a handover."""

    def __init__(self, store: Store, clock: Clock, drill: str) -> None:
        self.acknowledged: list[Watched] = []
        self._store, self._clock, self._drill = store, clock, drill
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Some writes now, and more until ``stop``. Raises what the store raises of the first ones."""
        for _ in range(AT_LEAST):
            self.acknowledged.append(await write_one(self._store, self._clock, self._drill))
        self._task = asyncio.create_task(self._run(), name="drill writes")

    async def stop(self) -> None:
        """No more; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def _run(self) -> None:
        with suppress(ProntuarioError):  # refused, or not known whether it was kept: no acknowledgement, no promise
            while True:
                self.acknowledged.append(await write_one(self._store, self._clock, self._drill))
                await asyncio.sleep(pause_s(len(self.acknowledged)))


def pause_s(written: int) -> float:
    """How long to wait after so many writes."""
    return EVERY_S if written < BRISK else PATIENT_S


def roots(q: Query, sizes: Sequence[int]) -> dict[int, str]:
    """The log's root after so many events, for those sizes that it has."""
    whole = audit.size_of(q)
    return {size: audit.root_at(q, size).hex() for size in sizes if 0 < size <= whole}


def missing(acknowledged: Sequence[Watched], found: Mapping[int, str]) -> int:
    """How many acknowledged writes are not there, or stand in another history."""
    return sum(found.get(one.size) != one.root for one in acknowledged)
