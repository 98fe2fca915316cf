"""What core answers, as the dashboard reads it. Unknown fields are ignored, so a newer core keeps working."""

from __future__ import annotations

import msgspec

from admin_ui.shapes_packs import WorkRow


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and core's process. Sizes in bytes, times in seconds."""

    name: str
    hospital: str
    phase: str
    profile: str
    mode: str
    version: str
    at: str
    uptime_s: float
    demonstration_models: tuple[str, ...]
    database_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    memory_used_bytes: int
    memory_free_bytes: int
    memory_total_bytes: int
    requests_total: float


class EngineRow(msgspec.Struct, frozen=True, kw_only=True):
    """One engine child."""

    name: str
    status: str
    plugin: str = ""
    model_id: str = ""
    model_sha256: str = ""
    demonstration: bool = False
    waiting: int = 0
    running: int = 0
    restarts: int = 0
    footprint_bytes: int = 0
    resident_bytes: int = 0
    reason: str = ""


class AdminPageRow(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin's page as data."""

    slug: str
    title_pt: str
    title_en: str
    sources: tuple[tuple[str, str], ...] = ()


class PluginRow(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin and, if quarantined, why."""

    name: str
    state: str
    version: str = ""
    reason: str = ""
    capabilities: tuple[str, ...] = ()
    pages: tuple[AdminPageRow, ...] = ()


class HealthRow(msgspec.Struct, frozen=True):
    """One part's health and the next step, in both languages; the Portuguese ones may be empty."""

    name: str
    status: str
    message: str
    advice: str
    message_pt: str = ""
    advice_pt: str = ""


class ModelRow(msgspec.Struct, frozen=True):
    """A model behind a capability."""

    id: str
    capability: str
    sha256: str
    demonstration: bool
    ready: bool


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the node; None where this person may not look."""

    node: NodeFacts
    health: list[HealthRow]
    engines: list[EngineRow]
    plugins: list[PluginRow] | None = None
    models: list[ModelRow] | None = None
    job_counts: dict[str, int] | None = None
    pack_work: WorkRow | None = None


class JobRow(msgspec.Struct, frozen=True):
    """One durable job, without its payload. ``due_at`` is in seconds since 1970, 0 for at once."""

    id: str
    kind: str
    state: str
    attempt: int
    due_at: float
    error: str | None
    created_at: str
    changed_at: str


class JobList(msgspec.Struct, frozen=True):
    """Jobs of one state and the counts of all."""

    counts: dict[str, int]
    jobs: list[JobRow]


class AccessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One access."""

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


class AuditReport(msgspec.Struct, frozen=True):
    """What a check of the whole log found; ``problems`` are sentences, none means intact."""

    ok: bool
    size: int
    problems: tuple[str, ...]


class Problem(msgspec.Struct, frozen=True):
    """problem+json (RFC 9457) as core writes it."""

    title: str = ""
    code: str = ""
    detail: str = ""
    next_step: str = ""
    field: str | None = None


class Login(msgspec.Struct, frozen=True):
    """What core hands to a person who signed in; ``access_expires_in`` is in seconds."""

    access_token: str
    access_expires_in: float
    refresh_token: str


class UserRow(msgspec.Struct, frozen=True):
    """One person."""

    id: str
    username: str
    display_name: str
    role: str
    created_at: str
    disabled_at: str | None = None


class Me(msgspec.Struct, frozen=True):
    """Who is signed in, and what they may do."""

    user: UserRow
    permissions: frozenset[str]


class UserList(msgspec.Struct, frozen=True):
    """People by username; ``next`` is where the next page begins, None on the last."""

    users: list[UserRow]
    next: str | None = None


class DeviceRow(msgspec.Struct, frozen=True):
    """One enrolled device; ``user_id`` None: shared by many."""

    id: str
    user_id: str | None
    name: str
    enrolled_at: str
    revoked_at: str | None = None
    not_after: str | None = None


class DeviceList(msgspec.Struct, frozen=True):
    """Devices, newest first."""

    devices: list[DeviceRow]


class EnrolmentCode(msgspec.Struct, frozen=True):
    """A one-time code; ``uri`` is what the QR says, ``expires_at`` is a FHIR instant."""

    code: str
    uri: str
    expires_at: str


class SessionRow(msgspec.Struct, frozen=True):
    """One open session of a person."""

    id: str
    device_id: str
    created_at: str


class SessionList(msgspec.Struct, frozen=True):
    """A person's open sessions, newest first."""

    sessions: list[SessionRow]


class Ended(msgspec.Struct, frozen=True):
    """How many sessions were ended."""

    sessions: int


class Trouble(msgspec.Struct, frozen=True):
    """Why recurring work failed, and the next step."""

    code: str
    cause_pt: str
    cause_en: str
    step_pt: str
    step_en: str


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    """Recurring work on one node. ``here``: its role does it; ``due_at``: empty for at once."""

    node: str
    name: str
    title_pt: str
    title_en: str
    here: bool
    running: bool
    due_at: str
    ok_at: str | None = None
    trouble: Trouble | None = None
    figures: dict[str, int | float | str] = {}


class SignedHead(msgspec.Struct, frozen=True):
    """Who signed an export of the audit log."""

    key_id: str


class AuditExport(msgspec.Struct, frozen=True):
    """What of an export the dashboard tells; the file itself is handed on untouched."""

    made_at: str
    head: SignedHead
    complete: bool
    events: tuple[object, ...]


class SwitchRow(msgspec.Struct, frozen=True):
    """One AI function; ``off_by`` names the scopes that switch it off: hospital, person, patient."""

    function: str
    on: bool
    off_by: tuple[str, ...]


class SwitchList(msgspec.Struct, frozen=True):
    """Every AI function."""

    switches: list[SwitchRow]
