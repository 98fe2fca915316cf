"""Where the admin API looks. The composition root hands these over; each is cheap and none blocks the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.api.admin_alerts import AlertDesk
from appliance.api.admin_capacity import CapacityDesk
from appliance.api.admin_cluster import ClusterDesk
from appliance.api.admin_doctor import DoctorDesk
from appliance.api.admin_drills import DrillDesk
from appliance.api.admin_packs import PackDesk
from appliance.api.admin_schedule import ScheduleDesk
from appliance.api.admin_shapes import NodeFacts
from appliance.api.admin_updates import UpdateDesk
from appliance.engines.fleet import EngineReport
from appliance.plugin_api.capabilities import ModelInfo
from appliance.plugin_api.storage import Store
from appliance.plugin_host.host import PluginReport
from appliance.telemetry.health import HealthRegistry


class NodeReport(Protocol):
    """Facts of the machine and the process (``appliance.api.admin_node.NodeProbe``)."""

    async def facts(self, demonstration_models: tuple[str, ...]) -> NodeFacts: ...


@dataclass(frozen=True, slots=True)
class AdminSources:
    """Everything that the admin routes read from; of it they change only the jobs, in ``store``."""

    store: Store
    health: HealthRegistry
    node: NodeReport
    engines: Callable[[], Sequence[EngineReport]]
    """``EngineFleet.report``."""
    plugins: Callable[[], Sequence[PluginReport]]
    """``PluginHost.report``."""
    models: Callable[[], Sequence[ModelInfo]]
    """``Abilities.models``."""
    wake_jobs: Callable[[], None]
    """Called once a requeue is durable, so that the worker need not wait for its next look."""
    cluster: ClusterDesk | None = None
    """None on a node alone."""
    schedule: ScheduleDesk | None = None
    """Recurring work, of this node and of the other one of a pair; None in tools and tests that have none."""
    alerts: AlertDesk | None = None
    """Alerts of both nodes; None in tools and tests that watch nothing."""
    drills: DrillDesk | None = None
    """Drills of this node, and what the other one made; None in tools and tests that make none."""
    capacity: CapacityDesk | None = None
    """Memory budgets and forecasts; None in tools and tests that keep none."""
    packs: PackDesk | None = None
    """Model packs; None in tools and tests that have none."""
    updates: UpdateDesk | None = None
    """Updates of this node's program; None in tools and tests that have none."""
    doctor: DoctorDesk | None = None
    """This node's doctor; None in tools and tests that have none."""
    restart_engine: Callable[[str], bool] = lambda _name: False
    """``EngineFleet.restart``: whether there is an engine of this name."""
