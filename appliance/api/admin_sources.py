"""Where the admin API looks. The composition root hands these over; each is cheap and none blocks the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.api.admin_shapes import AuditRow, EngineRow, JobRow, NodeFacts, PluginRow
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.storage import Query, Store, Transaction
from appliance.telemetry.health import HealthRegistry


class JobBoard(Protocol):
    """The durable jobs as an operator sees them; synchronous, on a query or a transaction."""

    def counts(self, q: Query) -> dict[str, int]:
        """How many jobs are in each state."""
        ...

    def listing(self, q: Query, state: str, limit: int) -> list[JobRow]:
        """Newest first."""
        ...

    def requeue(self, tx: Transaction, job_id: str) -> bool:
        """Give a dead job a new life, from attempt 0. False when there is no such dead job."""
        ...

    def discard(self, tx: Transaction, job_id: str) -> bool:
        """Give a dead job up for good. False when there is no such dead job."""
        ...


class NodeReport(Protocol):
    """Facts of the machine and the process."""

    async def facts(self, demonstration_models: tuple[str, ...]) -> NodeFacts: ...


RecentAudit = Callable[[Query, int, int | None], list[AuditRow]]
"""(query, limit, before this sequence) → rows, newest first."""


def _none() -> Sequence[EngineRow]:
    return ()


@dataclass(frozen=True, slots=True)
class AdminSources:
    """Everything the admin routes read from, and the one thing that they change: the jobs."""

    store: Store
    health: HealthRegistry
    node: NodeReport
    jobs: JobBoard
    plugins: Callable[[], Sequence[PluginRow]]
    models: Callable[[], Sequence[ModelInfo]]
    audit: RecentAudit
    engines: Callable[[], Sequence[EngineRow]] = field(default=_none)
    wake_jobs: Callable[[], None] = field(default=lambda: None)
    """Called after a requeue is durable, so that the worker need not wait for its next look."""
