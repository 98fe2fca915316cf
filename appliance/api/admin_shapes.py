"""What the admin API answers: one Struct per row that the dashboard shows. No field carries patient data."""

from __future__ import annotations

import msgspec

from appliance.engines.fleet import EngineReport
from appliance.operations.packs.work import Work
from appliance.plugin_host.host import PluginReport
from appliance.store.job_records import JobRow


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """This machine and this process. Sizes in bytes, times in seconds; ``at`` is a FHIR instant."""

    name: str
    hospital: str
    phase: str
    profile: str
    mode: str
    """The store's mode: ``single``, ``paired``, ``degraded`` or ``read-only`` (DESIGN §3)."""
    version: str
    at: str
    uptime_s: float
    demonstration_models: tuple[str, ...]
    """Models that must never serve care; empty once real packs are installed."""
    database_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    memory_used_bytes: int
    """Resident memory of core and all its children."""
    memory_free_bytes: int
    memory_total_bytes: int
    requests_total: float
    """HTTP requests answered since the start; a rate is the difference of two over that of ``uptime_s``."""


class QueueRow(msgspec.Struct, frozen=True):
    """How many requests one engine holds."""

    engine: str
    waiting: int
    running: int


class HealthRow(msgspec.Struct, frozen=True):
    """One part: ``status`` is ``ok``, ``degraded``, ``failed`` or ``not_configured``; texts in Portuguese may be empty."""

    name: str
    status: str
    message: str
    advice: str
    message_pt: str = ""
    advice_pt: str = ""


class JobList(msgspec.Struct, frozen=True):
    """Jobs of one state, last changed first, and the counts of every state."""

    counts: dict[str, int]
    jobs: list[JobRow]


class ModelRow(msgspec.Struct, frozen=True):
    """A model behind a capability."""

    id: str
    capability: str
    sha256: str
    demonstration: bool
    ready: bool


class AccessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One access: who did what to what, from where. Patients are named by their ids only; ``status`` is the HTTP one."""

    seq: int
    at: str
    action: str
    user: str
    role: str
    device: str
    status: int
    method: str = ""
    route: str = ""
    patient: str = ""
    resource: str = ""
    detail_code: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the node. A list that the reader may not see is None, which is not the same as empty."""

    node: NodeFacts
    health: list[HealthRow]
    engines: list[EngineReport]
    plugins: list[PluginReport] | None = None
    models: list[ModelRow] | None = None
    job_counts: dict[str, int] | None = None
    pack_work: Work | None = None
    """Work on a model pack that goes on, or that ended last."""


class Done(msgspec.Struct, frozen=True):
    """An action was carried out."""

    id: str
    state: str
