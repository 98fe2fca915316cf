"""The live picture: one snapshot of the node, made at most once a second however many dashboards look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec

from appliance.api.admin_shapes import HealthRow, ModelRow, Snapshot
from appliance.api.admin_sources import AdminSources
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.http import Principal, ServerSentEvent
from appliance.store import jobs

FRESH_S = 1.0
PERIOD_S = 2.0
STREAM_S = 60.0
"""A stream ends after this long; the dashboard comes back with its token, so a revoked one is out within a minute."""


class LivePicture:
    """Shares one snapshot among all who look."""

    def __init__(self, sources: AdminSources) -> None:
        self._sources = sources
        self._lock = asyncio.Lock()
        self._made_at = float("-inf")
        self._latest: Snapshot | None = None

    async def whole(self) -> Snapshot:
        """The latest snapshot with every part, at most ``FRESH_S`` old."""
        async with self._lock:
            if self._latest is None or time.monotonic() - self._made_at >= FRESH_S:
                self._latest = await self._look()
                self._made_at = time.monotonic()
            return self._latest

    async def seen_by(self, person: Principal) -> Snapshot:
        """What this person's role may see of it; the rest is None."""
        whole = await self.whole()
        return msgspec.structs.replace(
            whole,
            plugins=whole.plugins if person.may("plugin.read") else None,
            models=whole.models if person.may("model.read") else None,
            job_counts=whole.job_counts if person.may("job.read") else None,
        )

    async def events(self, person: Principal) -> AsyncIterator[ServerSentEvent]:
        """A ``snapshot`` event every ``PERIOD_S`` seconds, for ``STREAM_S``."""
        for turn in range(max(1, int(STREAM_S / PERIOD_S))):
            if turn:
                await asyncio.sleep(PERIOD_S)
            yield ServerSentEvent("snapshot", await self.seen_by(person))

    async def _look(self) -> Snapshot:
        source = self._sources
        models = [ModelRow(m.id, m.capability, m.sha256, m.demonstration, m.ready) for m in source.models()]
        engines = list(source.engines())
        demonstrations = {m.id for m in models if m.demonstration} | {e.model_id for e in engines if e.demonstration}
        health, node, counts = await asyncio.gather(
            health_rows(source), source.node.facts(tuple(sorted(demonstrations))), self._job_counts()
        )
        return Snapshot(
            node=node, health=health, engines=engines, plugins=list(source.plugins()), models=models, job_counts=counts,
            pack_work=source.packs.latest() if source.packs is not None else None,
        )  # fmt: skip

    async def _job_counts(self) -> dict[str, int] | None:
        """None while the store does not answer: the rest of the picture is needed then most of all."""
        try:
            return await self._sources.store.read(jobs.counts)
        except ProntuarioError:
            return None


async def health_rows(sources: AdminSources) -> list[HealthRow]:
    """Every part's answer, in the order of registration."""
    answers = await sources.health.ask()
    return [
        HealthRow(name, one.status, one.message, one.advice, one.message_pt, one.advice_pt)
        for name, one in answers.items()
    ]
