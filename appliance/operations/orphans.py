"""Blobs that no row names: left by a write that failed after its file was kept, or by a peer that was away.

Nothing is deleted at once. A blob that has been nobody's for ``SAFE_AGE_S`` is set aside, still where a read finds it; only
after ``KEEP_ASIDE_S`` more does it go. What a write in flight may name is younger than that by far: a write ends within
minutes, and the process remembers by its own steady clock what it has kept lately, whatever the wall clock says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec

from appliance.operations.schedule_memory import Figure
from appliance.plugin_api.storage import Query, Store
from appliance.store.blobs import BlobStore, addresses_in, place_of
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger

log = get_logger("blobs")
SAFE_AGE_S: Final = 48 * 3600.0
KEEP_ASIDE_S: Final = 30 * 24 * 3600.0
NAMED_BY: Final = (
    ("care_chunk", "blob"),
    ("care_document", "blob"),
    ("care_image", "blob"),
    ("care_image_analysis", "heat_blob"),
)
"""Every column of the schema that names blobs; a test compares this with the schema."""


class Orphan(msgspec.Struct, frozen=True):
    """A file that no row names: size in bytes, age in seconds since it was written (or set aside)."""

    address: str
    size: int
    age_s: float


class OrphanReport(msgspec.Struct, frozen=True):
    """``old``: would be set aside; ``young``: not yet; ``aside``: set aside earlier; ``expired``: of those, due to go."""

    old: tuple[Orphan, ...]
    young: tuple[Orphan, ...]
    aside: tuple[Orphan, ...]
    expired: tuple[Orphan, ...]
    named: int

    def figures(self) -> dict[str, Figure]:
        """For people."""
        return {
            "named": self.named,
            "orphans": len(self.old),
            "orphan_bytes": _bytes(self.old),
            "young": len(self.young),
            "aside": len(self.aside),
            "aside_bytes": _bytes(self.aside),
            "deleted": len(self.expired),
            "deleted_bytes": _bytes(self.expired),
        }


class OrphanCollector:
    """Works on the node whose record is open: only there is known which blobs are named."""

    def __init__(
        self,
        folder: Path,
        blobs: BlobStore,
        store: Store,
        clock: Clock,
        *,
        safe_age_s: float = SAFE_AGE_S,
        keep_aside_s: float = KEEP_ASIDE_S,
    ) -> None:
        self._folder = folder
        self._blobs = blobs
        self._store = store
        self._clock = clock
        self._safe_age_s = safe_age_s
        self._keep_aside_s = keep_aside_s

    async def look(self) -> OrphanReport:
        """What a collection would do now; changes nothing.

        Raises:
            ProntuarioError: the record is not open here.
        """
        now_s = self._clock.now().timestamp()
        # First the files, then the names: a file that is seen here and named meanwhile is found named.
        files = await asyncio.to_thread(_aged, self._folder, now_s)
        aside = await asyncio.to_thread(_aged, self._blobs.aside, now_s)
        named = await self._store.read(named_blobs)
        fresh = self._blobs.kept_within(self._safe_age_s)
        nobodys = [one for one in files if one.address not in named]
        old = tuple(one for one in nobodys if one.age_s >= self._safe_age_s and one.address not in fresh)
        chosen = {one.address for one in old}
        return OrphanReport(
            old=old,
            young=tuple(one for one in nobodys if one.address not in chosen),
            aside=tuple(aside),
            expired=tuple(one for one in aside if one.age_s >= self._keep_aside_s and one.address not in named),
            named=len(named),
        )

    async def collect(self) -> OrphanReport:
        """Set aside what is old, delete what was set aside long ago, bring back what is named after all; what was done.

        Raises:
            ProntuarioError: the record is not open here; ``store.failed``, ``store.full``.
        """
        report = await self.look()
        named = await self._store.read(named_blobs)
        for one in report.aside:
            if one.address in named:
                log.error("a blob that was set aside is named after all; it is brought back", resource_id=one.address)
                await self._blobs.bring_back(one.address)
        for one in report.old:
            await self._blobs.set_aside(one.address)
        for one in report.expired:
            await self._blobs.delete_aside(one.address)
        if report.old or report.expired:
            log.info("orphaned blobs were set aside", count=len(report.old), bytes=_bytes(report.old))
        return report


def named_blobs(query: Query) -> frozenset[str]:
    """Every address that the record names."""
    return frozenset(
        str(row[0])
        for table, column in NAMED_BY
        for row in query.all(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608  fixed names
    )


def _aged(folder: Path, now_s: float) -> list[Orphan]:
    found = []
    for address in addresses_in(folder):
        try:
            facts = place_of(folder, address).stat()
        except FileNotFoundError:
            continue  # erased meanwhile
        found.append(Orphan(address, facts.st_size, now_s - facts.st_mtime))
    return sorted(found, key=lambda one: -one.age_s)


def _bytes(orphans: tuple[Orphan, ...]) -> int:
    return sum(one.size for one in orphans)
